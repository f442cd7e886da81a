"""The worker of a source: its states and reconnects, on a simulated clock; its thread and queue."""

import itertools
import queue
import re
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from unittest.mock import Mock

import av
import pytest

from capture.source import ColorMatrix, Frame, Size, Source, SourceEnded, VideoFormat, VideoSource
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import (
    MOST_STUCK_S,
    STUCK_S,
    TRANSITIONS,
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
from config.errors import DeviceError, DeviceNotFound, LiputError
from devices.host.clock import NANOSECONDS, SystemClock
from devices.model.device import Device, DeviceKind
from tests.support.errors import because
from tests.support.pages import ROOT, section
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

FORM = VideoFormat(16, 16, Fraction(30), ColorMatrix.BT601)
HERE = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", port="1-1", node="/dev/video0")
THERE = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video2")


class Told(SourceEvents):
    """Reported losses and returns."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.returns: list[LocatedDevice] = []
        self.hangs: list[int] = []

    def lost(self, outage: SourceOutage) -> None:
        self.kinds.append(outage.kind)

    def found(self, outage: SourceOutage, located: LocatedDevice) -> None:
        self.kinds.append("back")
        self.returns.append(located)

    def hung(self, closings: int) -> None:
        self.hangs.append(closings)


class Plug(VideoSource, DeviceLocator):
    """A camera that can be unplugged, its locator and its worker."""

    name = "Webcam"
    abandoned = 0

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.told = Told()
        self.at: Device | None = HERE
        self.gives = True
        self.refusals: deque[Exception] = deque()
        self.failures: deque[Exception] = deque()
        """Errors that reading and finding raise first."""
        self.opened: list[str | None] = []
        self.closed = 0
        self.losses = self.regains = 0
        self.is_open = False
        self._device = HERE
        self.worker = VideoWorker(self, self.clock, supervision=DeviceSupervision(self), events=self.told)

    def open(self) -> VideoFormat:
        self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 2)
        if self.refusals:
            raise self.refusals.popleft()
        if self.at is None or self.at.node != self._device.node:
            raise DeviceNotFound("not there")
        self.opened.append(self._device.node)
        self.is_open = True
        return FORM

    def read(self, timeout_s: float) -> Frame | None:
        if self.failures:
            raise self.failures.popleft()
        if not self.is_open or self.at is None or self.at.node != self._device.node:
            raise DeviceError("the Webcam was unplugged", hint="plug it in", why="lost")
        self.clock.advance_to(self.clock.now_ns() + round(timeout_s * NANOSECONDS))
        return Frame(self.clock.now_ns(), b"x") if self.gives else None

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        return av.VideoFrame(16, 16, "yuv420p")

    def close(self) -> None:
        self.closed += 1
        self.is_open = False

    def relocate(self, device: Device) -> None:
        self._device = device

    def find(self) -> LocatedDevice | None:
        if self.failures:
            raise self.failures.popleft()
        return None if self.at is None else LocatedDevice(self.at, None if self.at is HERE else HERE.port)

    def lost(self) -> None:
        self.losses += 1

    def reopened(self) -> None:
        self.regains += 1

    def read_for(self, seconds: float) -> int:
        """Let the worker read like its thread; return the number of items."""
        until_ns = self.clock.now_ns() + round(seconds * NANOSECONDS)
        count = 0
        while self.clock.now_ns() < until_ns:
            count += self.worker.read(0.1) is not None
        return count

    @property
    def outage(self) -> OutageKind | None:
        return self.worker.outage.kind if self.worker.outage else None


@pytest.fixture
def plug() -> Plug:
    return Plug()


def test_a_source_that_is_well_goes_through_and_is_let_go_of(plug: Plug) -> None:
    heard: list[Frame] = []
    lent: list[av.VideoFrame] = []
    plug.worker.listeners.append(heard.append)
    plug.worker.picture_listeners.append(lent.append)
    assert plug.worker.open() is FORM
    assert plug.read_for(2) == len(heard) == 20
    assert plug.worker.decode(heard[0]) is lent[0]
    assert (plug.outage, plug.closed) == (None, 0)
    plug.worker.close()
    assert (plug.closed, plug.is_open) == (1, False)
    assert plug.worker.read(0.1) is None
    assert (plug.worker.state, plug.told.kinds) == (SourceState.CLOSED, [])


def test_a_source_that_opens_when_it_is_not_wanted_any_more_is_let_go_of(plug: Plug) -> None:
    plug.worker.close()
    plug.worker.open()
    assert not plug.is_open


def test_a_lost_device_is_told_once_let_go_of_and_opened_where_it_is_now(plug: Plug) -> None:
    plug.worker.open()
    plug.at = None
    assert plug.read_for(60) == 0
    assert (plug.told.kinds, plug.outage, plug.closed) == ([OutageKind.LOST], OutageKind.LOST, 1)
    assert plug.losses == 1, "its locator searches from here"
    plug.at = THERE
    assert plug.read_for(1.5) > 0
    assert plug.opened == [HERE.node, THERE.node]
    assert (plug.told.returns, plug.outage) == ([LocatedDevice(THERE, moved_from="1-1")], None)


def test_the_health_of_a_device_follows_its_outage(plug: Plug) -> None:
    health = Mock()
    worker = VideoWorker(plug, plug.clock, supervision=DeviceSupervision(plug, health), events=plug.told)
    worker.open()
    assert worker.read(0.1) is not None
    plug.at = None
    worker.read(0.1)
    assert [call[0] for call in health.method_calls] == ["opened", "read", "lost", "closed"]
    plug.at = THERE
    worker.read(0.1)
    assert [call[0] for call in health.method_calls[4:]] == ["relocate", "opened"]


def test_a_device_that_refuses_is_tried_again_once_a_second(plug: Plug) -> None:
    plug.worker.open()
    plug.at = None
    plug.read_for(1)
    plug.at = THERE
    plug.refusals.extend([DeviceError("busy", why="busy")] * 5)
    began_ns, kinds = plug.clock.now_ns(), set()
    while plug.outage is not None:
        kinds.add(plug.outage)
        assert plug.regains == 0, "what is refused has not been reopened"
        plug.worker.read(0.1)
    assert plug.regains == 1
    assert 5 <= (plug.clock.now_ns() - began_ns) / NANOSECONDS < 10
    assert kinds == {OutageKind.LOST, OutageKind.BUSY}
    assert plug.closed == 1 + 5  # a refused try releases the device


@pytest.mark.parametrize(
    ("error", "kind"),
    [(DeviceNotFound("x"), OutageKind.MISSING), (DeviceError("x", why="bus-full"), OutageKind.BUS_FULL)],
)
def test_why_it_was_not_opened_is_known(plug: Plug, error: DeviceError, kind: OutageKind) -> None:
    plug.refusals.append(error)
    with pytest.raises(type(error)):
        plug.worker.open()
    assert plug.outage is kind


def test_what_is_missing_from_the_start_raises_why_and_comes_all_the_same(plug: Plug) -> None:
    plug.at = None
    assert plug.worker.supervision
    plug.worker.supervision.missing = DeviceNotFound("podium is missing")
    with pytest.raises(DeviceNotFound, match="podium is missing"):
        plug.worker.open()
    assert (plug.outage, plug.told.kinds) == (OutageKind.MISSING, [])  # the caller of `open` has the error
    plug.read_for(5)
    plug.at = THERE
    assert plug.read_for(2) > 0
    assert plug.told.kinds == ["back"]


def test_a_silent_device_is_opened_again_and_less_and_less_often(plug: Plug) -> None:
    plug.clock.advance_to(plug.clock.now_ns() + round(2 * STUCK_S * NANOSECONDS))
    plug.worker.open()  # long after it was made: it has all its time
    plug.gives = False
    plug.read_for(STUCK_S - 1)
    assert plug.closed == 0
    plug.read_for(2)
    assert plug.closed == 1
    plug.read_for(600)
    assert 600 / MOST_STUCK_S < plug.closed < 3 + 600 / MOST_STUCK_S + 3
    plug.gives = True
    assert plug.read_for(5) > 0
    assert OutageKind.LOST not in plug.told.kinds


def test_silent_sound_is_not_opened_again(plug: Plug) -> None:
    worker = SourceWorker(plug, plug.clock, supervision=DeviceSupervision(plug))
    worker.open()
    plug.gives = False
    for _ in range(round(20 * STUCK_S)):
        worker.read(0.1)
    assert (plug.closed, worker.state) == (0, SourceState.RUNNING)


def test_a_device_that_the_kernel_does_not_let_go_of_is_left_alone_while_silent_and_told_when_lost(plug: Plug) -> None:
    plug.worker.open()
    plug.gives, plug.abandoned = False, 2
    plug.read_for(60)
    assert (plug.closed, plug.told.hangs) == (0, [])
    plug.at = None
    plug.read_for(1)
    assert plug.told.hangs == [2]


def test_closing_ends_the_search(plug: Plug) -> None:
    plug.worker.open()
    plug.at = None
    plug.read_for(1)
    plug.worker.close()
    plug.at = THERE
    assert [plug.worker.read(0.1) for _ in range(50)] == [None] * 50
    assert (plug.opened, plug.worker.state) == ([HERE.node], SourceState.CLOSED)


def test_one_that_is_closed_while_it_is_being_opened_is_let_go_of() -> None:
    opening, go_on = threading.Event(), threading.Event()

    class Slow(Plug):
        def open(self) -> VideoFormat:
            if self.opened:
                opening.set()
                assert go_on.wait(60)
            return super().open()

    slow = Slow()
    slow.worker.open()
    slow.at = None
    slow.worker.read(0.1)
    slow.at = THERE
    reader = threading.Thread(target=slow.worker.read, args=(0.5,), daemon=True)
    reader.start()
    assert opening.wait(60)
    slow.worker.close()
    go_on.set()
    reader.join(60)
    assert not slow.is_open


def test_its_state_says_what_becomes_of_it(plug: Plug) -> None:
    states = [plug.worker.state]

    def read_until(state: SourceState) -> None:
        while plug.worker.state is not state:
            plug.worker.read(0.1)
            states.append(plug.worker.state)

    plug.worker.open()
    states.append(plug.worker.state)
    plug.refusals.append(DeviceError("busy", why="busy"))
    for at, state in ((None, "LOST"), (THERE, "REFUSED"), (None, "LOST"), (THERE, "RUNNING")):
        plug.at = at
        read_until(SourceState[state])
    plug.gives = False
    read_until(SourceState.SILENT)
    read_until(SourceState.RUNNING)
    plug.worker.close()
    told = [state for state, _ in itertools.groupby([*states, plug.worker.state])]
    assert told == ["opening", "running", "lost", "refused", "lost", "running", "silent", "running", "closed"]


def test_the_architecture_page_has_the_transitions() -> None:
    table = section((ROOT / "docs/architecture.md").read_text(), "### A source")
    cells = [[re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:3]] for line in table.splitlines()]
    written = {pair for row in cells if len(row) == 2 for pair in itertools.product(*row)}
    closings = {(before, SourceState.CLOSED) for before in SourceState if before is not SourceState.CLOSED}
    known = {(before, after) for before, ways in TRANSITIONS.items() for after in ways}
    assert known == {(SourceState(before), SourceState(after)) for before, after in written} | closings


def test_without_a_supervision_a_loss_is_raised(plug: Plug) -> None:
    worker = VideoWorker(plug, plug.clock)
    worker.open()
    plug.at = None
    with pytest.raises(DeviceError, check=because("lost")):
        worker.read(0.1)
    assert worker.outage is None


def test_what_nobody_thought_of_costs_one_attempt_and_is_told(plug: Plug) -> None:
    plug.worker.open()
    plug.failures.extend([ValueError("half a line"), OSError(24, "too many files")])
    plug.refusals.append(MemoryError())
    assert plug.worker.read(0.1) is None
    outage = plug.worker.outage
    assert outage is not None
    assert outage.reason.startswith("Webcam failed: ValueError('half a line') at ")
    assert plug.read_for(5) > 0
    assert (plug.told.kinds, plug.outage) == ([OutageKind.LOST] * 3 + ["back"], None)


def test_what_nobody_thought_of_at_the_first_opening_is_a_refusal(plug: Plug) -> None:
    plug.refusals.append(ValueError("what is that"))
    with pytest.raises(DeviceError, match="what is that", check=because("lost")):
        plug.worker.open()
    assert plug.read_for(5) > 0


# Its thread and its queue


class Tap(Source[int, None], SourceEvents):
    """Gives the items that a test puts in, or raises them; its worker runs, and tells it the final errors."""

    name = "podium"

    def __init__(self, *, bound: int = 4, waits: bool = False) -> None:
        self.given = 0
        self.errors: list[LiputError] = []
        self.put: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        self.queue: SourceQueue[int] = SourceQueue(bound, waits=waits)
        self.worker = SourceWorker(self, SystemClock(), queue=self.queue, events=self)
        self.worker.start()

    def give(self, *items: int | BaseException) -> "Tap":
        for item in items:
            self.put.put(item)
        return self

    def open(self) -> None:
        """Do nothing."""

    def facts(self, _opened: None) -> dict[str, object]:
        return {}

    def close(self) -> None:
        """Do nothing."""

    def failed(self, error: LiputError) -> None:
        self.errors.append(error)

    def read(self, timeout_s: float) -> int | None:
        try:
            item = self.put.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            raise item
        self.given += 1
        return item


def filled(*items: int) -> SourceQueue[int]:
    made: SourceQueue[int] = SourceQueue(4)
    for item in items:
        made.put(item)
    return made


def test_items_come_in_order_and_a_full_queue_loses_its_oldest() -> None:
    made = filled(1, 2, 3)
    assert bool(made.has_items)
    assert [made.get(0.0) for _ in range(4)] == [1, 2, 3, None]
    assert not made.has_items
    assert (made.dropped, made.is_over, made.at_end) == (0, False, False)
    full = filled(*range(10))
    assert full.dropped == 6
    assert [full.get(0.0) for _ in range(5)] == [6, 7, 8, 9, None]


def test_how_full_the_queue_is_goes_by_what_it_may_hold_now() -> None:
    made = filled(1)
    assert (filled().filled, made.filled) == (0.0, 0.25)
    made.bound = 2
    assert made.filled == 0.5


def test_of_a_live_source_the_newest_is_what_is_there() -> None:
    made = filled(1, 2, 3)
    assert [made.newest(most.__ge__) for most in (2, 2, 9, 9)] == [2, None, 3, None]


def test_a_fast_source_that_waits_goes_on_when_half_of_the_queue_is_free() -> None:
    tap = Tap(waits=True).give(*range(1, 11))
    wait_for(lambda: tap.given == 5)  # four are queued, one has no room
    assert tap.queue.get(60.0) == 1
    time.sleep(0.05)
    assert tap.given == 5, "it is not woken for one"
    assert tap.queue.get(60.0) == 2
    wait_for(lambda: tap.given == 7)  # two more, and the one it had
    assert [tap.queue.get(60.0) for _ in range(8)] == [3, 4, 5, 6, 7, 8, 9, 10]
    assert tap.queue.dropped == 0
    assert tap.worker.stop(60.0)


def test_however_small_its_queue_is_a_fast_source_gives_everything() -> None:
    tap = Tap(bound=1, waits=True).give(*range(20))
    assert [tap.queue.get(60.0) for _ in range(20)] == list(range(20))
    assert tap.worker.stop(60.0)


def test_what_a_fast_source_has_on_its_way_is_waited_for_and_so_is_its_end() -> None:
    tap = Tap(waits=True)
    with ThreadPoolExecutor() as pool:
        newest = pool.submit(tap.queue.newest, lambda item: item <= 9)
        tap.give(*range(1, 10))  # more than the queue holds
        with pytest.raises(TimeoutError):
            newest.result(0.2)  # another one may still come
        tap.give(10)
        assert newest.result(60) == 9
        last = pool.submit(tap.queue.newest, lambda item: item <= 20)
        wait_for(lambda: not tap.queue.has_items)
        tap.give(11)
        wait_for(lambda: tap.given == 11 and not tap.queue.has_items)  # now it waits for more
        tap.give(SourceEnded())
        assert last.result(60) == 11
    assert tap.queue.newest(lambda item: item <= 20) is None


def test_at_its_end_what_was_read_can_still_be_taken() -> None:
    tap = Tap().give(1, 2, SourceEnded())
    assert tap.queue.get(60.0) == 1
    assert not tap.queue.at_end
    assert tap.queue.get(60.0) == 2
    wait_for(lambda: tap.queue.at_end and tap.queue.is_over)
    assert tap.errors == []


def test_a_source_that_fails_to_open_is_over_and_not_at_its_end() -> None:
    class Broken(Tap):
        def open(self) -> None:
            raise DeviceError("podium is busy", why="busy")

    tap = Broken()
    wait_for(lambda: tap.queue.is_over)
    assert not tap.queue.at_end
    assert isinstance(tap.worker.error, DeviceError)


@pytest.mark.parametrize("error", [DeviceError("podium was unplugged", why="lost"), ZeroDivisionError("x")])
def test_a_source_that_is_lost_or_breaks_is_over_and_tells_why(error: Exception) -> None:
    tap = Tap().give(1, error)
    wait_for(lambda: bool(tap.errors))
    assert not tap.queue.is_over
    assert tap.queue.get(60.0) == 1
    wait_for(lambda: tap.queue.is_over)
    assert not tap.queue.at_end
    (found,) = tap.errors
    assert isinstance(found, DeviceError)
    assert found.why == "lost"
    assert "podium" in found.message


@pytest.mark.parametrize("keeps_early", [False, True])
def test_a_device_is_read_before_the_start_and_that_is_kept_only_if_asked_for(plug: Plug, *, keeps_early: bool) -> None:
    assert not plug.worker.may_miss
    go, heard = threading.Event(), list[Frame]()
    plug.worker.listeners.append(heard.append)
    plug.worker.start(go, keeps_early=keeps_early)
    wait_for(lambda: len(heard) > 3)
    assert plug.worker.queue.has_items == keeps_early
    assert (plug.worker.queue.dropped > 0) == keeps_early, "it holds one item"
    go.set()
    wait_for(lambda: plug.worker.queue.has_items)
    assert plug.worker.stop(60.0)


def test_stop_ends_a_reader_whose_queue_is_full() -> None:
    tap = Tap(bound=2, waits=True).give(*range(10))
    wait_for(lambda: tap.given == 3)
    assert tap.worker.stop(60.0)
    assert tap.queue.get(0.0) == 0


def test_stop_does_not_wait_for_a_source_that_hangs_and_takes_nothing_more_of_it() -> None:
    release = threading.Event()

    class Hanging(Tap):
        def read(self, timeout_s: float) -> int | None:
            if self.given and release.wait(60):
                return 2
            return super().read(timeout_s)

    tap = Hanging(bound=1).give(1)
    wait_for(lambda: tap.queue.has_items)
    assert not tap.worker.stop(0.05)
    assert not tap.queue.is_over
    release.set()
    assert tap.worker.stop(60.0)
    assert (tap.queue.get(0.0), tap.queue.dropped, tap.queue.is_over, tap.queue.at_end) == (1, 0, True, False)
