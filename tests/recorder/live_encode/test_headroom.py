"""What a PC can do: measured with the real encoders and sources, remembered, and chosen by."""

import threading
import time
from fractions import Fraction

import av
import msgspec
import pytest

from capture.pacing import RealPace
from capture.source import ColorMatrix, VideoFormat
from capture.sources import device_selector
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError, LiputError
from config.settings.schema import BUILT_IN_PROFILES, Profile, Settings
from config.state import state_folder
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Mode
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VideoSettings
from recorder.live_encode import headroom
from recorder.live_encode.headroom import (
    SPARE,
    EncodeMode,
    EncodeReason,
    Headroom,
    HeadroomQuery,
    choose_encode,
    usable_cores,
)
from recorder.live_encode.measurement import measure_headroom
from recorder.live_encode.source_frames import source_frames
from recorder.model.packet import EncodedPacket
from tests.support.errors import because
from tests.support.waiting import wait_for

SMALL = VideoSettings(320, 240, Fraction(15), ColorMatrix.BT601, 300_000, 300_000)
ASKED = HeadroomQuery(BUILT_IN_PROFILES["240p15"], 300_000)
PLENTY = Headroom(one_encode=0.4, two_encodes=0.7, cores=4)
NONE = Headroom(one_encode=1.2, two_encodes=2.2, cores=2)


def test_two_encodes_are_measured_beside_one_and_the_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, encoded = Encoder.encode_video, list[int]()

    def counted(encoder: Encoder, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        encoded.append(pts)
        return encode(encoder, picture, pts)

    monkeypatch.setattr(Encoder, "encode_video", counted)
    monkeypatch.setattr(time, "process_time", lambda: 0.01 * len(encoded))
    found = measure_headroom(SMALL, AudioSettings(2, 64_000), 300_000, seconds=1.0)
    assert found == Headroom(one_encode=0.15, two_encodes=0.3, cores=usable_cores())


@pytest.mark.parametrize(("two", "count", "affords"), [(1.4, 2, True), (1.41, 2, False)])
def test_thirty_per_cent_are_to_spare(two: float, count: int, affords: bool) -> None:
    found = Headroom(one_encode=two / 2, two_encodes=two, cores=count)
    assert found.affords_two is affords
    assert found.affords_two == (found.spare >= SPARE)


@pytest.mark.parametrize(
    ("wish", "known", "expected"),
    [
        ("shared", PLENTY, ("shared", "set")),
        ("separate", NONE, ("separate", "set")),
        ("auto", PLENTY, ("separate", "headroom")),
        ("auto", NONE, ("shared", "no-headroom")),
        ("auto", None, ("shared", "not-measured")),
    ],
)
def test_the_choice(wish: str, known: Headroom | None, expected: tuple[EncodeMode, EncodeReason]) -> None:
    assert choose_encode(wish, known) == expected


def test_what_was_measured_beside_a_session_is_remembered_for_its_profile_only() -> None:
    assert headroom.remembered(ASKED) is None
    measuring = headroom.HeadroomMeasurement().look_up(ASKED, measures=True)
    found = wait_for(lambda: measuring.found, 240)  # 3 s of encoding on a free PC
    assert found
    assert min(found.one_encode, found.two_encodes) > 0
    assert headroom.remembered(ASKED) == found
    other = msgspec.structs.replace(ASKED.profile, preset="medium")
    assert headroom.remembered(msgspec.structs.replace(ASKED, profile=other)) is None
    assert headroom.remembered(msgspec.structs.replace(ASKED, most=123_456)) == found, "bit rates hardly matter"


@pytest.mark.parametrize(("what", "other"), [("VERSION", "9.9"), ("usable_cores", lambda: 99)])
def test_a_figure_of_another_program_or_pc_is_none_of_this_one(
    monkeypatch: pytest.MonkeyPatch, what: str, other: object
) -> None:
    headroom.remember(ASKED, PLENTY)
    assert headroom.remembered(ASKED) == PLENTY
    monkeypatch.setattr(headroom, what, other)
    assert headroom.remembered(ASKED) is None


def test_a_file_that_cannot_be_read_is_no_figure() -> None:
    headroom.remember(ASKED, PLENTY)
    (state_folder() / "headroom.json").write_text("{")
    assert headroom.remembered(ASKED) is None


def test_a_pc_that_is_not_done_in_time_has_nothing_to_spare_and_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(headroom, "LONGEST_S", 0.01)
    found = headroom.HeadroomMeasurement().run(ASKED)
    assert not found.affords_two
    assert headroom.remembered(ASKED) == found


def test_a_start_ends_it_at_once_and_nothing_is_remembered() -> None:
    slow = HeadroomQuery(BUILT_IN_PROFILES["1080p60"], 7_000_000)
    measuring = headroom.HeadroomMeasurement().look_up(slow, measures=True)
    child = wait_for(lambda: measuring.child)
    assert child is not None
    measuring.stop()
    wait_for(lambda: child.status is not None)
    assert headroom.remembered(slow) is None
    with pytest.raises(LiputError, match="ended"):
        measuring.run(slow)


def test_a_folder_that_hangs_delays_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(headroom, "remembered", lambda _: PLENTY if answers.wait(120) else None)
    measuring = headroom.HeadroomMeasurement().look_up(ASKED, measures=False)
    assert measuring.found is None
    answers.set()
    assert wait_for(lambda: measuring.found, 240)  # 3 s of encoding on a free PC == PLENTY


def test_what_cannot_be_measured_says_so() -> None:
    wrong = msgspec.structs.replace(ASKED.profile, preset="no such preset")
    with pytest.raises(LiputError, match="could not be measured"):
        headroom.HeadroomMeasurement().run(msgspec.structs.replace(ASKED, profile=wrong))


# The sources of a session, read to measure what it takes

MODES = (Mode("MJPG", 160, 120, (15,)),)
CAMERA = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video0", modes=MODES)
PROFILE = Profile(width=160, height=120, fps=Fraction(15), video_bitrate=300_000)


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[DeviceError]:
    """Return what a camera's next openings raise, the last one first."""
    refusals: list[DeviceError] = []

    class Camera(SyntheticVideo):
        def __init__(self, *_device: Device, **_asked: object) -> None:
            stop = threading.Event()
            self.pace = RealPace(SystemClock(), stop)
            super().__init__(PROFILE.width, PROFILE.height, PROFILE.fps, self.pace, stop)

        def open(self) -> VideoFormat:
            if refusals:
                raise refusals.pop()
            self.pace.begin()
            return super().open()

    monkeypatch.setattr(device_selector, "list_devices", lambda: [CAMERA])
    monkeypatch.setattr(device_selector, "V4l2Source", Camera)
    return refusals


def test_a_camera_that_another_program_has_is_waited_for_and_refused_with_its_reason_if_that_keeps_it(
    refusals: list[DeviceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = DeviceError("used by vlc", hint="close it", why="busy")
    refusals.append(busy)
    with source_frames((CAMERA.id,), PROFILE, Settings(), SystemClock()) as (form, count, pictures):
        assert (form.width, count) == (PROFILE.width, 1)
        assert next(pictures).width == PROFILE.width
    monkeypatch.setattr("recorder.live_encode.source_frames.FREE_WITHIN_S", 0.3)
    refusals.extend([busy] * 3)
    with (
        pytest.raises(DeviceError, match="used by vlc", check=because("busy")),
        source_frames((CAMERA.id,), PROFILE, Settings(), SystemClock()),
    ):
        pass
