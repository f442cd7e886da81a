"""Samples as columns, and their tables byte by byte as ISO/IEC 14496-12 has them."""

import struct

import numpy as np
import pytest

from recorder.mp4.boxes import child_boxes
from recorder.mp4.samples import FIRST_ROOM, MOST_REORDERED, NON_SYNC, Column, TrackSamples, sample_tables


def column(*values: int) -> Column:
    return np.array(values, np.int64).astype(np.uint32)


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
    assert made.add_run(5000, 3, column(10, 20, 30), column(1, 2, 3), column(5, -1, 0), column(0, NON_SYNC, 0)) == 5060
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
        (column(20, 40, 0), 40, 1060),  # the one before it is shown from 50 to 60
        (column(20, 20, 20), 10, 1030),
        (column(20, 20, 0), 20, 1040),  # where the last one ends the one before it begins
        (column(20, 20, 10), 10, 1030),
        (column(0, 9, 0), 10, 1030),  # shown last itself, if by little
    ):
        made = samples(10, 10, 10, shifts=shifts)
        made.lengthen_to_shown_end()
        assert (list(made.durations), made.end) == ([10, 10, last], end), shifts


def test_how_long_the_last_one_lasts_itself_decides_whether_it_ends_before_another_is_shown() -> None:
    made = samples(10, 30, 5, shifts=column(0, 40, 0))
    made.lengthen_to_shown_end()
    assert (list(made.durations), made.end) == ([10, 30, 40], 1080)


def test_of_many_samples_those_at_the_end_are_looked_at() -> None:
    for before_last, end in ((MOST_REORDERED - 1, 1001), (MOST_REORDERED, 100)):
        made = TrackSamples()
        shifts = [0] * 100
        shifts[99 - before_last] = 1000 - (99 - before_last)
        made.add_run(0, 100, 10, 1, column(*shifts), 0)
        made.lengthen_to_shown_end()
        assert made.end == end


def test_it_is_shown_until_the_last_one_ends_from_its_beginning() -> None:
    made = samples(10, 20, shifts=column(0, 5))
    assert made.shown_end == 35
    made.lengthen(4)
    assert (list(made.durations), made.end, made.shown_end) == ([10, 24], 1034, 39)
    made.lengthen(-9)
    assert (list(made.durations), made.end) == ([10, 24], 1034)


AAC = bytes(8) + struct.pack(">I4s", 36, b"mp4a") + bytes(28)
"""The content of an `stsd`: version and flags, one entry, and that."""
H264 = bytes(8) + struct.pack(">I4s", 36, b"avc1") + bytes(28)


def track(
    *runs: int, sizes: Column = 10, durations: Column = 1, shifts: Column = 0, flags: Column = 0, offset: int = 5000
) -> TrackSamples:
    """Return samples in runs of so many, which lie 1,000 bytes apart; the columns are of all of them."""
    made = TrackSamples()
    made.begin_run(0)
    first = 0
    for number, count in enumerate(runs):
        of_run = [
            whole if isinstance(whole, int) else whole[first : first + count]
            for whole in (sizes, durations, shifts, flags)
        ]
        made.add_run(offset + 1000 * number, count, *of_run)
        first += count
    return made


def tables(samples: TrackSamples, description: bytes = H264) -> dict[str, bytes]:
    """Return the content of each box by its name."""
    parts = b"".join(sample_tables(samples, description))
    return {kind.decode(): content for kind, content in child_boxes(parts)}


def numbers(content: bytes, kind: str = "I") -> list[int]:
    """Return what stands behind version and flags."""
    return [number for (number,) in struct.iter_unpack(f">{kind}", content[4:])]


def test_durations_and_shifts_are_counted_where_they_are_the_same() -> None:
    made = tables(track(6, durations=column(40, 40, 20, 40, 40, 40), shifts=column(0, 80, 80, 80, 0, 0)))
    assert made["stts"] == bytes(4) + struct.pack(">7I", 3, 2, 40, 1, 20, 3, 40)
    assert made["ctts"] == bytes(4) + struct.pack(">7I", 3, 1, 0, 3, 80, 2, 0)


def test_a_shift_back_needs_version_1() -> None:
    made = tables(track(3, shifts=column(0, 1, -1)))
    assert made["ctts"][:4] == b"\1\0\0\0"
    assert numbers(made["ctts"], "i") == [3, 1, 0, 1, 1, 1, -1]
    assert tables(track(2, shifts=column(1, 2)))["ctts"][:4] == bytes(4)


def test_what_is_shown_when_it_is_decoded_has_no_table_of_shifts() -> None:
    assert set(tables(track(3))) == {"stsd", "stts", "stsc", "stsz", "stco"}


def test_samples_at_which_decoding_can_begin_are_listed_from_1_on() -> None:
    flags = column(0, NON_SYNC, NON_SYNC, 0, NON_SYNC)
    assert numbers(tables(track(5, flags=flags))["stss"]) == [2, 1, 4]
    assert "stss" not in tables(track(5))
    assert numbers(tables(track(2, flags=NON_SYNC))["stss"]) == [0]


def test_runs_of_the_same_length_are_one_entry_with_the_number_of_the_first() -> None:
    made = tables(track(3, 3, 2, 3, 3, 3))
    assert numbers(made["stsc"]) == [3, 1, 3, 1, 3, 2, 1, 4, 3, 1]
    assert numbers(made["stco"]) == [6, 5000, 6000, 7000, 8000, 9000, 10_000]


def test_sizes_are_one_number_only_where_all_are_the_same_and_not_nothing() -> None:
    assert numbers(tables(track(3, sizes=10))["stsz"]) == [10, 3]
    assert numbers(tables(track(3, sizes=column(10, 10, 11)))["stsz"]) == [0, 3, 10, 10, 11]
    assert numbers(tables(track(2, sizes=0))["stsz"]) == [0, 2, 0, 0]


@pytest.mark.parametrize(("last", "name", "kind"), [((1 << 32) - 1, "stco", "I"), (1 << 32, "co64", "Q")])
def test_places_behind_4_gb_take_64_bits(last: int, name: str, kind: str) -> None:
    made = tables(track(1, 1, offset=last - 1000))
    assert {"stco", "co64"} & set(made) == {name}
    assert struct.unpack_from(">I", made[name], 4) == (2,)
    assert numbers(made[name][4:], kind) == [last - 1000, last]


def test_aac_says_that_it_needs_a_frame_before() -> None:
    made = tables(track(7), AAC)
    assert made["stsd"] == AAC
    assert made["sgpd"] == b"\1\0\0\0" + struct.pack(">4sIIh", b"roll", 2, 1, -1)
    assert made["sbgp"] == bytes(4) + struct.pack(">4sIII", b"roll", 1, 7, 1)
    assert not {"sgpd", "sbgp"} & set(tables(track(7), H264))
