import numpy as np
import pytest

from recorder.mp4.samples import FIRST_ROOM, MOST_REORDERED, NON_SYNC, Column, TrackSamples


def column(*values: int) -> Column:
    return np.array(values, np.uint32)


def signed(*values: int) -> Column:
    return np.array(values, np.int32).view(np.uint32)


def samples(*durations: int, begin: int = 1000, shifts: Column = 0) -> TrackSamples:
    """Return samples of one run, 10 bytes each."""
    made = TrackSamples()
    made.begin_run(begin)
    made.add_run(5000, len(durations), 10, column(*durations), shifts, 0)
    return made


def test_a_track_of_which_nothing_is_known_is_empty() -> None:
    made = TrackSamples()
    assert (made.count, made.begin, made.end, list(made.chunk_offsets), list(made.chunk_counts)) == (0, 0, 0, [], [])
    assert len(made.sizes) == len(made.durations) == len(made.shifts) == len(made.sync) == 0


def test_a_run_begins_at_its_time_and_ends_behind_its_bytes() -> None:
    made = TrackSamples()
    made.begin_run(70)
    assert made.add_run(5000, 3, column(10, 20, 30), column(1, 2, 3), signed(5, -1, 0), column(0, NON_SYNC, 0)) == 5060
    assert (made.count, made.begin, made.end) == (3, 70, 76)
    assert (list(made.chunk_offsets), list(made.chunk_counts)) == ([5000], [3])
    assert (list(made.sizes), list(made.durations), list(made.shifts)) == ([10, 20, 30], [1, 2, 3], [5, -1, 0])
    assert list(made.sync) == [True, False, True]


def test_runs_stand_one_behind_the_other() -> None:
    made = samples(1, 2)
    made.begin_run(1003)
    assert made.add_run(7000, 2, 5, 4, 0, NON_SYNC) == 7010
    assert (list(made.durations), list(made.sizes), list(made.sync)) == (
        [1, 2, 4, 4],
        [10, 10, 5, 5],
        [True, True, False, False],
    )
    assert (made.begin, made.end) == (1000, 1011)
    assert (list(made.chunk_offsets), list(made.chunk_counts)) == ([5000, 7000], [2, 2])


@pytest.mark.parametrize(
    ("time", "last"), [(1020, 10), (1050, 40), (1013, 3), (1010, 0), (1009 + (1 << 32), 2**32 - 1)]
)
def test_the_sample_before_a_run_lasts_until_it_begins(time: int, last: int) -> None:
    made = samples(5, 10, begin=1005)
    made.begin_run(time)
    assert (list(made.durations), made.begin, made.end) == ([5, last], 1005, time)


@pytest.mark.parametrize("time", [1009, 0, 1010 + (1 << 32)])
def test_a_run_that_begins_before_the_sample_before_it_or_much_later_is_an_error(time: int) -> None:
    made = samples(10, 10)
    with pytest.raises(ValueError, match=f"a fragment of time {time} follows one that ends at 1020"):
        made.begin_run(time)
    assert (list(made.durations), made.end) == ([10, 10], 1020)


def test_there_is_room_for_any_number_and_not_much_more() -> None:
    made = TrackSamples()
    for number in range(50):
        made.add_run(number, 300, number, number, number, NON_SYNC * (number % 2))
    expected = [number for number in range(50) for _ in range(300)]
    assert list(made.sizes) == list(made.durations) == list(made.shifts) == expected
    assert list(made.sync) == [number % 2 == 0 for number in expected]
    room = made.sizes.base
    assert room is not None
    assert made.count <= len(room) <= 1.5 * made.count


@pytest.mark.parametrize(("count", "expected"), [(FIRST_ROOM, FIRST_ROOM), (FIRST_ROOM + 1, FIRST_ROOM * 3 // 2)])
def test_a_full_room_becomes_half_as_large_again(count: int, expected: int) -> None:
    made = TrackSamples()
    made.add_run(0, count, 1, 1, 0, 0)
    for column in (made.sizes, made.durations, made.shifts, made.sync):
        assert column.base is not None
        assert len(column.base) == expected


def test_what_was_added_since_a_mark_can_be_forgotten() -> None:
    made = samples(10, 20)
    mark = made.mark()
    made.begin_run(1100)
    made.add_run(9000, 5, 7, 3, 0, 0)
    made.add_run(9035, 5, 7, 3, 0, 0)
    made.restore(mark)
    assert (list(made.durations), made.count, made.begin, made.end) == ([10, 20], 2, 1000, 1030)
    assert (list(made.chunk_offsets), list(made.chunk_counts)) == ([5000], [2])


def test_one_sample_and_none_can_be_gone_back_to() -> None:
    for made, durations in ((samples(10), [10]), (TrackSamples(), [])):
        mark = made.mark()
        made.begin_run(1100)
        made.add_run(9000, 1, 7, 3, 0, 0)
        made.restore(mark)
        assert (list(made.durations), made.count) == (durations, len(durations))


def test_the_last_sample_lasts_as_long_as_the_one_that_is_shown_last() -> None:
    for shifts, last, end in (
        (signed(20, 40, 0), 40, 1060),  # the one before it is shown from 50 to 60
        (signed(20, 20, 20), 10, 1030),
        (signed(20, 20, 0), 20, 1040),  # where the last one ends the one before it begins
        (signed(20, 20, 10), 10, 1030),
        (signed(0, 9, 0), 10, 1030),  # shown last itself, if by little
    ):
        made = samples(10, 10, 10, shifts=shifts)
        made.lengthen_to_shown_end()
        assert (list(made.durations), made.end) == ([10, 10, last], end), shifts


def test_how_long_the_last_one_lasts_itself_decides_whether_it_ends_before_another_is_shown() -> None:
    made = samples(10, 30, 5, shifts=signed(0, 40, 0))
    made.lengthen_to_shown_end()
    assert (list(made.durations), made.end) == ([10, 30, 40], 1080)


def test_of_many_samples_those_at_the_end_are_looked_at() -> None:
    for before_last, end in ((MOST_REORDERED - 1, 1001), (MOST_REORDERED, 100)):
        made = TrackSamples()
        shifts = [0] * 100
        shifts[99 - before_last] = 1000 - (99 - before_last)
        made.add_run(0, 100, 10, 1, signed(*shifts), 0)
        made.lengthen_to_shown_end()
        assert made.end == end


def test_it_is_shown_until_the_last_one_ends_from_its_beginning() -> None:
    made = samples(10, 20, shifts=signed(0, 5))
    assert made.shown_end == 35
    made.lengthen(4)
    assert (list(made.durations), made.end, made.shown_end) == ([10, 24], 1034, 39)
    made.lengthen(-9)
    assert (list(made.durations), made.end) == ([10, 24], 1034)
