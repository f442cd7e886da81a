"""Which mode a camera is asked for: what its link gives and what is known of its make count."""

import pytest

from capture import v4l2
from capture.v4l2 import V4l2Source
from config.errors import DeviceError
from devices.mode_choice import ChosenMode
from devices.model import Device, DeviceKind, Mode

NODE = "/dev/full"
"""No camera: opening ends there, after the mode was chosen."""
YUYV, MJPG = Mode("YUYV", 1280, 720, (30.0, 10.0)), Mode("MJPG", 1280, 720, (60.0, 30.0))


def asked(vid: str, pid: str, rate: float = 30, *, coded_only: bool = False) -> ChosenMode | None:
    camera = Device(id="camera", kind=DeviceKind.CAMERA, name="C", node=NODE, vid=vid, pid=pid, modes=(YUYV, MJPG))
    source = V4l2Source(camera, width=1280, height=720, rate=rate, coded_only=coded_only)
    with pytest.raises(DeviceError):
        source.open()
    source.close()
    return source.mode


def test_uncompressed_pictures_where_the_link_gives_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("1234", "0001") == ChosenMode(YUYV, 30.0)
    monkeypatch.setattr(v4l2, "usable_bps", lambda _: 500_000_000)
    assert asked("1234", "0001") == ChosenMode(YUYV, 30.0)
    monkeypatch.setattr(v4l2, "usable_bps", lambda _: 196_608_000)
    assert asked("1234", "0001") == ChosenMode(MJPG, 30.0)


def test_a_camera_that_is_recorded_apart_is_asked_for_compressed_pictures() -> None:
    assert asked("1234", "0001", coded_only=True) == ChosenMode(MJPG, 30.0)


def test_a_make_that_fails_when_asked_for_a_rate_is_not_asked() -> None:
    assert asked("046d", "082b") == ChosenMode(YUYV, None)
