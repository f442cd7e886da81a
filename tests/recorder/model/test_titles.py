"""Marks become chapters that begin at 0, never overlap, and end with the file."""

from datetime import timedelta

import pytest

from recorder.model.marks import Mark
from recorder.model.titles import chapters
from tests.support.archives import STARTED


def mark(at_s: float, text: str) -> Mark:
    return Mark(at=STARTED + timedelta(seconds=at_s), media_s=at_s, text=text)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], []),
        ([mark(1.5, "b")], [(0, 1500, "Rapat"), (1500, 4000, "b")]),
        ([mark(3, "c"), mark(0, "a")], [(0, 3000, "a"), (3000, 4000, "c")]),
        ([mark(1, "b"), mark(1.0001, "c")], [(0, 1000, "Rapat"), (1000, 4000, "b / c")]),
        ([mark(9, "late")], [(0, 3999, "Rapat"), (3999, 4000, "late")]),
    ],
)
def test_chapters(marks: list[Mark], expected: list[tuple[int, int, str]]) -> None:
    made = chapters(marks, 4.0, "Rapat")
    assert [(each["start"], each["end"], each["metadata"]["title"]) for each in made] == expected
    assert [each["id"] for each in made] == list(range(1, len(expected) + 1))


def test_a_mark_in_an_empty_file_still_makes_a_chapter_with_a_length() -> None:
    (only,) = chapters([mark(0, "a")], 0.0, "Rapat")
    assert (only["start"], only["end"]) == (0, 1)
