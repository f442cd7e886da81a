"""Threads that break, attempts that are made again and again, calls that may hang, and troubles that last."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import pytest

from devices.host import deadline, threads
from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS
from devices.host.deadline import DeadlineTask, DeadlineTasks, close_within, count_hung_closings
from devices.host.throttle import LogOnChange
from tests.support.simulated import EventList, SimulatedClock
from tests.support.waiting import wait_for


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take what breaks a thread from pytest, which would fail the test for it."""
    found: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(repr(args.exc_value)))
    return found


def break_thread(name: str) -> None:
    def fail() -> Never:
        raise ZeroDivisionError("rtmp://host/app/a-key")

    thread = threading.Thread(target=fail, name=name)
    thread.start()
    thread.join()


def test_a_thread_that_breaks_is_told_by_its_name_and_never_with_what_its_error_says(broken: list[str]) -> None:
    events, said = EventList(), []

    def emit(kind: str, subject: str, message: str, **detail: object) -> None:
        said.append(f"{message} {detail}")
        events(kind, subject, message, **detail)

    with threads.report_broken_threads(emit):
        break_thread("live-youtube")
    break_thread("read-podium")
    assert events == [("thread-failed", "live-youtube")]
    assert "ZeroDivisionError" in said[0]
    assert "a-key" not in said[0]
    assert len(broken) == 2, "its traceback goes to the recorder's log as ever"


def test_what_fails_on_a_thread_that_goes_on_is_none_that_has_broken(broken: list[str]) -> None:
    events = EventList()
    with threads.report_broken_threads(events):
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            threads.report_error()
    assert events == []
    assert len(broken) == 1


