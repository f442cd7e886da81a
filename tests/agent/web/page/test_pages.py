"""The pages beside the session screen, in a real browser: check, devices, archive, requests, health."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, Route, expect

from agent.web.page.pages import all_pages
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_writer import log_folder
from tests.agent.web.page.conftest import Here
from tests.support import browser as browsers
from tests.support import command
from tests.support.browser import SOON_MS, Served, Visit, arm, say

pytestmark = [pytest.mark.server, pytest.mark.slow]

CHECKED_MS = 90_000
PODIUM: dict[str, object] = {
    "id": "046d:0825:CAM0001", "kind": "camera", "name": "Rig Webcam", "vid": "046d", "pid": "0825",
    "serial": "CAM0001", "port": "1-1", "node": "/dev/video0", "alsa": None, "role": None,
    "paired_with": None, "link_bps": 480_000_000,
    "modes": [{"format": "MJPG", "width": 640, "height": 480, "fps": [30.0]},
              {"format": "MJPG", "width": 1920, "height": 1080, "fps": [30.0]}],
    "health": {"state": "ok", "reason": None, "since": None, "fault": None},
}  # fmt: skip


def run(served: Served, *words: str) -> dict[str, object]:
    done = command.liput(served.room.home, *words, "--json")
    assert done.returncode in {0, 3}, done.stderr  # 3: this PC was too busy for some pictures
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def recorded(served: Served) -> Path:
    """Record a session with a mark; return its package."""
    session = arm(served, "Seminar Kearsipan")
    run(served, "start", "--session", session)
    run(served, "mark", "--session", session, "Tanya jawab")
    return Path(str(run(served, "stop", "--session", session)["package"]))


def test_a_recording_is_found_played_from_a_chapter_downloaded_and_verified(looked: Visit) -> None:
    package = recorded(looked.served)
    page = looked.open("/archive")
    page.get_by_label(say("archive.search"), exact=True).fill("tanya")
    page.keyboard.press("Enter")
    expect(page.locator("#found tr")).to_have_count(1, timeout=SOON_MS)
    expect(page.locator("#found mark")).to_have_text("Tanya")
    page.get_by_role("link", name="Seminar Kearsipan").click()
    _plays_from_a_chapter(page, package)
    with page.expect_download() as download:
        page.get_by_role("link", name=say("package.download")).click()
    assert download.value.path().read_bytes() == (package / "data/media/program.mp4").read_bytes()
    page.get_by_role("button", name=say("package.verify")).click()
    expect(page.locator("#verified")).to_contain_text(say("package.whole"), timeout=SOON_MS)
    expect(page.get_by_role("link", name=say("package.report"))).to_be_hidden()  # this room makes none


def test_a_recording_that_lacks_something_is_not_called_complete(looked: Visit) -> None:
    done = looked.served.room.record(
        "--isolate", "--for", "1s"
    )  # raw pictures cannot be copied into a file of their own
    assert done.result["degraded"]
    page = looked.open(f"/archive/{Path(str(done.result['package'])).name}")
    expect(page.locator("#degraded li")).to_have_count(1, timeout=SOON_MS)
    expect(page.locator("#state")).to_have_text("tersimpan")
    expect(page.locator("#state")).to_have_class("badge warn")


def _plays_from_a_chapter(page: Page, package: Path) -> None:
    (mark,) = json.loads((package / "metadata/recording.json").read_text())["marks"]
    page.get_by_role("button", name="Tanya jawab").click()
    page.wait_for_function(
        "at => document.getElementById('video').currentTime >= at", arg=mark["media_s"], timeout=SOON_MS
    )
    assert page.evaluate("document.getElementById('video').error") is None


def test_what_is_not_found_and_what_is_damaged_is_said(looked: Visit) -> None:
    package = recorded(looked.served)
    page = looked.open("/archive?q=no-such-word")
    expect(page.get_by_text(say("archive.none"))).to_be_visible(timeout=SOON_MS)
    poster = next((package / "data/media").glob("*.mp4"))
    poster.chmod(0o644)
    content = bytearray(poster.read_bytes())
    content[len(content) // 2] ^= 1
    poster.write_bytes(content)
    page = looked.open(f"/archive/{package.name}")
    page.get_by_role("button", name=say("package.verify")).click()
    expect(page.locator("#verified")).to_contain_text(say("package.broken"), timeout=SOON_MS)
    expect(page.locator("#verified")).to_contain_text("data/media/program.mp4")


def test_a_check_is_run_and_what_people_saw_themselves_counts(looked: Visit) -> None:
    page = looked.open("/check")
    expect(page.get_by_text(say("check.never"))).to_be_visible(timeout=SOON_MS)
    page.get_by_label(say("check.quick")).check()
    _run_check(page)
    tripod = page.locator("#problems li").filter(has_text=say("check.part.tripod"))
    expect(tripod).to_contain_text(say("verdict.unchecked"))
    first = page.locator("#problems .badge").first.inner_text()
    assert first == say("verdict.failure"), "what keeps a session from beginning comes first"
    tripod.get_by_label(say("check.seen")).check()
    _run_check(page)
    expect(tripod).to_have_count(0, timeout=SOON_MS)
    assert say("check.part.tripod") in (page.locator("#fine").text_content() or "")


def _run_check(page: Page) -> None:
    page.get_by_role("button", name=say("check.run")).click()
    expect(page.locator("#progress")).to_have_text(say("check.running"), timeout=SOON_MS)
    expect(page.locator("#progress")).to_have_text("", timeout=CHECKED_MS)
    expect(page.locator("#verdict")).to_be_visible()


def test_a_card_for_each_device_that_comes_and_goes(looked: Visit) -> None:
    there: list[dict[str, object]] = []
    looked.page.route("**/api/v1/devices", lambda route: route.fulfill(json=there))  # no camera is plugged into CI
    page = looked.open("/devices")
    expect(page.get_by_text(say("devices.none"))).to_be_visible(timeout=SOON_MS)
    there.append(PODIUM)
    card = page.locator("#devices li")
    expect(card).to_contain_text(say("devices.best", width=1920, height=1080), timeout=SOON_MS)
    health = {"state": "frozen", "reason": "...", "since": None, "fault": "frozen"}
    there[0] = PODIUM | {"role": "podium", "health": health, "text": {"id": "Kamera podium membeku.", "en": "..."}}
    expect(card).to_contain_text("Kamera podium membeku.", timeout=SOON_MS)
    expect(card.get_by_role("combobox")).to_have_value("podium")
    asked: list[object] = []

    def take(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={})

    page.route("**/role", take)
    card.get_by_role("combobox").select_option("")
    expect(card.get_by_role("combobox")).to_be_enabled(timeout=SOON_MS)
    assert asked == [{"role": None}]
    card.get_by_role("combobox").select_option("room")
    expect(card.get_by_role("combobox")).to_be_enabled(timeout=SOON_MS)
    assert asked[1:] == [{"role": "room"}], "a device moves in one step"
    there.clear()
    expect(card).to_have_count(0, timeout=SOON_MS)


def test_a_request_leads_to_the_recording_for_it(looked: Visit) -> None:
    request = run(
        looked.served,
        "request",
        "new",
        "--event",
        "Seminar Nasional",
        "--unit",
        "Fakultas Teknik",
        "--received",
        "kemarin 08:10",
    )
    page = looked.open("/requests")
    expect(page.locator("#requests li")).to_contain_text("Fakultas Teknik", timeout=SOON_MS)
    page.get_by_role("link", name="Seminar Nasional").click()
    expect(page.locator("#steps tr")).to_have_count(6, timeout=SOON_MS)
    expect(page.locator("#steps tr").nth(1)).to_contain_text(say("step.dispose", to="Kepala BPKH"))
    expect(page.locator("#steps tr").nth(1)).to_contain_text(say("step.state.waiting"))
    page.get_by_role("link", name=say("requests.record")).click()
    expect(page.get_by_label(say("start.request"))).to_have_value(str(request["id"]), timeout=SOON_MS)
    expect(page.get_by_label(say("start.title"))).to_have_value("Seminar Nasional")


def test_axe_finds_nothing_on_any_page_in_any_language(looked: Visit) -> None:
    served = looked.served
    package = recorded(served)
    request = run(served, "request", "new", "--event", "Seminar Nasional", "--received", "kemarin 08:10")
    command.liput(served.room.home, "check", "--quick", "--video", "synthetic")
    menu = [page.path for page in all_pages() if page.name]
    paths = [*menu, f"/archive/{package.name}", f"/requests/{request['id']}"]
    for path in paths:
        for language in ("id", "en"):
            page = looked.open(f"{path}?lang={language}")
            page.wait_for_load_state("networkidle")
            looked.has_no_violation()
    looked.page.set_viewport_size({"width": 360, "height": 740})
    for path in paths:
        page = looked.open(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


# The health log's page in a real browser: plots of a day that is in the log, filters, and what is taken along


CAMERA, MICROPHONE = "046d:0825:A", "0d8c:0014:1-3"


def line(
    minutes_ago: float, kind: LogKind, device: str, level: LogLevel = LogLevel.DEBUG, **detail: object
) -> HealthLine:
    names = {CAMERA: "Webcam", MICROPHONE: "Mik meja"}
    at = datetime.now().astimezone() - timedelta(minutes=minutes_ago)
    return HealthLine(at=at, device=device, name=names.get(device, ""), level=level, kind=kind, detail=detail)


def day() -> Iterator[HealthLine]:
    """Yield a recording of two hours with a bad quarter, ten hours ago; one of ten minutes now; a full disk."""
    for minute in range(600, 480, -1):
        bad = 540 > minute > 525
        yield line(minute, LogKind.SAMPLE, CAMERA, fps=12.5 if bad else 30.0, missing=17 if bad else 0, damaged=0)
    yield line(538, LogKind.DEGRADED, CAMERA, LogLevel.WARN, fault="slow")
    for minute in range(10, 0, -1):
        yield line(minute, LogKind.SAMPLE, CAMERA, fps=30.0, missing=0, damaged=0)
        yield line(minute, LogKind.SAMPLE, MICROPHONE, overflows=1 if minute == 3 else 0)
    yield line(300, LogKind.DEGRADED, PC, LogLevel.ERROR, fault="low-disk")


@pytest.fixture
def page(here: Here) -> Page:
    folder = log_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for one in sorted(day(), key=lambda one: one.at):
        with (folder / f"{one.at:%Y-%m-%d}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")
    return here.open("/health")


def test_rates_losses_and_faults_are_plotted_for_each_device(page: Page) -> None:
    plots = page.locator("#plots > li")
    expect(plots.get_by_role("heading")).to_have_text(["Mik meja", "Webcam", "pc"], timeout=SOON_MS)
    camera = plots.nth(1)
    expect(camera).to_contain_text(say("log.plot.rate", least="12,5", most="30,0"))
    expect(camera).to_contain_text(say("log.plot.lost", count=17 * 14))
    expect(camera).to_contain_text(say("log.plot.faults", count=1))
    before, now = (each.get_attribute("points") or "" for each in camera.locator("polyline.rate").all())
    xs, ys = zip(*(map(float, pair.split(",")) for pair in before.split()), strict=True)
    assert (round(min(xs) / 600, 1), round(max(xs) / 600, 1)) == (0.6, 0.7), "from 14 to 16 hours after the plot begins"
    assert (min(ys), max(ys)) == (pytest.approx(160 * (1 - 1 / 1.1)), pytest.approx(160 * (1 - 12.5 / 33)))
    assert float(now.split()[-1].split(",")[0]) > 594, "up to now, or the step before"
    assert 1 <= camera.locator("polyline.lost").count() <= 3
    assert camera.locator("polyline.fault").count() == 1
    assert page.locator("#plots > li").nth(2).locator("polyline.rate").count() == 0


def test_filters_hold_for_the_plots_too_and_all_is_taken_along(page: Page) -> None:
    expect(page.locator("#plots > li")).to_have_count(3, timeout=SOON_MS)
    page.get_by_label(say("log.since")).select_option("1h")
    expect(page.locator("#plots > li")).to_have_count(2, timeout=SOON_MS)
    page.get_by_label(say("log.since")).select_option("1d")
    page.get_by_label(say("log.level")).select_option("debug")
    page.get_by_label(say("log.device")).select_option(CAMERA)
    expect(page.locator("#plots > li").get_by_role("heading")).to_have_text(["Webcam"], timeout=SOON_MS)
    expect(page.locator("#lines tr")).to_have_count(131, timeout=SOON_MS)
    for name in ("log.export", "log.export.json"):
        with page.expect_download() as download:
            page.get_by_role("link", name=say(name)).click()
        content = download.value.path().read_text()
        assert name.endswith("json") or content.startswith("\ufeffat,device"), "marked as UTF-8, for spreadsheets"
        assert (len(json.loads(content)["lines"]) if name.endswith("json") else content.count("\n") - 1) == 131
    browsers.has_no_violation(page)
