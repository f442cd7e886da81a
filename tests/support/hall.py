"""Devices that a test plugs into a daemon that runs in its own process, with the controls of a FakeCamera."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec
import pytest

from config.state import STATE_VARIABLE as STATE
from devices.health.faults import Fault, HealthTracker
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Mode
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support import web
from tests.support.camera_controls import FakeCamera
from tests.support.web import Page

CAMERA = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam C270", vid="046d", pid="0825", serial="CAM1", port="1-1",
    node="/dev/video9", modes=(Mode("MJPG", 1280, 720, (30.0,)),),
)  # fmt: skip


class Panel:
    """Opens a FakeCamera as ControlPanel opens a node."""

    def __init__(self, camera: FakeCamera) -> None:
        self._camera = camera

    def __call__(self, _node: str, _name: str, *, to_set: bool = False) -> "Panel":
        return self

    def __enter__(self) -> FakeCamera:
        return self._camera

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def plug(monkeypatch: pytest.MonkeyPatch, *more: Device) -> FakeCamera:
    """Plug in CAMERA, and `more`, for as long as the test runs; return what its controls are."""
    camera, devices = FakeCamera(), [CAMERA, *more]
    for place in ("agent.devices.listing", "agent.devices.page"):
        monkeypatch.setattr(f"{place}.list_devices", lambda: list(devices))
    monkeypatch.setattr("agent.devices.listing.server_inputs", list)
    monkeypatch.setattr("agent.web.api.devices.ControlPanel", Panel(camera))
    return camera


def another(name: str, serial: str) -> Device:
    """Return a second camera of the same model."""
    return msgspec.structs.replace(
        CAMERA, id=f"046d:0825:{serial}", name=name, serial=serial, port="1-2", node="/dev/video11"
    )


MICROPHONE = Device(
    id="0b0e:0412:A1", kind=DeviceKind.MICROPHONE, name="Speak 410", vid="0b0e", pid="0412", serial="A1", port="1-4"
)
CARD = Device(
    id="0fd9:0066:B2", kind=DeviceKind.CAPTURE_CARD, name="Cam Link 4K", vid="0fd9", pid="0066", serial="B2",
    port="2-1", node="/dev/video4", modes=(Mode("YUYV", 1920, 1080, (60.0,)),),
)  # fmt: skip
ROLES = {CAMERA.id: "podium", CARD.id: "slides", MICROPHONE.id: "microphone"}


@contextmanager
def equipped(folder: Path, settings: Path) -> Iterator[Page]:
    """Serve the page while the body runs; what it keeps is in `folder`. The capture card gets no signal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUNTIME, str(folder / "runtime"))
        patch.setenv(STATE, str(folder / "state"))
        plug(patch, CARD, MICROPHONE).values["power_line_frequency"] = 1  # as the lamps here have it
        with web.serving(config_file=settings, folder=folder / "arsip") as page:
            for device, role in ROLES.items():
                assert page.post(f"/api/v1/devices/{device}/role", {"role": role}).status == 200
            clock = SystemClock()
            with HealthLog(clock=clock, journal=None) as log:
                HealthTracker(CARD.id, CARD.name, record=log, clock=clock).find(Fault.NO_SIGNAL, "there is no signal")
            yield page
