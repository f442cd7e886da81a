"""The first run on a PC that nobody has set up, in a real browser on a real daemon: from nothing to a recording.

Once with the mouse, once with the keyboard; each time with a microphone of a real sound server, and pictures and sound
that are made.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from agent.web.page.pages import STEPS
from config.locale.lookup import LANGUAGES
from config.settings.schema import load_settings
from config.settings.secrets import read_keys
from tests.support import browser as browsers
from tests.support import command
from tests.support.browser import SOON_MS, Served, Visit, arm, say, tab_to
from tests.support.room import PROFILE, Room
from tests.support.sound_server import PulseMicrophone
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

REHEARSED_MS = 120_000
OF_IT = "# of IT\n[web]\nport = 0 # others have the usual one\n"
KEY = "rahasia-abcd-1234"


@pytest.fixture
def new(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Run the daemon of a PC that has a microphone, and nothing that the first run sets: only where its page is."""
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure(OF_IT)
    with PulseMicrophone(tmp_path) as microphone:
        microphone.install(monkeypatch)
        with command.running(room.home, "serve", "--json") as daemon:
            yield Served(room, daemon, browsers.place(runtime, daemon.pid), runtime)


@pytest.fixture
def looked(chromium: Browser, new: Served) -> Iterator[Visit]:
    with browsers.visit(chromium, new) as visit:
        yield visit


def test_from_nothing_to_a_recording_in_the_archive_with_the_mouse(looked: Visit) -> None:
    served, page = looked.served, looked.open()
    expect(page).to_have_url(f"{served.url}/setup")
    _press(page, "setup.save")
    _write(page, "setup.step.room", "Aula Lantai 2")
    _press(page, "setup.save")
    page.locator("#devices select").first.select_option("microphone")
    expect(page.locator("#devices select").first).to_be_enabled(timeout=SOON_MS)
    page.get_by_role("link", name=say("setup.next")).click()
    _write(page, "setup.step.archive", str(served.room.archive))
    _press(page, "setup.save")
    _write(page, "setup.destination.name", "kampus")
    _write(page, "setup.destination.url", "rtmp://127.0.0.1:9/live")
    _write(page, "setup.destination.key", KEY)
    _press(page, "setup.save")
    page.locator("#practice").check()
    _press(page, "setup.rehearsal.run")
    _is_rehearsed(page)
    page.get_by_role("link", name=say("setup.step.destination")).click()
    expect(page.locator("#destinations li")).to_have_text(f"kampus: {say('setup.key.set')}")
    assert KEY not in page.content()
    page.get_by_role("link", name=say("setup.step.rehearsal")).click()
    page.get_by_role("link", name=say("setup.session")).click()
    expect(page.locator(".room")).to_have_text("Aula Lantai 2")
    page.get_by_label(say("start.practice")).check()
    _write(page, "start.title", "Rapat Senat")
    _press(page, "start.record")
    _is_recording(page)
    _write(page, "mark.note", "Tanya jawab")
    _press(page, "mark.button")
    expect(page.locator("#marks li")).to_contain_text("Tanya jawab", timeout=SOON_MS)
    _press(page, "stop.button")
    _press(page, "stop.confirm")
    expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat Senat"), timeout=REHEARSED_MS)
    page.get_by_role("link", name=say("nav.archive"), exact=True).click()
    page.get_by_role("link", name="Rapat Senat").click()
    expect(page.locator("#chapters")).to_contain_text("Tanya jawab", timeout=SOON_MS)
    _is_as_it_was_set(served, "id")
    settings = load_settings(served.room.settings)
    assert read_keys(settings)["kampus"].reveal() == KEY
    assert stat.S_IMODE(served.room.settings.with_name("keys.toml").stat().st_mode) == 0o600


def _press(page: Page, key: str) -> None:
    page.get_by_role("button", name=say(key), exact=True).click()


def _write(page: Page, key: str, text: str) -> None:
    """Click into a field, all of which is then chosen, and write."""
    page.get_by_label(say(key), exact=True).click(click_count=3)
    page.keyboard.type(text)


def _is_rehearsed(page: Page, language: str = "id") -> None:
    verdicts = [say(f"check.{word}", language) for word in ("ready", "warned")]  # a PC that is slow drops pictures
    expect(page.locator("#verdict-text")).to_have_text(re.compile("|".join(verdicts)), timeout=REHEARSED_MS)
    expect(page.locator("#found li").first).to_be_visible()
    expect(page.locator("#found")).to_contain_text(say("check.name.recording", language))


