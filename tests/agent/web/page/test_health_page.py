"""The health log's page in a real browser: plots of a day that is in the log, filters, and what is taken along."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import pytest
from playwright.sync_api import Page, expect

from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_writer import log_folder
from tests.agent.web.page.conftest import Here
from tests.support import browser as browsers
from tests.support.browser import SOON_MS, say

pytestmark = [pytest.mark.server, pytest.mark.slow]

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
        assert (len(json.loads(content)["lines"]) if name.endswith("json") else content.count("\n") - 1) == 131
    browsers.has_no_violation(page)
