"""The pages beside the session screen, in a real browser: check, archive, requests, health, schedule."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from agent.checks.check import CheckResult, CheckVerdict
from agent.checks.history import CheckRun, keep_run
from agent.web.http.context import CommandRuns
from agent.web.page.pages import all_pages
from config.locale.lookup import LocalizedText
from config.state import STATE_VARIABLE
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_writer import log_folder
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.model.marks import Mark
from recorder.package.metadata import Package
from tests.agent.web.page.conftest import Here
from tests.support import archives, command, media, web
from tests.support import browser as browsers
from tests.support.browser import Visit, say, tab_to
from tests.support.copies import small_disk
from tests.support.dossiers import PDF, picture
from tests.support.room import Room

pytestmark = [pytest.mark.server, pytest.mark.slow]


def run(room: Room, *words: str) -> Any:
    """Return what a command answers with --json, for the state folder of this page."""
    done = command.liput(room.home, *words, "--json", more={STATE_VARIABLE: os.environ[STATE_VARIABLE]})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def package(room: Room, program: Path) -> Package:
    """Return a recording with a mark, which lacks a source."""
    archive = Archive(room.archive, SystemClock(), 1)
    mark = Mark(at=archives.STARTED + timedelta(seconds=1), media_s=1.0, text="Tanya jawab")
    with archives.recorded(archive, program, "Seminar Kearsipan") as work:
        return archive.seal(work, msgspec.structs.replace(archives.FACTS, marks=(mark,)))


def test_a_recording_is_found_played_from_a_chapter_downloaded_and_verified(here: Here, package: Package) -> None:
    page = here.open("/archive?q=no-such-word")
    expect(page.get_by_text(say("archive.none"))).to_be_visible()
    page.get_by_label(say("archive.search"), exact=True).fill("tanya")
    page.keyboard.press("Enter")
    expect(page.locator("#found tr")).to_have_count(1)
    expect(page.locator("#found mark")).to_have_text("Tanya")
    page.get_by_role("link", name="Seminar Kearsipan").click()
    expect(page.locator("#degraded li")).to_have_count(1)
    expect(page.locator("#state")).to_have_class("badge warn")  # what lacks something is not called complete
    page.get_by_role("button", name="Tanya jawab").click()
    page.wait_for_function("document.getElementById('video').currentTime >= 1")
    assert page.evaluate("document.getElementById('video').error") is None
    film = package.folder / "data/media/program.mp4"
    with page.expect_download() as download:
        page.get_by_role("link", name=say("package.download")).click()
    assert download.value.path().read_bytes() == film.read_bytes()
    page.get_by_text(say("package.edit"), exact=True).click()
    page.get_by_label(say("package.edit.title"), exact=True).fill("Seminar Arsip")
    page.get_by_label(say("start.consent")).select_option("given")
    page.get_by_role("button", name=say("package.edit.save")).click()
    expect(page.locator("#edited")).to_contain_text(say("package.edited"))
    expect(page.get_by_role("heading", name="Seminar Arsip")).to_be_visible()
    expect(page.locator("#facts")).to_contain_text(say("start.consent.given"))
    page.get_by_role("button", name=say("package.undo")).click()
    expect(page.locator("#edited")).to_have_text(say("package.undone"))
    expect(page.get_by_role("heading", name="Seminar Kearsipan")).to_be_visible()
    marks_are_edited(page)
    page.get_by_role("button", name=say("package.verify")).click()
    expect(page.locator("#verified")).to_contain_text(say("package.whole"))
    expect(page.get_by_role("link", name=say("package.report"))).to_be_hidden()  # this room makes none
    film.chmod(0o644)
    film.write_bytes(film.read_bytes()[:-1] + b"x")
    page.get_by_role("button", name=say("package.verify")).click()
    expect(page.locator("#verified")).to_contain_text(say("package.broken"))
    expect(page.locator("#verified")).to_contain_text("data/media/program.mp4")


def test_a_recording_is_copied_to_a_drive_that_is_plugged_in(here: Here, package: Package) -> None:
    edit_package(package.folder, {"consent.state": "refused"}, by=None, reason="", now=archives.STARTED)
    page = here.open(f"/archive/{package.id}?lang=en")
    page.get_by_text(say("package.export", "en")).click()
    expect(page.locator("#no-drive")).to_be_visible()
    expect(page.get_by_role("button", name=say("package.export.start", "en"), exact=True)).to_be_disabled()
    Path("/media").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/media") as at, small_disk(Path(at), 100_000_000) as drive:
        page.get_by_role("button", name=say("package.export.look", "en")).click()
        page.get_by_label(say("package.export.drive", "en"), exact=True).select_option(str(drive))
        for ending in ("mp4", "zip"):
            page.get_by_label(say("package.export.whole", "en")).set_checked(ending == "zip")
            page.get_by_role("button", name=say("package.export.start", "en"), exact=True).click()
            page.get_by_role("button", name=say("package.export.although", "en")).click()
            done = say("package.export.done", "en", name=f"{package.id}.{ending}")
            expect(page.locator("#exported")).to_have_text(done)
        media.decodes_cleanly(drive / f"{package.id}.mp4")
    gone = here.served.post(f"/api/v1/archive/{package.id}/export", {"drive": str(drive)})
    assert (gone.status, gone.json["code"]) == (400, "no-drive")


def marks_are_edited(page: Page) -> None:
    page.get_by_text(say("package.marks"), exact=True).click()
    page.get_by_label(say("package.marks.text", time="0:00:01"), exact=True).fill("Diskusi")
    page.locator("#video").evaluate("video => { video.pause(); video.currentTime = 0.5 }")
    page.get_by_role("button", name=say("package.marks.add")).click()
    page.keyboard.type("Pembukaan")
    page.get_by_role("button", name=say("package.marks.save")).click()
    titles = page.locator("#chapters button")
    expect(titles).to_have_text(["0:00:00Pembukaan", "0:00:01Diskusi"])
    page.get_by_role("button", name=say("package.marks.remove.of", time="0:00:00")).click()
    page.get_by_role("button", name=say("package.marks.save")).click()
    expect(titles).to_have_text(["0:00:01Diskusi"])
    page.get_by_role("button", name=say("package.undo")).click()
    expect(titles).to_have_text(["0:00:00Pembukaan", "0:00:01Diskusi"])


def checked(words: Sequence[str], _file: Path | None) -> tuple[None, None]:
    """Stand in for a check: a tripod that nobody has seen, and an uplink that fails."""

    def result(name: str, verdict: CheckVerdict) -> CheckResult:
        return CheckResult(name=name, verdict=verdict, code="x", reason=LocalizedText("Begitu", "So"))

    tripod = CheckVerdict.OK if "--have=tripod" in words else CheckVerdict.UNCHECKED
    results = [result("by-hand: tripod", tripod), result("uplink", CheckVerdict.FAILURE)]
    keep_run(CheckRun(at=SystemClock().now(), results=results))
    return None, None


def test_a_check_is_run_and_what_people_saw_themselves_counts(chromium: Browser, room: Room) -> None:
    ends = threading.Event()

    def slowly(words: Sequence[str], settings: Path | None) -> tuple[None, None]:
        assert ends.wait(60)
        return checked(words, settings)

    with (
        web.serving(config_file=room.settings, runs=CommandRuns(slowly)) as served,
        browsers.browsing(chromium, served.ticket()) as (page, _),
    ):
        page.goto(f"{served.origin}/check")
        expect(page.get_by_text(say("check.never"))).to_be_visible()
        start = page.get_by_role("button", name=say("check.run"))
        with page.expect_response("**/checks"):
            start.click()
        expect(page.locator("#progress")).to_have_text(say("check.running"))
        expect(start).to_be_disabled()
        ends.set()
        rows = page.locator("#problems li")
        expect(rows).to_have_count(2)
        expect(start).to_be_enabled()
        expect(rows.first).to_contain_text(say("verdict.failure"))  # what keeps a session from beginning comes first
        expect(rows.last).to_contain_text(say("check.part.tripod"))
        rows.last.get_by_label(say("check.seen")).check()
        start.click()
        expect(rows).to_have_count(1)
        assert say("check.part.tripod") in (page.locator("#fine").text_content() or "")


def test_a_request_is_entered_and_passed_on_and_leads_to_its_plan_and_recording(here: Here, room: Room) -> None:
    room.configure(f'{OFFICE}[request]\npath = "{room.home}/dosir"\n', 'kampus = "abcd-1234"\n')
    page = here.open("/requests")
    for key, text in {"package.event": "Seminar Nasional", "requests.unit": "Fakultas Teknik"}.items():
        page.get_by_label(say(key), exact=True).fill(text)
    for key, hour in {"requests.starts": "09:00", "requests.ends": "11:00"}.items():
        page.get_by_label(say(key), exact=True).fill(f"{TOMORROW}T{hour}")
    letter = page.get_by_label(say("requests.letter"))
    letter.set_input_files({"name": "surat.pdf", "mimeType": "application/pdf", "buffer": b"no letter"})
    page.get_by_role("button", name=say("requests.enter.save"), exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Surat harus berupa PDF")
    letter.set_input_files({"name": "surat.pdf", "mimeType": "application/pdf", "buffer": PDF})
    page.get_by_role("button", name=say("requests.enter.save"), exact=True).click()
    expect(page.locator("#steps tr")).to_have_count(6)
    expect(page.locator("#steps tr").nth(1)).to_contain_text(say("step.dispose", to="Kepala BPKH"))
    expect(page.locator("#steps tr").nth(1)).to_contain_text(say("step.state.waiting"))
    (address,) = (one.get_attribute("href") for one in page.locator("#papers a").all())
    assert page.request.get(f"{here.served.origin}{address}").body() == PDF
    page.get_by_label(say("requests.instruction")).fill("Tindak lanjuti")
    page.get_by_label(say("requests.sheet")).set_input_files(
        {"name": "lembar.jpg", "mimeType": "image/jpeg", "buffer": picture()}
    )
    page.get_by_role("button", name=say("requests.dispose"), exact=True).click()
    expect(page.locator("#papers")).to_contain_text("lembar.jpg")
    (request,) = run(room, "request", "list")
    found = run(room, "request", "show", request["id"])["request"]
    assert [(one["to"], one["instruction"]) for one in found["dispositions"]] == [("Kepala BPKH", "Tindak lanjuti")]
    browsers.has_no_violation(page)
    page.get_by_role("link", name=say("requests.schedule")).click()
    expect(page.get_by_label(say("schedule.starts"), exact=True)).to_have_value("09:00")
    page.get_by_role("button", name=say("schedule.add"), exact=True).click()
    expect(row(page, "Seminar Nasional")).to_contain_text("09.00\N{EN DASH}11.00 WITA")
    assert [one["plan"]["request"] for one in run(room, "schedule", "list")] == [request["id"]]
    here.complaints.clear()  # a browser notes that a letter was refused
    page = here.open("/requests")
    expect(page.locator("#requests li")).to_contain_text("Fakultas Teknik")
    page.get_by_role("link", name="Seminar Nasional").click()
    page.get_by_role("link", name=say("requests.record")).click()
    expect(page.get_by_label(say("start.request"))).to_have_value(str(request["id"]))
    expect(page.get_by_label(say("start.title"))).to_have_value("Seminar Nasional")


OWN_AXE = ("/", "/devices", "/schedule", "/setup")
"""Pages that axe sees in tests of their own, in many states."""


def test_axe_finds_nothing_on_any_page(here: Here, room: Room, package: Package) -> None:
    room.configure(f'[general]\nroom = "Aula"\n[request]\npath = "{room.home}/dosir"\n')
    request = run(room, "request", "new", "--event", "Seminar Nasional", "--received", "kemarin 08:10")
    checked((), None)
    write_health_log()
    menu = [page.path for page in all_pages() if page.name and page.path not in OWN_AXE]
    for path in (*menu, f"/archive/{package.id}", f"/requests/{request['id']}"):
        here.page.set_viewport_size({"width": 1366, "height": 900})
        page = here.open(f"{path}?lang=en")
        page.wait_for_load_state("networkidle")
        browsers.has_no_violation(page)
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


# The health log's page: plots of a day that is in the log, filters, and what is taken along


CAMERA, MICROPHONE = "046d:0825:A", "0d8c:0014:1-3"


def health_lines() -> Iterator[HealthLine]:
    """Yield a recording of two hours with a bad quarter, ten hours ago; one of ten minutes now; a full disk."""
    names, now = {CAMERA: "Webcam", MICROPHONE: "Mik meja"}, datetime.now().astimezone()

    def line(
        minutes_ago: float, kind: LogKind, device: str, level: LogLevel = LogLevel.DEBUG, **detail: object
    ) -> HealthLine:
        at = now - timedelta(minutes=minutes_ago)
        return HealthLine(at=at, device=device, name=names.get(device, ""), level=level, kind=kind, detail=detail)

    for minute in range(600, 480, -1):
        bad = 540 > minute > 525
        yield line(minute, LogKind.SAMPLE, CAMERA, fps=12.5 if bad else 30.0, missing=17 if bad else 0, damaged=0)
    yield line(538, LogKind.DEGRADED, CAMERA, LogLevel.WARN, fault="slow")
    for minute in range(10, 0, -1):
        yield line(minute, LogKind.SAMPLE, CAMERA, fps=30.0, missing=0, damaged=0)
        yield line(minute, LogKind.SAMPLE, MICROPHONE, overflows=1 if minute == 3 else 0)
    yield line(300, LogKind.DEGRADED, PC, LogLevel.ERROR, fault="low-disk")
    yield line(290, LogKind.CHECKED, PC, LogLevel.WARN, check="pc: sleep", text={"id": "Bisa tidur", "en": "May sleep"})


def write_health_log() -> None:
    folder = log_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for one in sorted(health_lines(), key=lambda one: one.at):
        with (folder / f"{one.at:%Y-%m-%d}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")


def test_the_health_of_each_device_is_plotted_filtered_and_taken_along(here: Here) -> None:
    write_health_log()
    page = here.open("/health")
    plots = page.locator("#plots > li")
    expect(plots.get_by_role("heading")).to_have_text(["Mik meja", "Webcam", "pc"])
    camera = plots.nth(1)
    expect(camera).to_contain_text(say("log.plot.rate", least="12,5", most="30,0"))
    expect(camera).to_contain_text(say("log.plot.lost", count=17 * 14))
    expect(camera).to_contain_text(say("log.plot.faults", count=1))
    before, now = (each.get_attribute("points") or "" for each in camera.locator("polyline.rate").all())
    xs, ys = zip(*(map(float, pair.split(",")) for pair in before.split()), strict=True)
    assert (round(min(xs) / 600, 1), round(max(xs) / 600, 1)) == (0.6, 0.7), "from 14 to 16 hours after the plot begins"
    assert (min(ys), max(ys)) == (pytest.approx(160 * (1 - 1 / 1.1)), pytest.approx(160 * (1 - 12.5 / 33)))
    assert float(now.split()[-1].split(",")[0]) > 594, "up to now, or the step before"
    assert plots.nth(2).locator("polyline.rate").count() == 0
    expect(page.locator("#lines")).to_contain_text(f"{say('check.name.pc')}: {say('check.part.sleep')}: Bisa tidur")
    page.get_by_label(say("log.since")).select_option("1h")
    expect(plots).to_have_count(2)
    page.get_by_label(say("log.since")).select_option("1d")
    page.get_by_label(say("log.level")).select_option("debug")
    page.get_by_label(say("log.device"), exact=True).select_option(CAMERA)
    expect(plots.get_by_role("heading")).to_have_text(["Webcam"])
    expect(page.locator("#lines tr")).to_have_count(131)
    contents = []
    for name in ("log.export", "log.export.json"):
        with page.expect_download() as download:
            page.get_by_role("link", name=say(name)).click()
        contents.append(download.value.path().read_text())
    assert contents[0].startswith("\ufeffat,device"), "marked as UTF-8, for spreadsheets"
    assert (contents[0].count("\n") - 1, len(json.loads(contents[1])["lines"])) == (131, 131)


# The schedule: planned and removed with the keyboard, told to whoever looks, in the room's zone


WITA = ZoneInfo("Asia/Makassar")
TOMORROW = datetime.now(WITA).date() + timedelta(days=1)
OFFICE = (
    '[general]\nroom = "Aula"\n[office]\ntime_zone = "WITA"\n[destinations.kampus]\nurl = "rtmp://127.0.0.1:9/live"\n'
)


def row(page: Page, title: str) -> Locator:
    return page.locator("#days li").filter(has_text=title).filter(has=page.get_by_role("button"))


def of_plan(page: Page, title: str, key: str) -> Locator:
    return row(page, title).get_by_role("button", name=f"{say(key)}: {title}")


def test_a_session_is_planned_and_removed_with_the_keyboard_and_a_browser_elsewhere_agrees(
    chromium: Browser, here: Here, room: Room
) -> None:
    room.configure(OFFICE, 'kampus = "abcd-1234"\n')
    days = (TOMORROW + timedelta(days=number) for number in range(400))
    day = next(day for day in days if day.day == day.month)  # whichever of them the browser asks for first
    page = here.open("/schedule")
    expect(page.locator("#nothing")).to_have_text(say("schedule.none"))
    with browsers.browsing(chromium, here.served.ticket(), timezone_id="America/New_York") as (other, _):
        other.goto(f"{here.served.origin}/schedule")
        page.evaluate("window.isNotReloaded = true")
        plans(page, "Rapat Senat", day)
        for each in (page, other):
            expect(row(each, "Rapat Senat")).to_contain_text("09.00\N{EN DASH}11.00 WITA")
            expect(row(each, "Rapat Senat")).to_contain_text(say("schedule.mode.record"))
            expect(row(each, "Rapat Senat").locator("ol")).to_contain_text(f"09.00 {say('schedule.step.start')}")
        (plan,) = (one["plan"] for one in run(room, "schedule", "list"))
        assert (plan["title"], plan["mode"], plan["streams"]) == ("Rapat Senat", "record", ["kampus"])
        assert (plan["starts_at"], plan["ends_at"]) == (f"{day}T09:00:00+08:00", f"{day}T11:00:00+08:00")
        run(room, "schedule", "add", "--title", "Wisuda", "--starts", f"{TOMORROW} 23:30", "--for", "2h")
        for each in (page, other):
            expect(row(each, "Wisuda")).to_contain_text("01.30")
            expect(each.locator("#days h2").first).to_contain_text(f" {TOMORROW.day} ")
            expect(each.locator("#days .name").first).to_contain_text("Wisuda")  # the earliest comes first
        removes(page, "Rapat Senat")
        for each in (page, other):
            expect(row(each, "Rapat Senat")).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        assert page.evaluate("window.isNotReloaded")
    assert [one["plan"]["title"] for one in run(room, "schedule", "list")] == ["Wisuda"]


def test_a_plan_is_edited_and_repeated_and_overlaps_are_told(here: Here, room: Room) -> None:
    room.configure(OFFICE, 'kampus = "abcd-1234"\n')
    words = ("--starts", f"{TOMORROW} 23:00", "--for", "2h", "--stream", "kampus", "--video", "kamera")
    run(room, "schedule", "add", "--title", "Wisuda", *words)
    run(room, "schedule", "add", "--title", "Rapat", "--starts", f"{TOMORROW} 23:30", "--for", "10m")
    page = here.open("/schedule")
    for title in ("Wisuda", "Rapat"):
        expect(page.get_by_text(say("schedule.overlaps", title=title))).to_be_visible()
    of_plan(page, "Rapat", "schedule.edit").click()
    entry = page.get_by_label(say("start.title"), exact=True)
    expect(entry).to_be_focused()
    page.get_by_label(say("schedule.starts"), exact=True).fill("09:00")
    page.get_by_label(say("schedule.ends"), exact=True).fill("10:30")
    page.get_by_role("button", name=say("schedule.save"), exact=True).click()
    expect(page.locator("#done")).to_have_text(say("schedule.changed", title="Rapat"))
    expect(page.get_by_text(say("schedule.overlaps", title="Rapat"))).to_have_count(0)
    of_plan(page, "Wisuda", "schedule.repeat").click()
    page.get_by_role("button", name=say("schedule.add"), exact=True).click()
    expect(page.locator("#done")).to_have_text(say("schedule.done", title="Wisuda"))
    found = [one["plan"] for one in run(room, "schedule", "list")]
    week = TOMORROW + timedelta(days=7)
    assert [(one["title"], one["starts_at"], one["ends_at"]) for one in found] == [
        ("Rapat", f"{TOMORROW}T09:00:00+08:00", f"{TOMORROW}T10:30:00+08:00"),
        *(("Wisuda", f"{day}T23:00:00+08:00", f"{day + timedelta(days=1)}T01:00:00+08:00") for day in (TOMORROW, week)),
    ]
    assert [(one["streams"], one["videos"]) for one in found[1:]] == [(["kampus"], ["kamera"])] * 2


def test_a_plan_whose_devices_are_held_does_not_say_that_it_runs(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/schedule")
    times = {"starts_at": "2026-11-26T09:00:00+07:00", "ends_at": "2026-11-26T11:00:00+07:00"}
    plan = {"id": "rapat", "title": "Rapat", "mode": "arm", "streams": [], **times}
    found = {"plan": plan, "status": "running", "done": {"recorder": "aaaaaa"}, "coming": [], "overlaps": []}
    page.route("**/api/v1/schedule", lambda route: route.fulfill(json={"zone": "Asia/Jakarta", "plans": [found]}))
    for state, word in (("armed", "armed"), ("live", "running")):
        page.evaluate(browsers.TELL, browsers.made_up(state=state) | {"schedule": "1", "notices": []})
        expect(row(page, "Rapat").locator(".badge").first).to_have_text(say(f"schedule.status.{word}"))


def plans(page: Page, title: str, day: date) -> None:
    """Fill in the form, to be recorded and streamed, with the keyboard alone."""
    fields = {"start.title": title, "schedule.date": f"{day:%d%m%Y}"}
    fields |= {"schedule.starts": "0900A", "schedule.ends": "1100A"}  # A: in the morning, where a browser asks for that
    for key, text in fields.items():
        tab_to(page, page.get_by_label(say(key), exact=True))
        page.keyboard.type(text)
    tab_to(page, page.get_by_label(say("schedule.mode"), exact=True))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    tab_to(page, page.get_by_label("kampus"))
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_have_text(say("schedule.done", title=title))
    expect(page.get_by_label(say("start.title"), exact=True)).to_have_value("")


def removes(page: Page, title: str) -> None:
    """Change one's mind once, then do it, with the keyboard alone."""
    button = of_plan(page, title, "schedule.remove")
    tab_to(page, button)
    page.keyboard.press("Enter")
    expect(page.locator("#sure-text")).to_contain_text(title)
    page.keyboard.press("Enter")  # what has the focus does no harm
    expect(page.locator("#sure")).to_be_hidden()
    expect(button).to_be_focused()
    for key in ("Enter", "Tab", "Enter"):
        page.keyboard.press(key)


