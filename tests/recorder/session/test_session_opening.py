"""How a session begins where sources are slow, hang, or are not there: in this process and in real time."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capture.pacing import Pace, RealPace
from capture.source import Frame, VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource
from capture.sources.worker import DeviceSupervision, FixedLocator
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import NO_THREAD_MESSAGE, DeviceError
from devices.host.clock import SystemClock
from devices.host.deadline import close_within, count_hung_closings
from devices.model.device import Device, DeviceKind
from recorder.model.status import SessionState
from recorder.program.mixer import SoundInput
from recorder.running.protocol import to_failure
from recorder.session import inputs
from tests.support.errors import because
from tests.support.sessions import HEIGHT, LAYOUTS, RATE, WIDTH, Armed, picture_numbers, program, supervised
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("sessions in real time", lane="sessions"), pytest.mark.usefixtures("no_thread_is_left")]

HERE = FixedLocator(Device(id="x", kind=DeviceKind.CAMERA, name="Podium"))

type Opens = Callable[[], object]


class Camera(SyntheticVideo):
    """A camera that does `opens` when it is opened; it is silent unless `gives`, and lost once `is_lost`."""

    def __init__(self, opens: Opens = int, *, gives: bool = True) -> None:
        self.stop = threading.Event()
        self.pace: Pace = RealPace(SystemClock(), self.stop)
        super().__init__(WIDTH, HEIGHT, RATE, self.pace, self.stop)
        self.opens, self.gives, self.is_lost = opens, gives, False

    def open(self) -> VideoFormat:
        self.opens()
        self.pace.begin()
        return super().open()

    def read(self, timeout_s: float) -> Frame | None:
        if self.is_lost:
            raise DeviceError("the podium was unplugged", why="lost")
        frame = super().read(timeout_s)
        return frame if self.gives else None

    def supervised(self) -> ChosenSource[VideoSource]:
        return supervised(self, HERE)


class Microphone(SyntheticAudio):
    """A microphone that does `opens` when it is opened."""

    def __init__(self, opens: Opens = int) -> None:
        self.stop = threading.Event()
        self.pace = RealPace(SystemClock(), self.stop)
        super().__init__(self.pace, self.stop)
        self.opens = opens

    def open(self) -> None:
        self.opens()
        self.pace.begin()
        super().open()

    def input(self) -> SoundInput:
        return SoundInput("mimbar", self, DeviceSupervision(HERE))


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Return what hanging sources wait for; they are let go in the end."""
    event = threading.Event()
    yield event
    event.set()


def test_the_camera_that_was_named_first_gets_the_room_on_the_bus(tmp_path: Path) -> None:
    order: list[str] = []
    second_is_ready = threading.Event()

    def open_first() -> None:
        assert not second_is_ready.wait(0.3)
        order.append("first")

    def open_second() -> None:
        second_is_ready.set()
        order.append("second")

    with Armed(tmp_path, Camera(open_first).supervised(), Camera(open_second).supervised()) as armed:
        armed.end()
    assert order == ["first", "second"]


def test_none_waits_long_for_another_to_be_opened(tmp_path: Path) -> None:
    all_of_them = threading.Barrier(3)
    cameras = [Camera(lambda: all_of_them.wait(20)) for _ in range(2)]
    armed = Armed(
        tmp_path, *(one.supervised() for one in cameras), sounds=[Microphone(lambda: all_of_them.wait(20)).input()]
    )
    with armed:
        assert armed.session.status().state is SessionState.ARMED
        assert armed.end().state is SessionState.IDLE
    assert not all_of_them.broken