def test_each_pause_is_as_much_longer_until_the_longest() -> None:
    assert [pause_s(failures, 30.0) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [pause_s(failures, 2.0, growth=1.6) for failures in range(1, 5)] == [1, 1.6, 2, 2]
    assert pause_s(0, 30.0) == 1.0
    assert (pause_s(10**9, 30.0), pause_s(10**9, 2.0, growth=1.6)) == (30.0, 2.0)


class Attempts:
    def __init__(self, *lasts_s: float, clock: SimulatedClock) -> None:
        self._lasts_s = list(lasts_s)
        self._clock = clock
        self.at_s: list[float] = []

    def __call__(self) -> bool:
        self.at_s.append(self._clock.now_ns() / NANOSECONDS)
        if self._lasts_s:
            self._clock.advance(self._lasts_s.pop(0))
            raise OSError(f"attempt {len(self.at_s)}")
        return True


def test_an_attempt_that_raises_is_tried_again_later_and_later_but_soon_after_a_steady_time() -> None:
    clock = SimulatedClock(0)
    attempts, told = Attempts(0, 0, 100, clock=clock), list[str]()
    BackgroundTask(
        "part", attempts, pause=lambda failures: pause_s(failures, 30.0),
        failed=lambda error: told.append(str(error)), steady_s=60.0, clock=clock,
    ).run()  # fmt: skip
    assert attempts.at_s == [0, 1, 3, 104]
    assert told == ["attempt 1", "attempt 2", "attempt 3"]


def test_an_attempt_that_succeeds_is_made_again_after_the_pause() -> None:
    clock, at_s = SimulatedClock(0), list[float]()

    def look() -> bool:
        at_s.append(clock.now_ns() / NANOSECONDS)
        return len(at_s) == 3

    BackgroundTask("look", look, pause=60.0, clock=clock).run()
    assert at_s == [0, 60, 120]


def test_a_wait_ends_at_once_when_the_task_is_woken_or_stopped() -> None:
    attempts = threading.Semaphore(0)
    task = BackgroundTask("live", attempts.release, pause=math.inf)
    task.start()
    assert attempts.acquire(timeout=LONG_S)
    wait_for(lambda: task.is_waiting)
    task.wake()
    assert attempts.acquire(timeout=LONG_S)
    assert task.stop(LONG_S)
    assert not attempts.acquire(blocking=False)


def test_an_error_that_nobody_is_told_of_is_reported_and_the_task_goes_on(broken: list[str]) -> None:
    clock = SimulatedClock(0)
    attempts = Attempts(0, clock=clock)
    BackgroundTask("part", attempts, pause=1.0, clock=clock).run()
    assert len(attempts.at_s) == 2
    assert broken == ["OSError('attempt 1')"]


def test_one_whose_failure_cannot_be_told_goes_on_and_its_end_is_told_once(broken: list[str]) -> None:
    clock, ended = SimulatedClock(0), list[int]()
    attempts = Attempts(0, clock=clock)

    def cannot_tell(_error: Exception) -> None:
        raise ValueError("no log")

    BackgroundTask(
        "part", attempts, pause=1.0, failed=cannot_tell, over=lambda: ended.append(len(attempts.at_s)), clock=clock
    ).run()
    assert (broken, ended) == (["ValueError('no log')"], [2])


SHORT_S = 0.02
LONG_S = 30.0


class Passing(SimulatedClock):
    """A second passes with each look."""

    def now_ns(self) -> int:
        self.advance_to(super().now_ns() + NANOSECONDS)
        return super().now_ns()


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    monkeypatch.setattr(deadline, "WAIT_S", 0.001)  # between two looks
    return Passing()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_the_result_or_the_error_comes_to_the_caller() -> None:
    undone: list[int] = []
    assert DeadlineTask(lambda: 7, "seven", late=undone.append).get(LONG_S, TimeoutError()) == 7
    assert undone == []
    with pytest.raises(ZeroDivisionError):
        DeadlineTask(lambda: 1 // 0, "broken").get(LONG_S, TimeoutError())


def test_a_call_that_hangs_is_abandoned_at_the_deadline_of_the_clock(let_go: threading.Event, passing: Passing) -> None:
    hanging = DeadlineTask(lambda: let_go.wait(LONG_S), "hanging", clock=passing)
    with pytest.raises(TimeoutError):
        hanging.get(10.0, TimeoutError())
    assert not hanging.is_over
    assert hanging.is_abandoned
    let_go.set()
    wait_for(lambda: hanging.is_over)


def test_a_late_result_is_undone_and_not_returned(let_go: threading.Event) -> None:
    undone: list[str] = []

    def act() -> str:
        let_go.wait(LONG_S)
        return "a file"

    task = DeadlineTask(act, "opening", late=undone.append)
    assert not task.wait(SHORT_S)
    let_go.set()
    wait_for(lambda: undone == ["a file"])
    wait_for(lambda: task.is_over)


def test_progress_moves_the_deadline_on(let_go: threading.Event, passing: Passing) -> None:
    seen = iter(range(1_000_000))

    def progress() -> int:
        step = next(seen)
        if step == 20:  # each look takes a second of the clock: ten deadlines have passed by now
            let_go.set()
        return step

    task = DeadlineTask(lambda: let_go.wait(LONG_S), "reading", clock=passing)
    assert task.wait(3.0, progress)


def test_bytes_that_the_kernel_counts_are_progress(tmp_path: Path, let_go: threading.Event) -> None:
    path = tmp_path / "hours.mkv"
    path.write_bytes(bytes(4096))
    has_read = threading.Event()

    def read() -> None:
        path.read_bytes()
        has_read.set()
        let_go.wait(LONG_S)

    reading = DeadlineTask(read, "reading")
    assert has_read.wait(LONG_S)
    before = reading.moved_bytes
    assert before >= 4096
    assert reading.moved_bytes == before, "one that hangs moves nothing"


def test_with_late_one_that_hangs_is_waited_for_once_and_its_answer_is_told_and_kept(let_go: threading.Event) -> None:
    asked: list[str] = []
    ended = threading.Semaphore(0)

    def hang() -> str:
        asked.append("camera")
        let_go.wait(LONG_S)
        raise OSError(5, "Input/output error")

    tasks: DeadlineTasks[str, str] = DeadlineTasks("ask", late=ended.release)
    assert tasks.ask({"camera": hang}, SHORT_S) == {}
    assert tasks.ask({"camera": hang}, 3600.0) == {}, "it is not waited for again"
    let_go.set()
    assert ended.acquire(timeout=LONG_S)
    found = tasks.ask({"microphone": lambda: "channels", "camera": hang}, LONG_S)
    assert (found["microphone"], type(found["camera"])) == ("channels", OSError)
    assert asked == ["camera"]
    assert not ended.acquire(blocking=False), "what ends in time is not late"
    assert tasks.ask({"camera": lambda: "modes"}, LONG_S) == {"camera": "modes"}


def test_what_may_be_older_than_the_question_is_not_shared_but_what_hangs_is(let_go: threading.Event) -> None:
    answers, asked = threading.Event(), list[str]()

    def hang(name: str) -> str:
        asked.append(name)
        assert (answers if name == "first" else let_go).wait(LONG_S)
        return name

    tasks: DeadlineTasks[str, str] = DeadlineTasks("status")
    first = tasks.begin("recorder", lambda: hang("first"))
    assert tasks.ask({"recorder": lambda: "second"}, LONG_S) == {"recorder": "second"}
    answers.set()
    assert first.get(LONG_S, TimeoutError()) == "first"
    assert tasks.ask({"recorder": lambda: hang("third")}, SHORT_S) == {}
    assert tasks.ask({"recorder": lambda: hang("fourth")}, LONG_S) == {}, "it is not waited for again"
    assert asked == ["first", "third"]


def test_a_closing_that_hangs_is_counted_until_it_ends(let_go: threading.Event) -> None:
    assert close_within(lambda: None, LONG_S, "/dev/hung")
    assert not close_within(lambda: let_go.wait(LONG_S), SHORT_S, "/dev/hung")
    assert [count_hung_closings(name) for name in ("/dev/hung", "/dev/other", "/dev/hun", None)] == [1, 0, 0, 1]
    let_go.set()
    wait_for(lambda: count_hung_closings("/dev/hung") == 0)


def test_a_trouble_is_said_when_it_begins_and_when_it_is_another() -> None:
    told: list[str] = []
    once = LogOnChange(told.append)
    for trouble in ("disk", "disk", "", "disk", "net", "net"):
        once(trouble)
    once("net", of="other")
    once("", of="other")
    once("net")
    assert told == ["disk", "disk", "net", "net"]
