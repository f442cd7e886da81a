"""Marks: the status has the newest, the recording all of them, and there is an end to them."""

import pytest

from config.errors import UsageError
from recorder.model.marks import MOST_MARKS, MOST_MARKS_SHOWN, Marks
from tests.support.simulated import SimulatedClock


def test_a_session_takes_many_marks_and_says_when_there_are_too_many() -> None:
    told: list[object] = []
    marks = Marks(SimulatedClock(), lambda kind, subject, message, **detail: told.append((kind, detail["number"])))
    for number in range(MOST_MARKS):
        marks.add(f"{number}", float(number))
    with pytest.raises(UsageError, match=str(MOST_MARKS)):
        marks.add("one more", 0.0)
    assert [mark.text for mark in marks.all] == [str(number) for number in range(MOST_MARKS)]
    assert [line.text for line in marks.lines()] == [
        str(number) for number in range(MOST_MARKS - MOST_MARKS_SHOWN, MOST_MARKS)
    ]
    assert told == [("mark", number) for number in range(1, MOST_MARKS + 1)]


def test_a_mark_is_at_the_sessions_time_and_has_its_text_on_one_line() -> None:
    told: list[tuple[str, str, str, object]] = []
    clock = SimulatedClock()
    marks = Marks(clock, lambda kind, subject, message, **facts: told.append((kind, subject, message, facts)))
    assert marks.add("Sambutan", 0.25).media_s == 0.25
    marks.offset_s = 600.0  # an earlier recorder was ended after ten minutes
    mark = marks.add("  Tanya \n jawab ", 12.34567)
    assert (mark.at, mark.media_s, mark.text) == (clock.now(), 612.346, "Tanya jawab")
    assert [(line.media_s, line.text) for line in marks.lines()] == [(600.25, "Sambutan"), (612.346, "Tanya jawab")]
    # What is written beside the recording counts in that one's own time.
    assert [one.media_s for one in marks.all] == [0.25, 12.34567]
    assert told[1:] == [("mark", "Tanya jawab", "Marked: Tanya jawab", {"media_s": 12.34567, "number": 2})]


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_mark_without_a_text_is_refused(text: str) -> None:
    marks = Marks(SimulatedClock(), lambda *_args, **_facts: pytest.fail("it was told"))
    with pytest.raises(UsageError, match="no text"):
        marks.add(text, 1.0)
    assert marks.all == ()
