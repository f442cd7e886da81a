"""The first run on a PC that nobody has set up, in a real browser: from nothing to a recording, and each step."""

import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from agent.web.page.pages import STEPS
from config.settings.schema import load_settings
from config.settings.secrets import read_keys
from recorder.running.runtime_directory import make_recorder_folder, new_recorder_info
from tests.agent.web.page.conftest import Here
from tests.support import browser as browsers
from tests.support import command, web
from tests.support.browser import Served, Visit, press, say, tab_to
from tests.support.room import Room
from tests.support.sound_server import PulseMicrophone

pytestmark = [pytest.mark.server, pytest.mark.slow]

REHEARSED_MS = 120_000
OF_IT = "# of IT\n[web]\nport = 0 # others have the usual one\n"
KEY = "rahasia-abcd-1234"


@pytest.fixture
def new(chromium: Browser, room: Room, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    """Look at the daemon of a PC that has a microphone, and nothing that the first run sets."""
    room.configure(OF_IT)
    with PulseMicrophone(room.home) as microphone:
        microphone.install(monkeypatch)
        with command.running(room.home, "serve", "--json") as daemon:
            served = Served(room, daemon, browsers.place(runtime, daemon.pid), runtime)
            with browsers.visit(chromium, served) as visit:
                yield visit


def test_from_nothing_to_a_recording_in_the_archive_with_the_keyboard_only(new: Visit) -> None:
    served, page = new.served, new.open()
    expect(page).to_have_url(f"{served.url}/setup")
    sets_up(page, served)
    rehearses(page)
    records(page)
    settings = load_settings(served.room.settings)
    assert OF_IT in served.room.settings.read_text()
    assert (settings.general.room, settings.general.language) == ("Aula Lantai 2", "en")
    assert settings.archive.path == served.room.archive
    assert [state["role"] for state in served.ask("GET", "/roles")["roles"]] == ["microphone"]
    assert served.room.only_package().is_relative_to(served.room.archive)
    assert read_keys(settings)["kampus"].reveal() == KEY
    assert stat.S_IMODE(served.room.settings.with_name("keys.toml").stat().st_mode) == 0o600


def sets_up(page: Page, served: Served) -> None:
    """Choose the language, name room, microphone, archive and destination."""
    tab_to(page, page.get_by_role("radio", name="Bahasa Indonesia"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=say("setup.title", "en"))).to_be_visible()
    fill(page, "setup.step.room", "Aula Lantai 2")
    page.keyboard.press("Enter")
    choice = page.locator("#devices select").first
    expect(choice).to_be_visible()
    tab_to(page, choice)
    page.keyboard.press("ArrowDown")
    expect(choice).to_have_value("microphone")
    expect(choice).to_be_enabled()
    follow(page, "setup.next")
    fill(page, "setup.step.archive", str(served.room.archive))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=say("setup.step.destination", "en"))).to_be_focused()
    fill(page, "setup.destination.name", "kampus")
    fill(page, "setup.destination.url", "rtmp://127.0.0.1:9/live")
    fill(page, "setup.destination.key", KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=say("setup.step.rehearsal", "en"))).to_be_focused()
    assert KEY not in page.content()
    page.go_back()
    expect(page.locator("#destinations li span")).to_have_text(f"kampus: {say('setup.key.set', 'en')}")
    page.get_by_role("button", name=say("setup.destination.edit.of", "en", name="kampus")).click()
    fill(page, "setup.destination.url", "rtmp://127.0.0.1:10/live")
    fill(page, "setup.destination.key", KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=say("setup.step.rehearsal", "en"))).to_be_focused()


def rehearses(page: Page) -> None:
    tab_to(page, page.locator("#practice"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name=say("setup.rehearsal.run", "en")))
    page.keyboard.press("Space")
    verdicts = [say(f"check.{word}", "en") for word in ("ready", "warned")]  # a PC that is slow drops frames
    expect(page.locator("#verdict-text")).to_have_text(re.compile("|".join(verdicts)), timeout=REHEARSED_MS)
    expect(page.locator("#found")).to_contain_text(say("check.name.recording", "en"))
    follow(page, "setup.session")


