"""A hall with its devices, one of them in trouble, on the page of a daemon that runs in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.state import STATE_VARIABLE as STATE
from devices.health.faults import Fault, HealthTracker
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Mode
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support import plugged, web
from tests.support.web import Page

MICROPHONE = Device(
    id="0b0e:0412:A1", kind=DeviceKind.MICROPHONE, name="Speak 410", vid="0b0e", pid="0412", serial="A1", port="1-4"
)
CARD = Device(
    id="0fd9:0066:B2", kind=DeviceKind.CAPTURE_CARD, name="Cam Link 4K", vid="0fd9", pid="0066", serial="B2",
    port="2-1", node="/dev/video4", modes=(Mode("YUYV", 1920, 1080, (60.0,)),),
)  # fmt: skip
ROLES = {plugged.CAMERA.id: "podium", CARD.id: "slides", MICROPHONE.id: "microphone"}


@contextmanager
def equipped(folder: Path, settings: Path) -> Iterator[Page]:
    """Serve the page while the body runs; what it keeps is in `folder`. The capture card gets no signal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUNTIME, str(folder / "runtime"))
        patch.setenv(STATE, str(folder / "state"))
        plugged.plug(patch, CARD, MICROPHONE).values["power_line_frequency"] = 1  # as the lamps here have it
        with web.serving(config_file=settings, folder=folder / "arsip") as page:
            for device, role in ROLES.items():
                assert page.post(f"/api/v1/devices/{device}/role", {"role": role}).status == 200
            clock = SystemClock()
            with HealthLog(clock=clock, journal=None) as log:
                HealthTracker(CARD.id, CARD.name, record=log, clock=clock).find(Fault.NO_SIGNAL, "there is no signal")
            yield page
