"""A camera that a test plugs into a daemon that runs in its own process, with the controls of fake_camera.py."""

from types import TracebackType

import msgspec
import pytest

from devices.model.device import Device, DeviceKind, Mode
from tests.support.fake_camera import FakeCamera

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