def records(page: Page) -> None:
    """Record, mark and stop a session; find it in the archive."""
    expect(page.locator(".room")).to_have_text("Aula Lantai 2")
    tab_to(page, page.get_by_label(say("start.practice", "en")))
    page.keyboard.press("Space")
    fill(page, "start.title", "Rapat Senat")
    page.keyboard.press("Enter")
    expect(page.locator("#light")).to_contain_text(say("light.recording", "en"))  # a PC that is slow drops frames
    fill(page, "mark.note", "Questions")
    page.keyboard.press("Enter")
    expect(page.locator("#marks li")).to_contain_text("Questions")
    tab_to(page, page.get_by_role("button", name=say("stop.button", "en"), exact=True))
    for key in ("Space", "Tab", "Enter"):
        page.keyboard.press(key)
    done = say("sealed.done", "en", title="Rapat Senat")
    expect(page.locator("#ended")).to_contain_text(done, timeout=REHEARSED_MS)
    follow(page, "nav.archive")
    tab_to(page, page.get_by_role("link", name="Rapat Senat"))
    page.keyboard.press("Enter")
    expect(page.locator("#chapters")).to_contain_text("Questions")


def follow(page: Page, key: str) -> None:
    tab_to(page, page.get_by_role("link", name=say(key, "en"), exact=True))
    page.keyboard.press("Enter")


def fill(page: Page, key: str, text: str) -> None:
    """Go into a field, all of which is then chosen, and write."""
    tab_to(page, page.get_by_label(say(key, "en"), exact=True))
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


# Each step, where the daemon runs in the test's own process


@pytest.fixture
def first(chromium: Browser, room: Room) -> Iterator[Here]:
    """Look at the page of a PC whose room has no name yet."""
    room.configure(OF_IT)
    with (
        web.serving(config_file=room.settings) as served,
        browsers.browsing(chromium, served.ticket()) as (page, complaints),
    ):
        yield Here(page, served, complaints)


def test_each_step_may_be_skipped_and_come_back_to(first: Here, room: Room) -> None:
    page = first.open("/")
    for name in STEPS[1:]:
        words = "setup.next" if name == "archive" else "setup.skip"
        page.get_by_role("link", name=say(words), exact=True).click()
        expect(page.get_by_role("heading", name=say(f"setup.step.{name}"))).to_be_focused()
    page.get_by_role("link", name=say("setup.back")).click()
    expect(page.locator("#steps [aria-current]")).to_contain_text(say("setup.step.destination"))
    page.keyboard.press("Shift+Tab")
    page.evaluate("location.hash = 'main'")  # as the link to the content does
    expect(page.get_by_role("heading", name=say("setup.step.destination"))).to_be_visible()
    assert OF_IT in room.settings.read_text(), "what is skipped writes nothing"
    assert load_settings(room.settings).general.room == ""
    first.open("/")
    expect(page).to_have_url(f"{first.served.origin}/")  # nobody is led there twice
    page.get_by_role("link", name=say("setup.title")).click()
    expect(page).to_have_url(f"{first.served.origin}/setup")


def test_while_a_session_runs_nobody_is_led_away_from_it(room: Room) -> None:
    room.configure(OF_IT)
    with web.serving(config_file=room.settings) as served:
        assert served.get("/").headers["location"] == "/setup"
        running = make_recorder_folder(new_recorder_info("Rapat", room.archive, datetime.now(UTC)), b"{}")
        assert served.get("/").status == 200
        running.remove()


def test_a_folder_that_cannot_be_used_is_said_and_the_one_before_stays(first: Here, room: Room) -> None:
    written = room.settings.read_text()
    page = first.open("/setup#archive")
    expect(page.locator("#folder-text")).not_to_be_empty()  # the settings have come
    folder = room.settings / "arsip"  # below a file
    page.get_by_label(say("setup.step.archive"), exact=True).fill(str(folder))
    press(page, "setup.save")
    expect(page.get_by_role("alert")).to_contain_text(f"{folder} tidak dapat ditulisi")
    expect(page.get_by_role("heading", name=say("setup.step.archive"))).to_be_visible()
    assert room.settings.read_text() == written
    first.complaints.clear()  # the browser's own line about a 409


