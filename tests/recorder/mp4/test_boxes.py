import os
import struct
from pathlib import Path

from recorder.mp4.boxes import Box, adds_up, box, box_at, box_in, boxes, content_of, find, length

WIDE = struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd"


def test_a_box_is_found_where_it_lies_in_the_file() -> None:
    data = b"--" + b"".join(box(b"free", b"abc"))
    assert box_in(data, 2) == Box(b"free", 2, 10, 13)
    assert box_in(data, 2, base=1000) == Box(b"free", 1002, 1010, 1013)


def test_a_head_is_enough_and_less_is_none() -> None:
    head = struct.pack(">I4s", 5000, b"mdat")
    assert box_in(head, 0) == Box(b"mdat", 0, 8, 5000)
    assert box_in(head[:-1], 0) is None
    assert box_in(b"-" + head[:-1], 1) is None


def test_a_box_without_content_is_one_and_one_that_is_smaller_than_its_head_is_none() -> None:
    assert box_in(struct.pack(">I4s", 8, b"free"), 0) == Box(b"free", 0, 8, 8)
    assert box_in(struct.pack(">I4s", 7, b"free"), 0) is None
    assert box_in(struct.pack(">I4s", 0, b"free") + bytes(20), 0) is None
    assert box_in(struct.pack(">I4sQ", 1, b"mdat", 16), 0) == Box(b"mdat", 0, 16, 16)
    assert box_in(struct.pack(">I4sQ", 1, b"mdat", 15), 0) is None


def test_a_size_of_64_bits_stands_behind_the_type() -> None:
    assert box_in(WIDE, 0) == Box(b"mdat", 0, 16, 20)
    assert box_in(b"---" + WIDE, 3, base=100) == Box(b"mdat", 103, 119, 123)
    assert list(boxes(WIDE)) == [(b"mdat", b"abcd")]


def test_of_a_size_of_64_bits_that_is_cut_off_there_is_no_box() -> None:
    assert box_in(WIDE[:15], 0) is None
    assert box_in(b"-" + WIDE[:15], 1) is None


def test_boxes_fill_what_they_are_in_or_do_not() -> None:
    two = b"".join(box(b"free", b"abc") + box(b"skip"))
    assert list(boxes(two)) == [(b"free", b"abc"), (b"skip", b"")]
    assert adds_up(two)
    assert adds_up(b"")
    assert not adds_up(two + b"-")
    assert not adds_up(two[:10])


def test_what_is_not_there_reads_as_zeros() -> None:
    moov = b"".join(box(b"free") + box(b"trak", box(b"tkhd", b"first")) + box(b"trak", box(b"tkhd", b"second")))
    assert find(moov, b"trak", b"tkhd") == b"first"
    assert set(find(moov, b"trak", b"edts", b"elst")) == {0}
    assert struct.unpack_from(">I", find(moov, b"mvhd"), 20) == (0,), "as much as is read of any head"


def test_a_box_is_read_from_a_file_as_from_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    parts = box(b"trak", box(b"tkhd", b"ab", [b"c", b"d"]))
    assert length(parts) == 20
    path.write_bytes(b"-" + b"".join(parts) + WIDE)
    with path.open("rb") as file:
        trak, mdat = box_at(file.fileno(), 1), box_at(file.fileno(), 21)
        assert trak is not None
        assert mdat == Box(b"mdat", 21, 37, 41)
        assert (content_of(file.fileno(), trak), content_of(file.fileno(), mdat)) == (b"".join(parts)[8:], b"abcd")
        assert box_at(file.fileno(), os.fstat(file.fileno()).st_size) is None
