"""A device that is plugged in has its card within two seconds: a real browser, server, monitor; messages replayed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from agent.devices.part import DevicesPart
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from tests.support import browser as browsers
from tests.support import web
from tests.support.browser import SOON_MS, say
from tests.support.looks import WEBCAM
from tests.support.watched import Ports

pytestmark = [pytest.mark.server, pytest.mark.slow]

BAR_S = 2.0


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    made.netlink.close()


def test_cards_come_and_go_within_two_seconds(
    chromium: Browser, runtime: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.sound.inputs.server_inputs", list)  # this PC's sound servers are none of ours
    part = DevicesPart(Settings(), SystemClock(), print, monitor=ports.monitor)
    with (
        web.serving(beside=[part], devices=part) as page,
        browsers.browsing(chromium, page.ticket()) as (looked, _),
    ):
        looked.goto(f"{page.origin}/devices")
        expect(looked.get_by_text(say("devices.none"))).to_be_visible(timeout=SOON_MS)
        looked.wait_for_timeout(2500)  # it is not the page's own asking that finds it
        asked: list[str] = []
        looked.on("request", lambda request: asked.append(request.url))
        for count in (1, 0):
            began_s = time.monotonic()
            if count:
                ports.plug(WEBCAM, "1-1")
            else:
                ports.unplug("1-1")
            expect(looked.locator("#devices li")).to_have_count(count, timeout=SOON_MS)
            took_s = time.monotonic() - began_s
            assert took_s < BAR_S
        assert not [url for url in asked if not url.endswith("/api/v1/devices")]
        assert 2 <= len(asked) <= 6, "it asks because it is told to"
