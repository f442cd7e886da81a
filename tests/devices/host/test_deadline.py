"""A call that may hang is waited for to a deadline, left to its thread, counted, and not asked again."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.host.clock import NANOSECONDS
from devices.host.deadline import DeadlineTask, DeadlineTasks, close_within, count_hung_closings
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

SHORT_S = 0.02
LONG_S = 30.0


class Passing(SimulatedClock):
    """A second passes with each look."""

    def now_ns(self) -> int:
        self.advance_to(super().now_ns() + NANOSECONDS)
        return super().now_ns()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """Lets go of what hangs, at the end at the latest."""
    event = threading.Event()
    yield event
    event.set()


def test_the_result_or_the_error_comes_to_the_caller() -> None:
    assert DeadlineTask(lambda: 7, "seven").get(LONG_S, TimeoutError()) == 7
    with pytest.raises(ZeroDivisionError):
        DeadlineTask(lambda: 1 // 0, "broken").get(LONG_S, TimeoutError())


def test_a_call_that_hangs_is_abandoned_at_the_deadline_of_the_clock(let_go: threading.Event) -> None:
    hanging = DeadlineTask(lambda: let_go.wait(LONG_S), "hanging", clock=Passing())
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


def test_a_result_in_time_is_not_undone() -> None:
    undone: list[int] = []
    assert DeadlineTask(lambda: 7, "seven", late=undone.append).get(LONG_S, TimeoutError()) == 7
    assert undone == []


def test_progress_moves_the_deadline_on(let_go: threading.Event) -> None:
    seen = iter(range(1_000_000))

    def progress() -> int:
        step = next(seen)
        if step == 20:  # each look takes a second of the clock: ten deadlines have passed by now
            let_go.set()
        return step

    task = DeadlineTask(lambda: let_go.wait(LONG_S), "reading", clock=Passing())
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


def test_a_key_that_hangs_is_not_asked_again_until_it_has_answered(let_go: threading.Event) -> None:
    asked: list[str] = []

    def hang() -> str:
        asked.append("camera")
        let_go.wait(LONG_S)
        return "modes"

    tasks: DeadlineTasks[str, str] = DeadlineTasks("ask")
    found = tasks.ask({"camera": hang, "microphone": lambda: "channels"}, SHORT_S)
    assert found == {"microphone": "channels"}
    assert tasks.ask({"camera": hang}, SHORT_S) == {}
    assert asked == ["camera"]
    let_go.set()
    wait_for(lambda: "ask-camera" not in {thread.name for thread in threading.enumerate()})
    assert tasks.ask({"camera": lambda: "others"}, LONG_S) == {"camera": "others"}, "it has answered: it is asked anew"


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
    assert isinstance(found["camera"], OSError)
    assert asked == ["camera"]
    assert not ended.acquire(blocking=False), "what ends in time is not late"
    assert tasks.ask({"camera": lambda: "modes"}, LONG_S) == {"camera": "modes"}


def test_a_short_wait_does_not_abandon(let_go: threading.Event) -> None:
    task = DeadlineTask(lambda: let_go.wait(LONG_S), "resolve")
    assert not task.ends_within(SHORT_S)
    assert not task.is_abandoned
    let_go.set()
    assert task.ends_within(LONG_S)


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


def test_an_error_is_returned_beside_the_other_answers() -> None:
    def fail() -> int:
        raise OSError(5, "Input/output error")

    found = DeadlineTasks[str, int]("ask").ask({"bad": fail, "good": lambda: 1}, LONG_S)
    assert found["good"] == 1
    assert isinstance(found["bad"], OSError)


def test_a_closing_in_time_is_done() -> None:
    done = threading.Event()
    assert close_within(done.set, LONG_S, "/dev/quick")
    assert done.is_set()
    assert count_hung_closings("/dev/quick") == 0


def test_a_closing_that_hangs_is_counted_until_it_ends(let_go: threading.Event) -> None:
    assert not close_within(lambda: let_go.wait(LONG_S), SHORT_S, "/dev/hung")
    assert [count_hung_closings(name) for name in ("/dev/hung", "/dev/other", "/dev/hun", None)] == [1, 0, 0, 1]
    let_go.set()
    wait_for(lambda: count_hung_closings("/dev/hung") == 0)
