"""The worker of a source: its states and reconnects, on a simulated clock."""

import itertools
import re
import threading
from collections import deque
from fractions import Fraction

import av
import numpy as np
import pytest

from capture.source import AudioBlock, AudioSource, ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.sources.worker import (
    MOST_STUCK_S,
    STUCK_S,
    AudioWorker,
    DeviceLocator,
    DeviceSupervision,
    LocatedDevice,
    OutageKind,
    SourceEvents,
    SourceOutage,
    SourceState,
    SourceWorker,
    VideoWorker,
)
from config.errors import DeviceError, DeviceNotFound
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind
from tests.support.errors import because
from tests.support.pages import ROOT, section
from tests.support.simulated import SimulatedClock

FORM = VideoFormat(16, 16, Fraction(30), ColorMatrix.BT601)
HERE = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", port="1-1", node="/dev/video0")
THERE = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video2")


class Plugged(DeviceLocator):
    """A device that can be unplugged, and its locator."""

    name = "Webcam"
    abandoned = 0

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.at: Device | None = HERE
        self.gives = True
        self.refusals: deque[Exception] = deque()
        self.failures: deque[Exception] = deque()
        """Errors that reading and finding raise first."""
        self.opened: list[str | None] = []
        self.closed = 0
        self.regains = 0
        self.is_open = False
        self._device = HERE

    def relocate(self, device: Device) -> None:
        self._device = device

    def _open(self) -> None:
        self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 2)
        if self.refusals:
            raise self.refusals.popleft()
        if self.at is None or self.at.node != self._device.node:
            raise DeviceNotFound("not there")
        self.opened.append(self._device.node)
        self.is_open = True

    def _gives(self, timeout_s: float) -> bool:
        if self.failures:
            raise self.failures.popleft()
        if not self.is_open or self.at is None or self.at.node != self._device.node:
            raise DeviceError("the Webcam was unplugged", hint="plug it in", why="lost")
        self.clock.advance_to(self.clock.now_ns() + round(timeout_s * NANOSECONDS))
        return self.gives

    def close(self) -> None:
        self.closed += 1
        self.is_open = False

    def reopened(self) -> None:
        self.regains += 1

    def find(self) -> LocatedDevice | None:
        if self.failures:
            raise self.failures.popleft()
        return None if self.at is None else LocatedDevice(self.at, None if self.at is HERE else HERE.port)


class Plug(Plugged, VideoSource):
    """The same as a video source."""

    def open(self) -> VideoFormat:
        self._open()
        return FORM

    def read(self, timeout_s: float) -> Frame | None:
        return Frame(self.clock.now_ns(), b"x") if self._gives(timeout_s) else None

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        return av.VideoFrame(16, 16, "yuv420p")


class Told(SourceEvents, list[tuple[str, float]]):
    """Reported losses and returns, with their times in seconds."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock, self._began_ns = clock, clock.now_ns()
        self.returns: list[LocatedDevice] = []
        self.hangs: list[int] = []

    def lost(self, outage: SourceOutage) -> None:
        self.append((outage.kind, self.now_s))

    def found(self, outage: SourceOutage, located: LocatedDevice) -> None:
        self.returns.append(located)
        self.append(("back", self.now_s))

    def hung(self, closings: int) -> None:
        self.hangs.append(closings)

    @property
    def now_s(self) -> float:
        return (self._clock.now_ns() - self._began_ns) / NANOSECONDS


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def plug(clock: SimulatedClock) -> Plug:
    return Plug(clock)


@pytest.fixture
def told(clock: SimulatedClock) -> Told:
    return Told(clock)


@pytest.fixture
def camera(clock: SimulatedClock, plug: Plug, told: Told) -> VideoWorker:
    return VideoWorker(plug, clock, supervision=DeviceSupervision(plug), events=told)


def read_for(worker: VideoWorker | AudioWorker, clock: SimulatedClock, seconds: float) -> int:
    """Read like the worker's thread; return the number of items."""
    until_ns = clock.now_ns() + round(seconds * NANOSECONDS)
    count = 0
    while clock.now_ns() < until_ns:
        count += worker.read(0.1) is not None
    return count