def _is_recording(page: Page, language: str = "id") -> None:
    recording = [
        say(f"light.{word}", language) for word in ("recording", "degraded")
    ]  # a PC that is slow drops pictures
    expect(page.locator("#light")).to_have_text(re.compile("|".join(recording)), timeout=SOON_MS)


def _is_as_it_was_set(served: Served, language: str) -> None:
    settings = load_settings(served.room.settings)
    assert OF_IT in served.room.settings.read_text()
    assert (settings.general.room, settings.general.language) == ("Aula Lantai 2", language)
    assert settings.archive.path == served.room.archive
    assert [state["role"] for state in served.ask("GET", "/roles")["roles"]] == ["microphone"]
    assert served.room.only_package().is_relative_to(served.room.archive)


def test_the_same_with_the_keyboard_only(looked: Visit) -> None:
    served, page = looked.served, looked.open()
    expect(page).to_have_url(f"{served.url}/setup")
    tab_to(page, page.get_by_role("radio", name="Bahasa Indonesia"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=say("setup.title", "en"))).to_be_visible(timeout=SOON_MS)
    _fill(page, "setup.step.room", "Aula Lantai 2")
    page.keyboard.press("Enter")
    choice = page.locator("#devices select").first
    expect(choice).to_be_visible(timeout=SOON_MS)
    tab_to(page, choice)
    page.keyboard.press("ArrowDown")
    expect(choice).to_have_value("microphone")
    expect(choice).to_be_enabled(timeout=SOON_MS)
    tab_to(page, page.get_by_role("link", name=say("setup.next", "en"), exact=True))
    page.keyboard.press("Enter")
    _fill(page, "setup.step.archive", str(served.room.archive))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=say("setup.step.destination", "en"))).to_be_focused(timeout=SOON_MS)
    tab_to(page, page.get_by_role("link", name=say("setup.skip", "en"), exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("#practice"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name=say("setup.rehearsal.run", "en")))
    page.keyboard.press("Space")
    _is_rehearsed(page, "en")
    tab_to(page, page.get_by_role("link", name=say("setup.session", "en")))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.url}/")
    tab_to(page, page.get_by_label(say("start.practice", "en")))
    page.keyboard.press("Space")
    _fill(page, "start.title", "Rapat Senat")
    page.keyboard.press("Enter")
    _is_recording(page, "en")
    _fill(page, "mark.note", "Questions")
    page.keyboard.press("Enter")
    expect(page.locator("#marks li")).to_contain_text("Questions", timeout=SOON_MS)
    tab_to(page, page.get_by_role("button", name=say("stop.button", "en"), exact=True))
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    done = say("sealed.done", "en", title="Rapat Senat")
    expect(page.locator("#ended")).to_contain_text(done, timeout=REHEARSED_MS)
    tab_to(page, page.get_by_role("link", name=say("nav.archive", "en"), exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Rapat Senat")).to_be_visible(timeout=SOON_MS)
    tab_to(page, page.get_by_role("link", name="Rapat Senat"))
    page.keyboard.press("Enter")
    expect(page.locator("#chapters")).to_contain_text("Questions", timeout=SOON_MS)
    _is_as_it_was_set(served, "en")


def _fill(page: Page, key: str, text: str) -> None:
    """Go into a field, all of which is then chosen, and write."""
    tab_to(page, page.get_by_label(say(key, "en"), exact=True))
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


@pytest.fixture
def known(chromium: Browser, served: Served) -> Iterator[Visit]:
    with browsers.visit(chromium, served) as visit:
        yield visit


def test_each_step_may_be_skipped_and_come_back_to(chromium: Browser, new: Served) -> None:
    before = new.room.settings.read_text()
    with browsers.visit(chromium, new) as looked:
        page = looked.open()
        for name in ("room", "roles", "archive", "destination", "rehearsal"):
            words = "setup.next" if name == "archive" else "setup.skip"
            page.get_by_role("link", name=say(words), exact=True).click()
            expect(page.get_by_role("heading", name=say(f"setup.step.{name}"))).to_be_focused(timeout=SOON_MS)
        page.get_by_role("link", name=say("setup.back")).click()
        expect(page.locator("#steps [aria-current]")).to_contain_text(say("setup.step.destination"))
        page.keyboard.press("Shift+Tab")
        page.evaluate("location.hash = 'main'")  # as the link to the content does
        expect(page.get_by_role("heading", name=say("setup.step.destination"))).to_be_visible()
        assert new.room.settings.read_text() == before, "what is skipped writes nothing"
        page = looked.open()
        expect(page).to_have_url(f"{new.url}/")  # nobody is led there twice
        page.get_by_role("link", name=say("setup.title")).click()
        expect(page).to_have_url(f"{new.url}/setup")


def test_while_a_session_runs_nobody_is_led_away_from_it(looked: Visit) -> None:
    arm(looked.served)
    page = looked.open()
    expect(page).to_have_url(f"{looked.served.url}/")
    expect(page.locator("#light")).to_have_text(say("light.armed"), timeout=SOON_MS)
    expect(page.get_by_role("link", name=say("setup.title"))).to_be_visible()


def test_a_folder_that_cannot_be_used_is_said_and_the_one_before_stays(looked: Visit) -> None:
    written = looked.served.room.settings.read_text()
    page = looked.open("/setup#archive")
    before = page.get_by_label(say("setup.step.archive"), exact=True)
    expect(before).to_have_value(str(looked.served.room.home / "Videos/Liput"), timeout=SOON_MS)
    expect(page.locator("#folder")).to_have_class("alarm ok")
    folder = looked.served.room.settings / "arsip"  # below a file
    _write(page, "setup.step.archive", str(folder))
    with page.expect_response("**/settings"):
        _press(page, "setup.save")
    expect(page.get_by_role("alert")).to_contain_text(f"{folder} tidak dapat ditulisi", timeout=SOON_MS)
    expect(page.get_by_role("heading", name=say("setup.step.archive"))).to_be_visible()
    assert looked.served.room.settings.read_text() == written
    looked.complaints.clear()  # the browser's own line about a 409


def test_an_archive_that_was_named_at_the_start_is_shown_and_not_asked_for(known: Visit) -> None:
    page = known.open("/setup#archive")
    folder = page.get_by_label(say("setup.step.archive"), exact=True)
    expect(folder).to_have_value(str(known.served.room.archive), timeout=SOON_MS)
    expect(folder).to_be_disabled()
    _press(page, "setup.save")
    expect(page.get_by_role("heading", name=say("setup.step.destination"))).to_be_focused(timeout=SOON_MS)
    expect(page.locator("#destinations")).to_contain_text("kampus")


def test_settings_of_it_are_said_to_be_so_and_the_rest_goes_on(known: Visit) -> None:
    file = known.served.room.settings
    file.unlink()
    file.symlink_to("/proc/none-such")  # where not even root may write
    page = known.open("/setup")
    expect(page.locator("#locked")).to_have_text(say("setup.locked.file", file=file), timeout=SOON_MS)
    _press(page, "setup.save")
    expect(page.get_by_role("heading", name=say("setup.step.room"))).to_be_focused(timeout=SOON_MS)
    expect(page.get_by_label(say("setup.step.room"), exact=True)).to_be_disabled()
    _press(page, "setup.save")  # each step has such a button: not before it is the one that is shown
    expect(page.get_by_role("heading", name=say("setup.step.roles"))).to_be_focused(timeout=SOON_MS)


def test_a_rehearsal_that_dropped_pictures_is_not_shown_as_a_room_that_is_ready(known: Visit) -> None:
    file = known.served.room.settings
    far_too_much = "[profiles.far]\nwidth = 3840\nheight = 2160\nfps = 60\nvideo_bitrate = 20_000_000\n"
    file.write_text(f"{file.read_text().replace(PROFILE, 'far')}\n{far_too_much}")
    known.served.ask("POST", "/rehearsals", {"practice": True, "for_s": 3})
    page = known.open("/setup#rehearsal")
    expect(page.locator("#verdict-text")).to_have_text(say("check.warned"), timeout=REHEARSED_MS)
    expect(page.locator("#verdict")).to_have_class("alarm ")
    expect(page.locator("#found li").first).to_contain_text(say("verdict.warning"))


_TWO_MORE_LANGUAGES = """() => {
    const link = document.querySelector(".tools a[lang]")
    for (const name of ["Bahasa Melayu", "Basa Jawa"]) {
        const another = link.cloneNode()
        another.textContent = name
        link.after(another)
    }
}"""
"""Languages are files that anybody may add: their names must find room on a telephone, too."""


def test_axe_finds_nothing_in_any_step(known: Visit) -> None:
    known.served.ask("POST", "/rehearsals", {"practice": True, "for_s": 3})
    wait_for(lambda: known.served.ask("GET", "/rehearsals")["last"])
    for language in LANGUAGES:
        for step in STEPS:
            known.page.goto("about:blank")
            page = known.open(f"/setup?lang={language}#{step}")
            page.wait_for_load_state("networkidle")
            expect(page.get_by_role("heading", name=say(f"setup.step.{step}", language))).to_be_visible()
            known.has_no_violation()
    known.page.set_viewport_size({"width": 360, "height": 740})
    assert known.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    known.page.evaluate(_TWO_MORE_LANGUAGES)
    assert known.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