def test_a_source_that_hangs_does_not_keep_the_others_from_beginning(tmp_path: Path, release: threading.Event) -> None:
    hangs, well = Camera(lambda: release.wait(30)), Camera()
    armed = Armed(tmp_path, hangs.supervised(), well.supervised(), may_miss=True, layouts=LAYOUTS, layout="1")
    armed.session.start()
    with armed:
        armed.until(SessionState.DEGRADED)
        assert armed.session.status().troubles == ["source-missing: source 1"]
        wait_for(lambda: armed.session.status().frames > RATE // 2)  # of the second that was waited for it
        armed.session.layout("2")
        armed.wait(armed.session.status().elapsed_s + 0.5)
        release.set()
        armed.until(SessionState.LIVE)
        armed.session.layout("1")
        armed.wait(armed.session.status().elapsed_s + 0.5)
        result = armed.end()
    numbers = picture_numbers(program(result))
    assert numbers[: RATE // 2] == [-1] * (RATE // 2)  # its slate, from the first moment on
    assert sum(number >= 0 for number in numbers) > 0.75 * RATE
    assert numbers[-1] >= 0
    assert result.degraded[0] == "source-missing: source 1"
    assert ("source-returned", "source 1") in armed.events


def test_without_leave_a_silent_first_camera_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "FIRST_PICTURE_S", 0.5)
    armed = Armed(tmp_path, Camera(gives=False).supervised(), Camera().supervised(), layouts=LAYOUTS, layout="1")
    with pytest.raises(DeviceError, match="source 1 gives no picture"):
        armed.session.run()


@pytest.mark.parametrize("name", ["read-synthetic picture", "track-audio", "storage-open", "recording-sync"])
def test_a_pc_that_has_no_thread_to_give_is_told_so_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError(NO_THREAD_MESSAGE)
        start(thread)

    armed = Armed(tmp_path)
    armed.session.start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(Exception, match=r"^(can't start new|this PC has no more) thread") as failed:
            armed.session.run()
    told = to_failure(failed.value)
    assert (told.message, told.hint[:20]) == ("this PC has no more threads or memory to give", "close other programs")
    assert [*(tmp_path / "arsip").rglob("*.mp4"), *(tmp_path / "arsip").rglob("begun.json")] == []


def test_a_refusal_is_told_though_another_source_hangs(tmp_path: Path, release: threading.Event) -> None:
    def refuses() -> None:
        raise DeviceError("the podium is used by Zoom", hint="close Zoom", why="busy")

    hangs, refused = Camera(lambda: release.wait(30)), Camera(refuses)
    armed = Armed(tmp_path, hangs.supervised(), refused.supervised(), layouts=LAYOUTS, layout="1")
    with pytest.raises(DeviceError, match="Zoom", check=because("busy")):
        armed.session.run()
    assert not release.is_set()
    assert armed.session.status().state is SessionState.FAILED


def test_a_session_is_stopped_though_a_source_hangs_when_it_is_opened(tmp_path: Path, release: threading.Event) -> None:
    hangs = Camera()
    armed = Armed(tmp_path, hangs.supervised())

    def stop_and_hang() -> None:
        armed.session.stop()
        release.wait(30)

    hangs.opens = stop_and_hang
    assert armed.session.run().state is SessionState.IDLE
    assert not release.is_set()


def test_sound_that_may_be_missing_and_hangs_holds_up_the_picture_for_a_second_at_most(
    tmp_path: Path, release: threading.Event
) -> None:
    microphone = Microphone(lambda: release.wait(30)).input()
    armed = Armed(tmp_path, sounds=[microphone], may_miss=True)  # its picture may not be missing
    armed.session.start()
    with armed:
        armed.until(SessionState.DEGRADED)
        assert armed.session.status().troubles == ["source-silent: mimbar"]
        armed.wait(1)
        release.set()
        armed.until(SessionState.LIVE)
        result = armed.end()
    assert ("source-returned", "mimbar") in armed.events
    assert result.degraded == ["source-silent: mimbar"]


def test_what_is_needed_is_waited_for_and_named_whatever_else_hangs(
    tmp_path: Path, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "MISSED_S", 0.2)
    monkeypatch.setattr(inputs, "OPEN_S", 0.7)
    optional, needed = (Camera(lambda: release.wait(30)).supervised() for _ in range(2))
    armed = Armed(tmp_path, optional, needed, layouts=LAYOUTS, layout="1")
    assert optional.supervision
    optional.supervision.may_miss, needed.source.name = True, "podium"
    with pytest.raises(DeviceError, match="podium cannot be opened: it does not answer"):
        armed.session.run()


def test_a_camera_that_does_not_let_go_is_counted_and_told(tmp_path: Path, release: threading.Event) -> None:
    class Hung(Camera):
        def close(self) -> None:
            close_within(lambda: release.wait(30), 0.05, "/dev/video1")

        @property
        def abandoned(self) -> int:
            return count_hung_closings("/dev/video1")

    hung = Hung()
    armed = Armed(tmp_path, hung.supervised())
    armed.session.start()
    with armed:
        armed.until(SessionState.LIVE)
        assert armed.session.status().abandoned == 0
        hung.is_lost = True
        wait_for(lambda: "source-hung" in armed.kinds)
        assert armed.session.status().abandoned >= 1
        hung.is_lost = False
        result = armed.end()
        release.set()
    assert "source-hung: source 1" in result.degraded
