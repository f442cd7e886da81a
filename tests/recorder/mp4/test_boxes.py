import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

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

WIDE = struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd"


def test_a_box_is_found_where_it_lies_in_the_file() -> None:
    data = b"--" + b"".join(make_box(b"free", b"abc"))
    assert parse_box(data, 2) == Box(b"free", 2, 10, 13)
    assert parse_box(data, 2, base=1000) == Box(b"free", 1002, 1010, 1013)


def test_a_head_is_enough_and_less_is_none() -> None:
    head = struct.pack(">I4s", 5000, b"mdat")
    assert parse_box(head, 0) == Box(b"mdat", 0, 8, 5000)
    assert parse_box(head[:-1], 0) is None
    assert parse_box(b"-" + head[:-1], 1) is None


def test_a_box_without_content_is_one_and_one_that_is_smaller_than_its_head_is_none() -> None:
    assert parse_box(struct.pack(">I4s", 8, b"free"), 0) == Box(b"free", 0, 8, 8)
    assert parse_box(struct.pack(">I4s", 7, b"free"), 0) is None
    assert parse_box(struct.pack(">I4s", 0, b"free") + bytes(20), 0) is None
    assert parse_box(struct.pack(">I4sQ", 1, b"mdat", 16), 0) == Box(b"mdat", 0, 16, 16)
    assert parse_box(struct.pack(">I4sQ", 1, b"mdat", 15), 0) is None


def test_a_size_of_64_bits_stands_behind_the_type() -> None:
    assert parse_box(WIDE, 0) == Box(b"mdat", 0, 16, 20)
    assert parse_box(b"---" + WIDE, 3, base=100) == Box(b"mdat", 103, 119, 123)
    assert list(child_boxes(WIDE)) == [(b"mdat", b"abcd")]


def test_of_a_size_of_64_bits_that_is_cut_off_there_is_no_box() -> None:
    assert parse_box(WIDE[:15], 0) is None
    assert parse_box(b"-" + WIDE[:15], 1) is None


def test_boxes_fill_what_they_are_in_or_do_not() -> None:
    two = b"".join(make_box(b"free", b"abc") + make_box(b"skip"))
    assert list(child_boxes(two)) == [(b"free", b"abc"), (b"skip", b"")]
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


def test_a_torn_head_may_be_all_that_there_is(tmp_path: Path) -> None:
    assert said(tmp_path, FTYP, *make_box(b"mdat", CONTENT)) == TORN


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
