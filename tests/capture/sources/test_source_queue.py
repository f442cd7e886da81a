"""A worker's thread and queue: delivery, drops and endings."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from capture.source import Source, SourceEnded
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import SourceEvents, SourceWorker
from config.errors import DeviceError, LiputError
from devices.host.clock import SystemClock
from tests.support.waiting import wait_for


class Numbers(Source[int, None]):
    name = "podium"

    def open(self) -> None:
        """Do nothing."""

    def facts(self, _opened: None) -> dict[str, object]:
        return {}

    def close(self) -> None:
        """Do nothing."""


class Tap(Numbers):
    """Gives the items that a test puts in, or raises them."""

    def __init__(self) -> None:
        self.given = 0
        self._items: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()

    def put(self, *items: int | BaseException) -> None:
        for item in items:
            self._items.put(item)

    def read(self, timeout_s: float) -> int | None:
        try:
            item = self._items.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            raise item
        self.given += 1
        return item


class Losses(SourceEvents):
    """Keeps the final errors of a source."""

    def __init__(self) -> None:
        self.errors: list[LiputError] = []

    def failed(self, error: LiputError) -> None:
        self.errors.append(error)


class Bench:
    """The queue of a tap's worker, and its reported losses."""

    def __init__(self, *, bound: int, waits: bool, source: Source[int, None] | None = None) -> None:
        self.tap = Tap()
        self.losses = Losses()
        self.queue: SourceQueue[int] = SourceQueue(bound, waits=waits)
        self.worker = SourceWorker(source or self.tap, SystemClock(), queue=self.queue, events=self.losses)
        self.worker.start()


@pytest.fixture
def live() -> Iterator[Bench]:
    bench = Bench(bound=4, waits=False)
    yield bench
    assert bench.worker.stop()


@pytest.fixture
def waiting() -> Iterator[Bench]:
    bench = Bench(bound=4, waits=True)
    yield bench
    assert bench.worker.stop()


def filled(*items: int, bound: int = 4) -> SourceQueue[int]:
    made: SourceQueue[int] = SourceQueue(bound)
    for item in items:
        made.put(item)
    return made


def test_items_come_in_order_and_it_says_whether_any_are_there() -> None:
    made = filled(1, 2, 3)
    assert bool(made.has_items)
    assert [made.get(0.0) for _ in range(4)] == [1, 2, 3, None]
    assert not made.has_items
    assert (made.dropped, made.is_over, made.at_end) == (0, False, False)


def test_a_full_queue_loses_its_oldest() -> None:
    made = filled(*range(10))
    assert made.dropped == 6
    assert [made.get(0.0) for _ in range(5)] == [6, 7, 8, 9, None]


def test_how_full_the_queue_is_goes_by_what_it_may_hold_now() -> None:
    assert filled().filled == 0.0
    made = filled(1)
    assert made.filled == 0.25
    made.bound = 2
    assert made.filled == 0.5


def test_a_fast_source_waits_and_loses_nothing(waiting: Bench) -> None:
    waiting.tap.put(*range(10))
    wait_for(lambda: waiting.tap.given == 5)  # four in the queue, one in hand
    assert [waiting.queue.get(5.0) for _ in range(10)] == list(range(10))
    assert waiting.queue.dropped == 0


def test_a_fast_source_that_waits_goes_on_when_half_of_the_queue_is_free(waiting: Bench) -> None:
    waiting.tap.put(*range(1, 11))
    wait_for(lambda: waiting.tap.given == 5)  # four are queued, one has no room
    assert waiting.queue.get(5.0) == 1
    time.sleep(0.05)
    assert waiting.tap.given == 5, "it is not woken for one"
    assert waiting.queue.get(5.0) == 2
    wait_for(lambda: waiting.tap.given == 7)  # two more, and the one it had
    assert [waiting.queue.get(5.0) for _ in range(8)] == [3, 4, 5, 6, 7, 8, 9, 10]
    assert waiting.queue.dropped == 0


@pytest.mark.parametrize("bound", [1, 2, 3])
def test_however_small_its_queue_is_a_fast_source_gives_everything(bound: int) -> None:
    bench = Bench(bound=bound, waits=True)
    bench.tap.put(*range(20))
    assert [bench.queue.get(5.0) for _ in range(20)] == list(range(20))
    assert bench.worker.stop()