def test_a_source_that_is_well_goes_through(camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told) -> None:
    assert camera.open() is FORM
    assert read_for(camera, clock, 2) == 20
    assert (camera.outage, told, plug.closed) == (None, [], 0)


def test_a_lost_device_is_told_once_let_go_of_and_opened_where_it_is_now(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    camera.open()
    plug.at = None
    assert read_for(camera, clock, 60) == 0
    assert [kind for kind, _ in told] == [OutageKind.LOST]
    assert camera.outage is not None
    assert camera.outage.kind is OutageKind.LOST
    assert plug.closed == 1
    plug.at, plugged_s = THERE, told.now_s
    assert read_for(camera, clock, 3) > 0
    (_, back_s) = told[-1]
    assert back_s - plugged_s < 1
    assert plug.opened == [HERE.node, THERE.node]
    assert told.returns == [LocatedDevice(THERE, moved_from="1-1")]
    assert camera.outage is None


def test_a_device_that_refuses_is_tried_again_once_a_second(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    camera.open()
    plug.at = None
    read_for(camera, clock, 1)
    plug.at = THERE
    plug.refusals.extend([DeviceError("busy", why="busy")] * 5)
    began_s, kinds = told.now_s, set()
    while camera.outage is not None:
        kinds.add(camera.outage.kind)
        assert plug.regains == 0, "what is refused has not been reopened"
        camera.read(0.1)
    assert plug.regains == 1
    assert 5 <= told.now_s - began_s < 10
    assert kinds == {OutageKind.LOST, OutageKind.BUSY}
    assert plug.closed == 1 + 5  # a refused try releases the device


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DeviceNotFound("x"), OutageKind.MISSING),
        (DeviceError("x", why="busy"), OutageKind.BUSY),
        (DeviceError("x", why="denied"), OutageKind.DENIED),
        (DeviceError("x", why="bus-full"), OutageKind.BUS_FULL),
    ],
)
def test_why_it_was_not_opened_is_known(camera: VideoWorker, plug: Plug, error: DeviceError, kind: OutageKind) -> None:
    plug.refusals.append(error)
    with pytest.raises(type(error)):
        camera.open()
    assert camera.outage is not None
    assert camera.outage.kind is kind


