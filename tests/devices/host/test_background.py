"""An attempt is made again and again, at the pauses that are asked for, until it is stopped."""

import math
import threading

import pytest

from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

LONG_S = 30.0


def test_each_pause_is_as_much_longer_until_the_longest() -> None:
    assert [pause_s(failures, 30.0) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [pause_s(failures, 2.0, growth=1.6) for failures in range(1, 5)] == [1, 1.6, 2, 2]
    assert pause_s(0, 30.0) == 1.0
    assert (pause_s(10**9, 30.0), pause_s(10**9, 2.0, growth=1.6)) == (30.0, 2.0)


class Attempts:
    """Fails as often as it is told to, then returns True."""

    def __init__(self, *lasts_s: float, clock: SimulatedClock) -> None:
        self._lasts_s = list(lasts_s)
        self._clock = clock
        self.at_s: list[float] = []

    def __call__(self) -> bool:
        self.at_s.append(self._clock.now_ns() / NANOSECONDS)
        if self._lasts_s:
            self._clock.advance_to(self._clock.now_ns() + int(self._lasts_s.pop(0) * NANOSECONDS))
            raise OSError(f"attempt {len(self.at_s)}")
        return True


def test_an_attempt_that_raises_is_tried_again_after_longer_and_longer_pauses() -> None:
    clock = SimulatedClock(0)
    attempts, told = Attempts(0, 0, 0, clock=clock), list[str]()
    task = BackgroundTask(
        "part", attempts, pause=lambda failures: pause_s(failures, 30.0),
        failed=lambda error: told.append(str(error)), clock=clock,
    )  # fmt: skip
    task.run()
    assert attempts.at_s == [0, 1, 3, 7]
    assert told == ["attempt 1", "attempt 2", "attempt 3"]


def test_a_failure_after_a_steady_time_counts_as_the_first() -> None:
    clock = SimulatedClock(0)
    attempts = Attempts(0, 0, 100, clock=clock)
    BackgroundTask(
        "part", attempts, pause=lambda failures: pause_s(failures, 30.0),
        failed=lambda _error: None, steady_s=60.0, clock=clock,
    ).run()  # fmt: skip
    assert attempts.at_s == [0, 1, 3, 104]


def test_an_attempt_that_returns_is_made_again_after_the_pause() -> None:
    clock, at_s = SimulatedClock(0), list[float]()

    def look() -> bool:
        at_s.append(clock.now_ns() / NANOSECONDS)
        return len(at_s) == 3

    BackgroundTask("look", look, pause=60.0, clock=clock).run()
    assert at_s == [0, 60, 120]


@pytest.mark.parametrize("pause", [3600.0, math.inf])
def test_a_wait_ends_at_once_when_the_task_is_woken_or_stopped(pause: float) -> None:
    attempts = threading.Semaphore(0)
    task = BackgroundTask("live", attempts.release, pause=pause)
    task.start()
    assert attempts.acquire(timeout=LONG_S)
    wait_for(lambda: task.is_waiting)
    task.wake()
    assert attempts.acquire(timeout=LONG_S)
    assert task.stop(LONG_S)
    assert not attempts.acquire(blocking=False)


def test_an_error_that_nobody_is_told_of_is_reported_and_the_task_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(repr(args.exc_value)))
    clock = SimulatedClock(0)
    attempts = Attempts(0, clock=clock)
    BackgroundTask("part", attempts, pause=1.0, clock=clock).run()
    assert len(attempts.at_s) == 2
    assert reported == ["OSError('attempt 1')"]


def test_one_whose_failure_cannot_be_told_goes_on_and_its_end_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(repr(args.exc_value)))
    clock, ended = SimulatedClock(0), list[int]()
    attempts = Attempts(0, clock=clock)

    def cannot_tell(_error: Exception) -> None:
        raise ValueError("no log")

    BackgroundTask(
        "part", attempts, pause=1.0, failed=cannot_tell, over=lambda: ended.append(len(attempts.at_s)), clock=clock
    ).run()
    assert (reported, ended) == (["ValueError('no log')"], [2])


def test_who_stops_it_may_wait_for_its_end_as_long_as_that_takes() -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def attempt() -> None:
        begun.set()
        assert goes_on.wait(LONG_S)

    task = BackgroundTask("live", attempt, pause=3600.0)
    assert task.join(0.0), "it has not begun"
    task.start()
    assert begun.wait(LONG_S)
    assert not task.stop()
    goes_on.set()
    assert task.join()
