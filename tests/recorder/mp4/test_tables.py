"""The sample tables, byte by byte as ISO/IEC 14496-12 has them, read here by its own words."""

import struct

import numpy as np
import pytest

from recorder.mp4.boxes import child_boxes
from recorder.mp4.samples import NON_SYNC, Column, TrackSamples, sample_tables

AAC = bytes(8) + struct.pack(">I4s", 36, b"mp4a") + bytes(28)
"""The content of an `stsd`: version and flags, one entry, and that."""
H264 = bytes(8) + struct.pack(">I4s", 36, b"avc1") + bytes(28)


def column(*values: int) -> Column:
    return np.array(values, np.int64).astype(np.uint32)


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
