"""Several things looked at at once: each answer in its place, and none that hangs holds up the others."""

import threading

import pytest

from agent.checks.check import run_parallel


def test_answers_come_in_the_order_of_the_questions() -> None:
    second_is_done = threading.Event()

    def first() -> str:
        assert second_is_done.wait(60)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    counts: list[int] = []
    assert list(run_parallel({1: first, 2: second}, threading.Event(), counts.append).items()) == [
        (1, "first"),
        (2, "second"),
    ]
    assert counts == [1, 2]


def test_one_that_hangs_is_left_to_itself() -> None:
    over = threading.Event()
    assert run_parallel({1: lambda: over.wait(60), 2: lambda: True}, threading.Event(), longest_s=0.2) == {2: True}
    over.set()


def test_nothing_is_waited_for_once_it_is_stopped() -> None:
    over, stop = threading.Event(), threading.Event()

    def stops() -> bool:
        stop.set()
        return over.wait(60)

    assert run_parallel({1: stops}, stop) == {}
    over.set()


def test_what_ends_because_it_is_stopped_has_found_nothing_out() -> None:
    stop = threading.Event()
    threading.Timer(0.25, stop.set).start()
    assert run_parallel({1: stop.wait}, stop) == {}


def test_what_is_raised_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_parallel({1: lambda: 1 // 0}, threading.Event())