def test_what_is_missing_from_the_start_raises_why_and_comes_all_the_same(
    plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    plug.at = None
    supervision = DeviceSupervision(plug, missing=DeviceNotFound("podium is missing"))
    camera = VideoWorker(plug, clock, supervision=supervision, events=told)
    with pytest.raises(DeviceNotFound, match="podium is missing"):
        camera.open()
    assert camera.outage is not None
    assert camera.outage.kind is OutageKind.MISSING
    assert told == []  # the caller of `open` has the error
    read_for(camera, clock, 5)
    plug.at = THERE
    assert read_for(camera, clock, 2) > 0
    assert [kind for kind, _ in told] == ["back"]


def test_a_silent_device_is_opened_again_and_less_and_less_often(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    camera.open()
    plug.gives = False
    read_for(camera, clock, STUCK_S - 1)
    assert plug.closed == 0
    read_for(camera, clock, 600)
    assert 600 / MOST_STUCK_S < plug.closed < 3 + 600 / MOST_STUCK_S + 3
    plug.gives = True
    assert read_for(camera, clock, 5) > 0
    assert OutageKind.LOST not in [kind for kind, _ in told]


def test_it_has_all_its_time_also_when_it_is_opened_long_after_it_was_made(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock
) -> None:
    clock.advance_to(clock.now_ns() + round(2 * STUCK_S * NANOSECONDS))
    camera.open()
    plug.gives = False
    assert read_for(camera, clock, STUCK_S - 1) == 0
    assert plug.closed == 0
    read_for(camera, clock, 2)
    assert plug.closed == 1


def test_one_that_was_refused_and_opened_again_is_not_opened_once_more(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    plug.refusals.append(DeviceError("busy", why="busy"))
    with pytest.raises(DeviceError, check=because("busy")):
        camera.open()
    camera.open()
    assert camera.outage is None
    assert read_for(camera, clock, 1) == 10
    assert (plug.opened, told) == ([HERE.node], [])


def test_a_silent_device_that_the_kernel_has_not_let_go_of_is_left_alone(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock
) -> None:
    camera.open()
    plug.gives, plug.abandoned = False, 1
    read_for(camera, clock, 60)
    assert plug.closed == 0


def test_a_device_that_does_not_let_go_is_counted_and_told(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    camera.open()
    plug.at, plug.abandoned = None, 2
    read_for(camera, clock, 1)
    assert told.hangs == [2]


def test_closing_ends_the_search(camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told) -> None:
    camera.open()
    plug.at = None
    read_for(camera, clock, 1)
    camera.close()
    plug.at = THERE
    assert [camera.read(0.1) for _ in range(50)] == [None] * 50
    assert plug.opened == [HERE.node]
    assert camera.state is SourceState.CLOSED


def test_one_that_is_well_is_let_go_of_when_it_is_closed(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock
) -> None:
    camera.open()
    read_for(camera, clock, 1)
    camera.close()
    assert (plug.closed, plug.is_open) == (1, False)


def test_what_is_read_after_it_was_closed_is_no_loss(camera: VideoWorker, plug: Plug, told: Told) -> None:
    camera.open()
    camera.close()
    assert camera.read(0.1) is None
    assert (camera.state, told) == (SourceState.CLOSED, [])


def test_one_that_is_closed_while_it_is_being_opened_is_let_go_of(plug: Plug, clock: SimulatedClock) -> None:
    opening, go_on = threading.Event(), threading.Event()

    class Slow(Plug):
        def open(self) -> VideoFormat:
            if self.opened:
                opening.set()
                assert go_on.wait(60)
            return super().open()

    slow = Slow(clock)
    camera = VideoWorker(slow, clock, supervision=DeviceSupervision(slow))
    camera.open()
    slow.at = None
    camera.read(0.1)
    slow.at = THERE
    reader = threading.Thread(target=camera.read, args=(0.5,), daemon=True)
    reader.start()
    assert opening.wait(60)
    camera.close()
    go_on.set()
    reader.join(60)
    assert not slow.is_open


class Sound(Plugged, AudioSource):
    """The same as an audio source."""

    channels = 1

    def open(self) -> None:
        self._open()

    def read(self, timeout_s: float) -> AudioBlock | None:
        return AudioBlock(self.clock.now_ns(), np.zeros((960, 1), np.int16)) if self._gives(timeout_s) else None


def test_sound_comes_back_as_pictures_do(clock: SimulatedClock, told: Told) -> None:
    plug = Sound(clock)
    worker = SourceWorker(plug, clock, supervision=DeviceSupervision(plug), events=told)
    worker.open()
    assert worker.read(0.1) is not None
    plug.at = None
    assert [worker.read(0.1) for _ in range(5)] == [None] * 5
    plug.at = THERE
    assert read_for(worker, clock, 3) > 0
    assert [kind for kind, _ in told] == [OutageKind.LOST, "back"]


def test_silent_sound_is_not_opened_again(clock: SimulatedClock) -> None:
    plug = Sound(clock)
    worker = SourceWorker(plug, clock, supervision=DeviceSupervision(plug))
    worker.open()
    plug.gives = False
    read_for(worker, clock, 2 * STUCK_S)
    assert (plug.closed, worker.state) == (0, SourceState.RUNNING)


def test_its_state_says_what_becomes_of_it(camera: VideoWorker, plug: Plug, clock: SimulatedClock) -> None:
    states = [camera.state]

    def note() -> None:
        if camera.state is not states[-1]:
            states.append(camera.state)

    def until(state: SourceState) -> None:
        while camera.state is not state:
            camera.read(0.1)
            note()

    camera.open()
    note()
    plug.at = None
    until(SourceState.LOST)
    plug.at = THERE
    plug.refusals.append(DeviceError("busy", why="busy"))
    until(SourceState.REFUSED)
    plug.at = None
    until(SourceState.LOST)
    plug.at = THERE
    until(SourceState.RUNNING)
    plug.gives = False
    until(SourceState.SILENT)
    until(SourceState.RUNNING)
    camera.close()
    note()
    assert states == ["opening", "running", "lost", "refused", "lost", "running", "silent", "running", "closed"]


def test_only_the_transitions_of_the_architecture_page_change_a_state(plug: Plug, clock: SimulatedClock) -> None:
    table = section((ROOT / "docs/architecture.md").read_text(), "### A source")
    cells = [[re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:3]] for line in table.splitlines()]
    written = {pair for row in cells if len(row) == 2 for pair in itertools.product(*row)}
    done = set()
    for before, after in itertools.product(SourceState, repeat=2):
        worker = VideoWorker(plug, clock)
        worker.state, outage = before, SourceOutage(OutageKind.LOST, "why", "", 0)
        worker._enter(after, outage)
        if worker.outage is outage:
            assert worker.state is after
            done.add((before, after))
        else:
            assert worker.state is before
    closings = {(before, SourceState.CLOSED) for before in SourceState if before is not SourceState.CLOSED}
    assert done == {(SourceState(before), SourceState(after)) for before, after in written} | closings


def test_an_impossible_change_of_state_ends_nothing(camera: VideoWorker, plug: Plug, told: Told) -> None:
    camera.open()
    camera._enter(SourceState.REFUSED, SourceOutage(OutageKind.BUSY, "a bug", "", 0))
    assert (camera.state, camera.outage) == (SourceState.RUNNING, None)
    assert camera.read(0.1) is not None
    assert told == []


def test_without_a_supervision_a_loss_is_raised(plug: Plug, clock: SimulatedClock) -> None:
    worker = VideoWorker(plug, clock)
    worker.open()
    plug.at = None
    with pytest.raises(DeviceError, check=because("lost")):
        worker.read(0.1)
    assert worker.outage is None


def test_every_decoded_picture_is_lent_to_its_listeners(camera: VideoWorker) -> None:
    lent: list[av.VideoFrame] = []
    camera.picture_listeners.append(lent.append)
    camera.open()
    frame = camera.read(0.1)
    assert frame
    assert camera.decode(frame) is lent[0]


def test_every_listener_hears_every_frame(camera: VideoWorker, plug: Plug, clock: SimulatedClock) -> None:
    heard: list[Frame] = []
    camera.listeners.append(heard.append)
    camera.open()
    assert read_for(camera, clock, 1) == len(heard) == 10


def test_what_nobody_thought_of_costs_one_attempt_and_is_told(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock, told: Told
) -> None:
    camera.open()
    reading, finding, opening = ValueError("half a line"), OSError(24, "too many files"), MemoryError()
    plug.failures.extend([reading, finding])
    plug.refusals.append(opening)
    assert camera.read(0.1) is None
    outage = camera.outage
    assert outage is not None
    assert re.fullmatch(r"Webcam failed: ValueError\(.half a line.\) at capture/sources/worker\.py:\d+", outage.reason)
    assert read_for(camera, clock, 5) > 0
    assert [kind for kind, _ in told] == [OutageKind.LOST] * 3 + ["back"]
    assert camera.outage is None


def test_what_nobody_thought_of_at_the_first_opening_is_a_refusal(
    camera: VideoWorker, plug: Plug, clock: SimulatedClock
) -> None:
    plug.refusals.append(ValueError("what is that"))
    with pytest.raises(DeviceError, match="what is that", check=because("lost")):
        camera.open()
    assert read_for(camera, clock, 5) > 0