def test_the_archives_folder_is_chosen_from_those_that_are_there(first: Here, room: Room) -> None:
    (room.home / "Rekaman/Lama").mkdir(parents=True)
    page = first.open("/setup#archive")
    field = page.get_by_label(say("setup.step.archive"), exact=True)
    expect(field).not_to_have_value("")
    field.fill(str(room.home))
    press(page, "setup.archive.browse")
    press_folder = page.get_by_role("list", name=say("setup.archive.browse")).get_by_role("button")
    press_folder.get_by_text("Rekaman", exact=True).click()
    expect(press_folder).to_have_text([say("setup.archive.up"), "Lama"])
    expect(field).to_have_value(str(room.home / "Rekaman"))
    press(page, "setup.save")
    expect(page.get_by_role("heading", name=say("setup.step.destination"))).to_be_focused()
    assert load_settings(room.settings).archive.path == room.home / "Rekaman"
    assert first.served.get("/api/v1/folders?path=/dev/null/x").json["path"] == "/dev"


def test_a_destination_is_removed_after_a_question(first: Here, room: Room) -> None:
    at = "/api/v1/settings/destinations/kampus"
    assert first.served.ask("PUT", at, {"url": "rtmp://127.0.0.1:9/live", "key": KEY}).status == 200
    page = first.open("/setup#destination")
    page.get_by_role("button", name=say("setup.destination.remove.of", name="kampus")).click()
    press(page, "setup.destination.remove.cancel")
    expect(page.locator("#destinations li")).to_have_count(1)
    page.get_by_role("button", name=say("setup.destination.remove.of", name="kampus")).click()
    press(page, "setup.destination.remove")
    expect(page.locator("#destinations li")).to_have_count(0)
    assert "kampus" not in load_settings(room.settings).destinations


def test_what_others_have_set_is_shown_and_not_asked_for(
    here: Here, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive that was named at the start; then all of it, in a file of IT's."""
    page = here.open("/setup#archive")
    folder = page.get_by_label(say("setup.step.archive"), exact=True)
    expect(folder).to_have_value(str(room.archive))
    expect(folder).to_be_disabled()
    press(page, "setup.save")
    expect(page.get_by_role("heading", name=say("setup.step.destination"))).to_be_focused()
    monkeypatch.setattr("agent.web.api.settings.write_problem", lambda _file: "it is read-only")
    page.goto("about:blank")
    here.open("/setup#room")
    expect(page.locator("#locked")).to_have_text(say("setup.locked.file"))
    expect(page.get_by_label(say("setup.step.room"), exact=True)).to_be_disabled()
    press(page, "setup.save")
    expect(page.get_by_role("heading", name=say("setup.step.roles"))).to_be_focused()


WARNED = {
    "type": "rehearsal-run", "running": False, "since_s": None, "problem": None,
    "last": {"ready": True, "checks": [
        {"name": name, "code": "x", "verdict": verdict, "id": {"reason": reason, "advice": "Tutup program lain"}}
        for name, verdict, reason in (("disk", "ok", "Cukup"), ("recording", "warning", "Gambar terbuang"))
    ]},
}  # fmt: skip
"""A rehearsal that dropped frames."""


def test_axe_finds_nothing_in_any_step_and_a_rehearsal_that_dropped_frames_is_no_room_that_is_ready(here: Here) -> None:
    page = here.page
    page.route("**/api/v1/rehearsals", lambda route: route.fulfill(json=WARNED))
    here.open("/setup#roles")
    page.wait_for_load_state("networkidle")
    page.evaluate("for (const step of document.querySelectorAll('[data-step]')) step.hidden = false")  # all at once
    for step in STEPS:
        expect(page.get_by_role("heading", name=say(f"setup.step.{step}"))).to_be_visible()
    browsers.has_no_violation(page)
    expect(page.locator("#verdict-text")).to_have_text(say("check.warned"))
    expect(page.locator("#verdict")).to_have_class("alarm ")
    expect(page.locator("#found li").first).to_contain_text("Gambar terbuang")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
