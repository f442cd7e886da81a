"""Boxes of MP4 files, and the tables of samples, byte by byte as ISO/IEC 14496-12 has them."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from recorder.mp4.boxes import (
    FIRST_HEAD,
    HEAD_BYTES,
    LARGEST_32,
    MVHD_BYTES,
    SECTOR,
    Box,
    FileHead,
    child_boxes,
    close_head,
    find_box,
    has_hole,
    is_closed,
    is_filled_by_boxes,
    make_box,
    parse_box,
    read_box,
    read_content,
    read_head,
    reopen_head,
    total_bytes,
)
from recorder.mp4.samples import FIRST_ROOM, MOST_REORDERED, NON_SYNC, Column, TrackSamples, sample_tables

WIDE = struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd"


@pytest.mark.parametrize(
    ("data", "start", "found"),
    [
        (b"--" + struct.pack(">I4s", 11, b"free") + b"abc", 2, Box(b"free", 102, 110, 113)),
        (struct.pack(">I4s", 5000, b"mdat"), 0, Box(b"mdat", 100, 108, 5100)),  # a head is enough
        (struct.pack(">I4s", 5000, b"mdat")[:-1], 0, None),
        (b"-" + struct.pack(">I4s", 5000, b"mdat")[:-1], 1, None),
        (struct.pack(">I4s", 8, b"free"), 0, Box(b"free", 100, 108, 108)),
        (struct.pack(">I4s", 7, b"free"), 0, None),
        (struct.pack(">I4s", 0, b"free") + bytes(20), 0, None),
        (b"---" + WIDE, 3, Box(b"mdat", 103, 119, 123)),
        (struct.pack(">I4sQ", 1, b"mdat", 16), 0, Box(b"mdat", 100, 116, 116)),
        (struct.pack(">I4sQ", 1, b"mdat", 15), 0, None),
        (b"-" + WIDE[:15], 1, None),
        (WIDE[:15], 0, None),
    ],
)
def test_a_box_is_found_where_it_lies_in_the_file(data: bytes, start: int, found: Box | None) -> None:
    assert parse_box(data, start, base=100) == found


def test_boxes_fill_what_they_are_in_or_do_not() -> None:
    two = b"".join(make_box(b"free", b"abc") + make_box(b"skip"))
    assert list(child_boxes(two)) == [(b"free", b"abc"), (b"skip", b"")]
    assert list(child_boxes(WIDE)) == [(b"mdat", b"abcd")]
    assert is_filled_by_boxes(two)
    assert is_filled_by_boxes(b"")
    assert not is_filled_by_boxes(two + b"-")
    assert not is_filled_by_boxes(two[:10])


def test_what_is_not_there_reads_as_zeros() -> None:
    moov = b"".join(
        make_box(b"free")
        + make_box(b"trak", make_box(b"tkhd", b"first"))
        + make_box(b"trak", make_box(b"tkhd", b"second"))
    )
    assert find_box(moov, b"trak", b"tkhd") == b"first"
    assert set(find_box(moov, b"trak", b"edts", b"elst")) == {0}
    assert struct.unpack_from(">I", find_box(moov, b"mvhd"), 20) == (0,), "as much as is read of any head"


def test_a_box_is_read_from_a_file_as_from_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    parts = make_box(b"trak", make_box(b"tkhd", b"ab", [b"c", b"d"]))
    assert total_bytes(parts) == 20
    path.write_bytes(b"-" + b"".join(parts) + WIDE)
    with path.open("rb") as file:
        trak, mdat = read_box(file.fileno(), 1), read_box(file.fileno(), 21)
        assert trak is not None
        assert mdat == Box(b"mdat", 21, 37, 41)
        assert (read_content(file.fileno(), trak), read_content(file.fileno(), mdat)) == (b"".join(parts)[8:], b"abcd")
        assert read_box(file.fileno(), os.fstat(file.fileno()).st_size) is None


FTYP = b"".join(make_box(b"ftyp", b"isom", bytes(4)))
MVHD = b"".join(make_box(b"mvhd", bytes(range(1, 101))))
TRAK = b"".join(make_box(b"trak", b"\x07" * 20))
MVEX = b"".join(make_box(b"mvex", b"\x08" * 12))
CONTENT = MVHD + TRAK + MVEX
MOOV = b"".join(make_box(b"moov", CONTENT))
FRAGMENT = b"".join([*make_box(b"moof", b"\x01" * 30), *make_box(b"mdat", b"\x02" * 700)])
OPEN_BOX = Box(b"moov", len(FTYP), len(FTYP) + 8, len(FTYP) + len(MOOV))
TORN = FileHead(OPEN_BOX, CONTENT, is_torn=True)


@contextmanager
def file(tmp_path: Path, *parts: bytes) -> Iterator[int]:
    path = tmp_path / "file.mp4"
    path.write_bytes(b"".join(parts))
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def said(tmp_path: Path, *parts: bytes, size: int | None = None) -> FileHead | Literal["closed"] | None:
    """Return what the head of a file made of `parts` says, of which `size` bytes are counted."""
    with file(tmp_path, *parts) as descriptor:
        size = sum(map(len, parts)) if size is None else size
        head = read_head(descriptor, size)
        return "closed" if head is None and is_closed(descriptor, size) else head


def all_of(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def test_the_numbers_are_those_of_disks_and_of_the_format() -> None:
    assert (SECTOR, LARGEST_32, HEAD_BYTES) == (512, 0xFFFFFFFF, 16)
    assert len(MVHD) == MVHD_BYTES
    assert MVHD.startswith(FIRST_HEAD)


@pytest.mark.parametrize("rest", [b"", FRAGMENT, FRAGMENT[:50]], ids=["nothing", "whole", "torn"])
def test_a_moov_that_says_fragments_is_an_open_file_whatever_follows(tmp_path: Path, rest: bytes) -> None:
    assert said(tmp_path, FTYP, MOOV, rest) == FileHead(OPEN_BOX, CONTENT)


def test_a_moov_that_is_not_whole_says_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, FTYP, MOOV, size=len(FTYP + MOOV) - 1) is None
    broken = bytearray(MOOV)
    broken[8 + len(MVHD) + 3] += 1  # the track claims a byte more, and so swallows one of the next box
    assert said(tmp_path, FTYP, bytes(broken), FRAGMENT) is None
    assert said(tmp_path, FTYP, *make_box(b"mdat", CONTENT)) == TORN, "a torn head may be all that there is"


def test_an_index_is_a_closed_file(tmp_path: Path) -> None:
    index = b"".join(make_box(b"moov", MVHD + TRAK))
    assert said(tmp_path, FTYP, index) == "closed"
    assert said(tmp_path, FTYP, *make_box(b"mdat", b"\x02" * 30), index) == "closed"
    assert said(tmp_path, FTYP, *make_box(b"mdat", b"\x02" * 30), index, b"\0") is None
    assert said(tmp_path, FTYP, *make_box(b"mdat", b"\x02" * 30)) is None


def test_a_head_that_a_disk_would_not_write_at_once_is_not_changed(tmp_path: Path) -> None:
    def behind(start: int) -> object:
        return said(tmp_path, b"".join(make_box(b"ftyp", bytes(start - 8))), MOOV, FRAGMENT)

    assert behind(SECTOR - HEAD_BYTES)
    assert behind(SECTOR - HEAD_BYTES + 1) is None


@pytest.mark.parametrize("parts", [(), (b"\0\0",), (FTYP,), (MOOV, FRAGMENT), (MVHD,), (FTYP, FRAGMENT)])
def test_what_is_none_of_ours_is_other(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    assert said(tmp_path, *parts) is None


def test_without_its_index_a_closed_head_is_torn_and_its_moov_is_still_there(tmp_path: Path) -> None:
    with file(tmp_path, FTYP, MOOV, FRAGMENT) as descriptor:
        before = all_of(descriptor)
        close_head(descriptor, OPEN_BOX, len(before))
        closed = all_of(descriptor)
        assert closed == FTYP + (len(before) - len(FTYP)).to_bytes(4) + b"mdat" + before[len(FTYP) + 8 :]
        assert read_head(descriptor, len(closed)) == TORN
        reopen_head(descriptor, OPEN_BOX)
        assert all_of(descriptor) == before


@pytest.mark.parametrize(("size", "is_wide"), [(LARGEST_32, False), (LARGEST_32 + 1, True)])
def test_more_than_32_bits_take_64_and_the_place_of_the_first_box(tmp_path: Path, size: int, *, is_wide: bool) -> None:
    with file(tmp_path, FTYP, MOOV, FRAGMENT) as descriptor:
        before = all_of(descriptor)
        os.ftruncate(descriptor, len(FTYP) + size)
        close_head(descriptor, OPEN_BOX, len(FTYP) + size)
        head = os.pread(descriptor, 16, len(FTYP))
        if is_wide:
            assert head == (1).to_bytes(4) + b"mdat" + size.to_bytes(8)
        else:
            assert head == size.to_bytes(4) + b"mdat" + FIRST_HEAD
        assert read_head(descriptor, len(FTYP) + size) == TORN
        reopen_head(descriptor, OPEN_BOX)
        assert os.pread(descriptor, len(before), 0) == before


@pytest.mark.parametrize("missing", [MVHD, TRAK, MVEX])
def test_an_mdat_that_does_not_begin_with_our_boxes_is_not_ours(tmp_path: Path, missing: bytes) -> None:
    boxes = CONTENT.replace(missing, b"")
    assert said(tmp_path, FTYP, *make_box(b"mdat", boxes, FRAGMENT)) is None
    assert said(tmp_path, FTYP, *make_box(b"free", CONTENT, FRAGMENT)) is None


def test_an_index_with_a_sector_that_was_never_written_is_none(tmp_path: Path) -> None:
    data = b"".join(make_box(b"mdat", CONTENT, FRAGMENT))

    def with_index(content: bytes) -> object:
        return said(tmp_path, FTYP, data, *make_box(b"moov", MVHD, *make_box(b"trak", content)))

    assert with_index(b"\x01" * 2000) == "closed"
    assert with_index(b"\x01" * 500 + bytes(1100) + b"\x01" * 500) == TORN
    assert with_index(b"\x01" * 900 + bytes(300) + b"\x01" * 900) == "closed"


def test_a_hole_is_a_sector_or_what_is_asked_of_one(tmp_path: Path) -> None:
    with file(tmp_path, b"\x01" * 500, bytes(12 + 512 + 5), b"\x01" * 100) as descriptor:
        assert has_hole(descriptor, 500, 512)
        assert has_hole(descriptor, 511, 512)
        assert not has_hole(descriptor, 499, 512)
        assert not has_hole(descriptor, 400, 530, least=19)
        assert has_hole(descriptor, 400, 530, least=18)
        assert not has_hole(descriptor, 500, 512, least=13)
        assert has_hole(descriptor, 0, 1100, least=SECTOR)
        assert has_hole(descriptor, 513, 1100, least=SECTOR - 1)
        assert not has_hole(descriptor, 513, 1100, least=SECTOR)
        assert not has_hole(descriptor, 1029, 1100)


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
    assert (list(made.durations), list(made.sizes)) == ([1, 2, 4, 4], [10, 10, 5, 5])
    assert (list(made.sync), made.begin, made.end) == ([True, True, False, False], 1000, 1011)
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


def test_there_is_room_for_any_number() -> None:
    made = TrackSamples()
    for number in range(50):
        made.add_run(number, 300, number, number, number, NON_SYNC * (number % 2))
    expected = [number for number in range(50) for _ in range(300)]
    assert list(made.sizes) == list(made.durations) == list(made.shifts) == expected
    assert list(made.sync) == [number % 2 == 0 for number in expected]


def test_a_full_room_becomes_half_as_large_again() -> None:
    for count, expected in ((FIRST_ROOM, FIRST_ROOM), (FIRST_ROOM + 1, FIRST_ROOM * 3 // 2)):
        made = TrackSamples()
        made.add_run(0, count, 1, 1, 0, 0)
        rooms = [column.base for column in (made.sizes, made.durations, made.shifts, made.sync)]
        assert [len(room) for room in rooms if room is not None] == [expected] * 4


def test_what_was_added_since_a_mark_can_be_forgotten() -> None:
    for durations in ([10, 20], [10], []):
        made = samples(*durations) if durations else TrackSamples()
        mark, end, chunks = made.mark(), made.end, (list(made.chunk_offsets), list(made.chunk_counts))
        made.begin_run(1100)
        made.add_run(9000, 5, 7, 3, 0, 0)
        made.add_run(9035, 5, 7, 3, 0, 0)
        made.restore(mark)
        assert (list(made.durations), made.count, made.end) == (durations, len(durations), end)
        assert (list(made.chunk_offsets), list(made.chunk_counts)) == chunks
        assert made.begin == 1000 or not durations


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
    made = samples(10, 30, 5, shifts=column(0, 40, 0))
    made.lengthen_to_shown_end()
    assert (list(made.durations), made.end) == ([10, 30, 40], 1080), "it depends on how long the last one lasts itself"


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
    made = tables(track(3, shifts=column(0, 1, -1)))
    assert made["ctts"][:4] == b"\1\0\0\0", "a shift back needs version 1"
    assert numbers(made["ctts"], "i") == [3, 1, 0, 1, 1, 1, -1]
    assert tables(track(2, shifts=column(1, 2)))["ctts"][:4] == bytes(4)
    assert set(tables(track(3))) == {"stsd", "stts", "stsc", "stsz", "stco"}, "what is shown when it is decoded"


def test_samples_at_which_decoding_can_begin_are_listed_from_1_on() -> None:
    flags = column(0, NON_SYNC, NON_SYNC, 0, NON_SYNC)
    assert numbers(tables(track(5, flags=flags))["stss"]) == [2, 1, 4]
    assert "stss" not in tables(track(5))
    assert numbers(tables(track(2, flags=NON_SYNC))["stss"]) == [0]


def test_runs_of_one_length_are_one_entry_and_sizes_one_number_where_they_are_the_same_and_not_nothing() -> None:
    made = tables(track(3, 3, 2, 3, 3, 3))
    assert numbers(made["stsc"]) == [3, 1, 3, 1, 3, 2, 1, 4, 3, 1]
    assert numbers(made["stco"]) == [6, 5000, 6000, 7000, 8000, 9000, 10_000]
    for sizes, expected in ((10, [10, 3]), (column(10, 10, 11), [0, 3, 10, 10, 11]), (0, [0, 3, 0, 0, 0])):
        assert numbers(tables(track(3, sizes=sizes))["stsz"]) == expected


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
