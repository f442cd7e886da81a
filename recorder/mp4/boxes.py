"""MP4 boxes: read from bytes or a file, and built; and the head of a recording's file.

A box is a size (32 bits, or 64 behind a size of 1), a type of four letters, and content. ISO/IEC 14496-12, 4.2.

The head of a recording says "fragments" or "ordinary MP4". One write within the first sector changes one into the
other. The boxes of the first `moov` stay in the file, so its head can be written again.
"""

import itertools
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

HEAD = struct.Struct(">I4s")
HEAD_BYTES = 16
"""Of a box at most: with a size of 64 bits."""

type Parts = list[bytes]
"""A box, or several, in pieces that are never put together in memory."""


class Box(NamedTuple):
    """One box of a file: its type, where it begins, where its content does, and where it ends (byte offsets)."""

    kind: bytes
    start: int
    content: int
    end: int


def box_in(data: bytes, position: int, base: int = 0) -> Box | None:
    """Return the box at `position` in `data`, which lies at `base` in the file; None where there is no head of one.

    It may end behind `data`. A size of 0 ("to the end of the file") is none of ours.
    """
    if len(data) - position < HEAD.size:
        return None
    size, kind = HEAD.unpack_from(data, position)
    head = HEAD.size
    if size == 1 and len(data) - position >= HEAD_BYTES:
        size, head = struct.unpack_from(">Q", data, position + head)[0], HEAD_BYTES
    start = base + position
    return Box(kind, start, start + head, start + size) if size >= head else None


def box_at(descriptor: int, position: int) -> Box | None:
    """Return the box at `position` of a file, whole or not; None where there is no head of one."""
    return box_in(os.pread(descriptor, HEAD_BYTES, position), 0, position)


def content_of(descriptor: int, box: Box) -> bytes:
    """Return the content of a box of a file."""
    return os.pread(descriptor, box.end - box.content, box.content)


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of the boxes that `content` is made of."""
    position = 0
    while (box := box_in(content, position)) is not None:
        yield box.kind, content[box.content : box.end]
        position = box.end


def adds_up(content: bytes) -> bool:
    """Return whether the boxes in `content` fill it."""
    position = 0
    while (box := box_in(content, position)) is not None:
        position = box.end
    return position == len(content)


def find(content: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at `path`; b"" padded with zeros where there is none."""
    for name in path:
        content = next((inner for kind, inner in boxes(content) if kind == name), bytes(32))
    return content


def box(kind: bytes, *content: bytes | Parts) -> Parts:
    """Return a box around `content`."""
    parts = [part for piece in content for part in ([piece] if isinstance(piece, bytes) else piece)]
    return [HEAD.pack(HEAD.size + length(parts), kind), *parts]


def length(parts: Sequence[bytes]) -> int:
    """Return how many bytes `parts` are."""
    return sum(map(len, parts))


SECTOR = 512
"""What a disk writes whole or not at all."""
MVHD_BYTES = 108
"""The first box of a `moov` that has no durations yet."""
FIRST_HEAD = HEAD.pack(MVHD_BYTES, b"mvhd")
LARGEST_32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a file in fragments: where its first `moov` lies, or did, and what is in it.

    One that `is_torn` says one `mdat` with an index behind it; but that index is not there.
    """

    moov: Box
    content: bytes
    is_torn: bool = False


def head_of(descriptor: int, size: int) -> Head | None:
    """Return what the head of a file of `size` bytes says; None for a closed file, and for none of ours."""
    ftyp = box_at(descriptor, 0)
    if ftyp is None or ftyp.kind != b"ftyp":
        return None
    first = box_at(descriptor, ftyp.end)
    if first is not None and first.kind == b"moov" and first.end <= size and first.start + HEAD_BYTES <= SECTOR:
        content = content_of(descriptor, first)
        if adds_up(content) and any(kind == b"mvex" for kind, _ in boxes(content)):
            return Head(first, content)
    if first is None or first.kind != b"mdat" or _is_indexed(descriptor, ftyp.end, size):
        return None
    moov = _moov_inside(descriptor, first, size)
    return moov and Head(moov, FIRST_HEAD + content_of(descriptor, moov)[len(FIRST_HEAD) :], is_torn=True)


def is_closed(descriptor: int, size: int) -> bool:
    """Return whether a file of `size` bytes is an ordinary MP4, ours or another one; raises OSError."""
    ftyp = box_at(descriptor, 0)
    return ftyp is not None and ftyp.kind == b"ftyp" and _is_indexed(descriptor, ftyp.end, size)


def close_head(descriptor: int, moov: Box, end: int) -> None:
    """Make one `mdat` of all from the beginning of the first `moov` to `end`; raises OSError."""
    size = end - moov.start
    wide = size > LARGEST_32
    data = struct.pack(">I4sQ", 1, b"mdat", size) if wide else HEAD.pack(size, b"mdat")
    os.pwrite(descriptor, data, moov.start)


def reopen_head(descriptor: int, moov: Box) -> None:
    """Undo `close_head`; raises OSError."""
    os.pwrite(descriptor, HEAD.pack(moov.end - moov.start, b"moov") + FIRST_HEAD, moov.start)


def has_hole(descriptor: int, start: int, end: int, least: int = 1) -> bool:
    """Return whether all that lies in one sector, of the bytes from `start` to `end`, is zeros: never written.

    `least` is how many bytes of a sector must be there to count.
    """
    data = os.pread(descriptor, end - start, start)
    edges = [0, *range(SECTOR - start % SECTOR, len(data), SECTOR), len(data)]
    return any(after - at >= least and not any(data[at:after]) for at, after in itertools.pairwise(edges))


def _is_indexed(descriptor: int, position: int, size: int) -> bool:
    """Return whether the boxes from `position` on hold an index that is whole, and no fragments."""
    indexed = False
    while (box := box_at(descriptor, position)) is not None and box.end <= size and box.kind != b"moof":
        if box.kind == b"moov":
            indexed = adds_up(content_of(descriptor, box)) and not has_hole(descriptor, box.start, box.end, SECTOR)
        position = box.end
    return indexed and position == size


def _moov_inside(descriptor: int, mdat: Box, size: int) -> Box | None:
    """Return the `moov` that became the beginning of `mdat`; None where none did."""
    start = mdat.start
    position = start + HEAD.size
    first = box_at(descriptor, position)
    if mdat.content - start == HEAD_BYTES:  # its size has taken the place of the head of the first box
        first = Box(b"mvhd", position, position + HEAD.size, position + MVHD_BYTES)
    box, there = first, set()
    while box is not None and box.end <= size and box.kind != b"moof":
        there.add(box.kind)
        position = box.end
        box = box_at(descriptor, position)
    return Box(b"moov", start, start + HEAD.size, position) if {b"mvhd", b"trak", b"mvex"} <= there else None
