"""What a log keeps in memory: its beginning and its end, and how much is missing between."""

import pytest

from recorder.model.eventlog import KeptLines


def kept(count: int, *, head: int = 30, tail: int = 50) -> KeptLines:
    """Return lines of ten bytes each, of which the first three and the last five are kept."""
    lines = KeptLines(head_bytes=head, tail_bytes=tail)
    for number in range(count):
        lines.add(b"%09d\n" % number)
    return lines


def read(lines: KeptLines, number: int, end: int, most_bytes: int) -> tuple[list[int], int]:
    """Return the numbers of the lines from `number` on, read in batches, and how many are missing."""
    found, missing_in_all = [], 0
    while number < end:
        data, after, missing = lines.batch(number, end, most_bytes)
        assert after > number
        assert len(data) <= most_bytes + 9
        found += [int(line) for line in data.split()]
        missing_in_all += missing
        number = after
    return found, missing_in_all


@pytest.mark.parametrize("most_bytes", [1, 10, 25, 1000])
@pytest.mark.parametrize("count", [0, 2, 3, 8])
def test_all_lines_are_there_while_there_is_room(count: int, most_bytes: int) -> None:
    lines = kept(count)
    assert lines.end == count
    assert read(lines, 0, count, most_bytes) == (list(range(count)), 0)


@pytest.mark.parametrize("most_bytes", [1, 10, 25, 1000])
def test_of_too_many_the_first_and_the_last_are_there_and_it_is_known_how_many_are_not(most_bytes: int) -> None:
    lines = kept(20)
    assert read(lines, 0, 20, most_bytes) == ([0, 1, 2, 15, 16, 17, 18, 19], 12)
    assert read(lines, 3, 20, most_bytes) == ([15, 16, 17, 18, 19], 12)
    assert read(lines, 10, 20, most_bytes) == ([15, 16, 17, 18, 19], 5)
    assert read(lines, 17, 20, most_bytes) == ([17, 18, 19], 0)


def test_what_is_not_wanted_any_more_is_not_read() -> None:
    lines = kept(20)
    assert read(lines, 0, 2, 1000) == ([0, 1], 0)
    assert read(lines, 3, 10, 1000) == ([], 7)