def test_notices_stand_above_the_schedule_and_axe_finds_nothing(chromium: Browser, room: Room) -> None:
    room.configure(OFFICE, 'kampus = "abcd-1234"\n')
    notice = {"plan": "a", "at": datetime.now(UTC), "urgent": True, "text": {"id": "Rapat menunggu", "en": "It waits"}}
    words = ("--title", "Kuliah" * 30, "--starts", f"{TOMORROW} 09:00", "--for", "2h", "--mode", "record")
    run(room, "schedule", "add", *words)
    with (
        web.serving(config_file=room.settings, notices=lambda: [notice]) as served,
        browsers.browsing(chromium, served.ticket()) as (page, complaints),
    ):
        page.goto(f"{served.origin}/schedule")
        expect(page.locator("#notices")).to_contain_text("Rapat menunggu")
        expect(row(page, "Kuliah")).to_be_visible()
        browsers.has_no_violation(page)
        for width in (360, 1366, 3840):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        row(page, "Kuliah").get_by_role("button", name=say("schedule.remove")).click()
        expect(page.locator("#sure")).to_be_visible()
        browsers.has_no_violation(page)
        page.keyboard.press("Escape")
        page.get_by_label(say("start.title"), exact=True).fill("Rapat")
        page.get_by_label(say("schedule.date"), exact=True).fill(f"{TOMORROW}")
        page.get_by_label(say("schedule.starts"), exact=True).fill("11:00")
        page.get_by_label(say("schedule.ends"), exact=True).fill("09:00")
        page.get_by_role("button", name=say("schedule.add"), exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("Sesi itu selesai sebelum dimulai.")
        expect(page.get_by_label(say("start.title"), exact=True)).to_have_value("Rapat")
        complaints.clear()  # a browser notes that a request was refused
