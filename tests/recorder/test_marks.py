"""Marks: the status has the newest, the recording all of them, and there is an end to them."""

import pytest

from config.errors import UsageError
from recorder.marks import MOST, MOST_TOLD, Marks
from tests.support.simulated import SimulatedClock


def test_a_session_takes_many_marks_and_says_when_there_are_too_many() -> None:
    told: list[object] = []
    marks = Marks(SimulatedClock(), lambda kind, subject, message, **detail: told.append((kind, detail["number"])))
    for number in range(MOST):
        marks.add(f"{number}", float(number))
    with pytest.raises(UsageError, match=str(MOST)):
        marks.add("one more", 0.0)
    assert [mark.text for mark in marks.all] == [str(number) for number in range(MOST)]
    assert [line.text for line in marks.lines()] == [str(number) for number in range(MOST - MOST_TOLD, MOST)]
    assert told == [("mark", number) for number in range(1, MOST + 1)]
