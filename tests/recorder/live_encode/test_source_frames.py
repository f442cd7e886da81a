"""The pictures of a session's sources, read to measure what it takes."""

import threading
from fractions import Fraction

import pytest

from capture.pacing import RealPace
from capture.source import VideoFormat
from capture.sources import device_selector
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError
from config.settings.schema import Profile, Settings
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Mode
from recorder.live_encode.source_frames import source_frames
from tests.support.errors import because

MODES = (Mode("MJPG", 160, 120, (15,)),)
CAMERA = Device(
    id="046d:0825:A",
    kind=DeviceKind.CAMERA,
    name="Webcam",
    node="/dev/video0",
    modes=MODES,
    vid="046d",
    pid="0825",
    serial="A",
)
ASKED = Profile(width=160, height=120, fps=Fraction(15), video_bitrate=300_000)


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[DeviceError]:
    """Return what a camera's next openings raise, the last one first."""
    refusals: list[DeviceError] = []

    class Camera(SyntheticVideo):
        def __init__(self, *_device: Device, **_asked: object) -> None:
            stop = threading.Event()
            self.pace = RealPace(SystemClock(), stop)
            super().__init__(ASKED.width, ASKED.height, ASKED.fps, self.pace, stop)

        def open(self) -> VideoFormat:
            if refusals:
                raise refusals.pop()
            self.pace.begin()
            return super().open()

    monkeypatch.setattr(device_selector, "list_devices", lambda: [CAMERA])
    monkeypatch.setattr(device_selector, "V4l2Source", Camera)
    return refusals


def test_a_camera_that_another_program_has_for_a_moment_is_waited_for(refusals: list[DeviceError]) -> None:
    refusals.append(DeviceError("used by vlc", why="busy"))
    with source_frames((CAMERA.id,), ASKED, Settings(), SystemClock()) as (form, count, pictures):
        assert (form.width, count) == (ASKED.width, 1)
        assert next(pictures).width == ASKED.width


def test_a_camera_that_another_program_keeps_is_refused_with_its_reason(
    refusals: list[DeviceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.live_encode.source_frames.FREE_WITHIN_S", 0.3)
    refusals.extend([DeviceError("used by vlc", hint="close it", why="busy")] * 3)
    with (
        pytest.raises(DeviceError, match="used by vlc", check=because("busy")),
        source_frames((CAMERA.id,), ASKED, Settings(), SystemClock()),
    ):
        pass
