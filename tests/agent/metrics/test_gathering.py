"""Finding out many things at once: what hangs keeps nobody waiting, and is not asked again."""

import threading
import time
from collections.abc import Iterator

import pytest

from agent.metrics.exposition import DeadlineQueries
from config.errors import StorageError
from tests.support.waiting import wait_for


class Hanging:
    """Hangs until it is let go; counts how often it was asked."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        self.let_go.wait(30)
        return self.asked


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.let_go.set()


def test_what_hangs_is_missing_and_not_asked_again(hanging: Hanging) -> None:
    gathering = DeadlineQueries[object]()
    began = time.monotonic()
    for _ in range(5):
        assert gathering.gather({"a": lambda: 1, "b": hanging, "c": lambda: 3}, 0.2) == {"a": 1, "c": 3}
    assert time.monotonic() - began < 25.0
    assert hanging.asked == 1
    hanging.let_go.set()
    wait_for(lambda: gathering.gather({"b": hanging}, 10.0) == {"b": 2})


def test_what_fails_is_missing_and_asked_again() -> None:
    answers: list[object] = [StorageError("gone", why="unwritable"), OSError("gone"), 7]

    def find_out() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    gathering = DeadlineQueries[object]()
    assert [gathering.gather({"a": find_out}, 10.0, 60.0) for _ in range(4)] == [{}, {}, {"a": 7}, {"a": 7}]


def test_what_came_too_late_is_taken_the_next_time(hanging: Hanging) -> None:
    gathering = DeadlineQueries[object]()
    assert gathering.gather({"a": hanging}, 0.0, 60.0) == {}
    hanging.let_go.set()
    assert wait_for(lambda: gathering.gather({"a": hanging}, 10.0, 60.0)) == {"a": 1}
    assert hanging.asked == 1