def test_of_a_live_source_the_newest_is_what_is_there() -> None:
    made = filled(1, 2, 3)
    assert [made.newest(most.__ge__) for most in (2, 2, 9, 9)] == [2, None, 3, None]


def test_what_a_fast_source_has_on_its_way_is_waited_for(waiting: Bench) -> None:
    found: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    taking = threading.Thread(target=lambda: found.put(waiting.queue.newest(lambda item: item <= 9)))
    taking.start()
    waiting.tap.put(*range(1, 10))  # more than the queue holds
    with pytest.raises(queue.Empty):
        found.get(timeout=0.2)  # another one may still come
    waiting.tap.put(10)
    assert found.get(timeout=5) == 9
    taking.join()
    waiting.tap.put(11, SourceEnded())
    assert waiting.queue.newest(lambda item: item <= 20) == 11
    assert waiting.queue.newest(lambda item: item <= 20) is None


def test_who_waits_for_a_fast_source_learns_of_its_end(waiting: Bench) -> None:
    found: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    waiting.tap.put(1)
    wait_for(lambda: waiting.queue.has_items)
    taking = threading.Thread(target=lambda: found.put(waiting.queue.newest(lambda item: item <= 9)), daemon=True)
    taking.start()
    wait_for(lambda: not waiting.queue.has_items)  # it has taken all items, and waits for more
    waiting.tap.put(SourceEnded("it is over"))
    assert found.get(timeout=5.0) == 1


def test_at_its_end_what_was_read_can_still_be_taken(live: Bench) -> None:
    live.tap.put(1, 2, SourceEnded())
    assert live.queue.get(5.0) == 1
    assert not live.queue.at_end
    assert live.queue.get(5.0) == 2
    wait_for(lambda: live.queue.at_end and live.queue.is_over)
    assert live.losses.errors == []


def test_a_lost_source_is_over_and_tells_why(live: Bench) -> None:
    live.tap.put(1, DeviceError("podium was unplugged", why="lost"))
    wait_for(lambda: bool(live.losses.errors))
    assert not live.queue.is_over
    assert live.queue.get(5.0) == 1
    wait_for(lambda: live.queue.is_over)
    assert not live.queue.at_end
    assert [error.message for error in live.losses.errors] == ["podium was unplugged"]


def test_a_source_that_breaks_is_lost_and_not_silent(live: Bench) -> None:
    live.tap.put(ZeroDivisionError("of the driver"))
    wait_for(lambda: live.queue.is_over)
    (error,) = live.losses.errors
    assert isinstance(error, DeviceError)
    assert error.why == "lost"
    assert "podium" in error.message
    assert "of the driver" in error.message


def test_stop_ends_a_reader_whose_queue_is_full() -> None:
    bench = Bench(bound=2, waits=True)
    bench.tap.put(*range(10))
    wait_for(lambda: bench.tap.given == 3)
    assert bench.worker.stop(5.0)
    assert bench.queue.get(0.0) == 0


def test_stop_does_not_wait_for_a_source_that_hangs() -> None:
    release = threading.Event()

    class Hanging(Numbers):
        def read(self, timeout_s: float) -> int | None:
            release.wait(30)
            return None

    bench = Bench(bound=1, waits=False, source=Hanging())
    assert not bench.worker.stop(0.05)
    assert bench.queue.is_over, "somebody would wait for more"
    release.set()
    assert bench.worker.stop(5.0)


def test_what_comes_after_a_stop_takes_the_place_of_nothing() -> None:
    reads, release = iter((1, 2)), threading.Event()

    class Late(Numbers):
        def read(self, timeout_s: float) -> int | None:
            item = next(reads, None)
            if item != 1:
                release.wait(30)
            return item

    bench = Bench(bound=1, waits=False, source=Late())
    wait_for(lambda: bench.queue.has_items)
    assert not bench.worker.stop(0.0)
    release.set()
    assert bench.worker.stop(5.0)
    assert (bench.queue.get(0.0), bench.queue.dropped) == (1, 0)


def test_stop_ends_the_wait_for_a_fast_source_that_hangs(waiting: Bench) -> None:
    found: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    taking = threading.Thread(target=lambda: found.put(waiting.queue.newest(lambda item: item <= 9)))
    waiting.tap.put(4)
    taking.start()
    waiting.worker.stop(0.0)
    assert found.get(timeout=5) in {None, 4}
    taking.join()


def test_a_worker_that_was_never_started_can_be_stopped() -> None:
    assert SourceWorker(Tap(), SystemClock()).stop()
