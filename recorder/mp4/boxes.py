"""Reads and builds MP4 boxes, and changes the head of a recording's file.

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
HEAD_BYTES = 16  # the largest head of a box: with a size of 64 bits

type BoxParts = list[bytes]  # boxes in pieces, which are never joined in memory


class Box(NamedTuple):
    """A box of a file: its type, then byte offsets of its start, content and end."""

    kind: bytes
    start: int
    content: int
    end: int


def parse_box(data: bytes, position: int, base: int = 0) -> Box | None:
    """Return the box at `position` of `data` (`base` in the file), maybe cut off; None without a head."""
    if len(data) - position < HEAD.size:
        return None
    size, kind = HEAD.unpack_from(data, position)
    head = HEAD.size
    if size == 1 and len(data) - position >= HEAD_BYTES:
        size, head = struct.unpack_from(">Q", data, position + head)[0], HEAD_BYTES
    start = base + position
    return Box(kind, start, start + head, start + size) if size >= head else None


def read_box(descriptor: int, position: int) -> Box | None:
    """Return the box at `position` of a file, complete or not; None without a valid head."""
    return parse_box(os.pread(descriptor, HEAD_BYTES, position), 0, position)


def whole_boxes(descriptor: int, position: int, size: int) -> Iterator[Box]:
    """Yield the whole boxes from `position` on of a file of `size` bytes."""
    while (box := read_box(descriptor, position)) is not None and box.end <= size:
        yield box
        position = box.end


def read_content(descriptor: int, box: Box) -> bytes:
    return os.pread(descriptor, box.end - box.content, box.content)


def child_boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of each box in `content`."""
    position = 0
    while (box := parse_box(content, position)) is not None:
        yield box.kind, content[box.content : box.end]
        position = box.end


def is_filled_by_boxes(content: bytes) -> bool:
    position = 0
    while (box := parse_box(content, position)) is not None:
        position = box.end
    return position == len(content)


def find_box(content: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at `path`; 32 zeros where it is missing."""
    for name in path:
        content = next((inner for kind, inner in child_boxes(content) if kind == name), bytes(32))
    return content


def make_box(kind: bytes, *content: bytes | BoxParts) -> BoxParts:
    """Return a box around `content`."""
    parts = [part for piece in content for part in ([piece] if isinstance(piece, bytes) else piece)]
    return [HEAD.pack(HEAD.size + total_bytes(parts), kind), *parts]


def total_bytes(parts: Sequence[bytes]) -> int:
    return sum(map(len, parts))


SECTOR = 512  # a disk writes a sector whole or not at all
MVHD_BYTES = 108  # the first box of a `moov` without durations
FIRST_HEAD = HEAD.pack(MVHD_BYTES, b"mvhd")
LARGEST_32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class FileHead:
    """The head of a fragmented file, and the content of its first `moov`; a torn head says closed, but has no index."""

    moov: Box
    content: bytes
    is_torn: bool = False


def read_head(descriptor: int, size: int) -> FileHead | None:
    """Return the head of a file of `size` bytes; None for a closed or foreign file."""
    ftyp = read_box(descriptor, 0)
    if ftyp is None or ftyp.kind != b"ftyp":
        return None
    first = read_box(descriptor, ftyp.end)
    if first is not None and first.kind == b"moov" and first.end <= size and first.start + HEAD_BYTES <= SECTOR:
        content = read_content(descriptor, first)
        if is_filled_by_boxes(content) and any(kind == b"mvex" for kind, _ in child_boxes(content)):
            return FileHead(first, content)
    if first is None or first.kind != b"mdat" or _is_indexed(descriptor, ftyp.end, size):
        return None
    moov = _moov_inside(descriptor, first, size)
    return moov and FileHead(moov, FIRST_HEAD + read_content(descriptor, moov)[len(FIRST_HEAD) :], is_torn=True)


def is_closed(descriptor: int, size: int) -> bool:
    """Return whether a file of `size` bytes is an ordinary MP4 with a complete index. Raises OSError."""
    ftyp = read_box(descriptor, 0)
    return ftyp is not None and ftyp.kind == b"ftyp" and _is_indexed(descriptor, ftyp.end, size)


def close_head(descriptor: int, moov: Box, end: int) -> None:
    """Make one `mdat` from the start of the first `moov` to `end`. Raises OSError."""
    size = end - moov.start
    data = struct.pack(">I4sQ", 1, b"mdat", size) if size > LARGEST_32 else HEAD.pack(size, b"mdat")
    os.pwrite(descriptor, data, moov.start)


def reopen_head(descriptor: int, moov: Box) -> None:
    """Undo `close_head`. Raises OSError."""
    os.pwrite(descriptor, HEAD.pack(moov.end - moov.start, b"moov") + FIRST_HEAD, moov.start)


def has_hole(descriptor: int, start: int, end: int, least: int = 1) -> bool:
    """Return whether all bytes of a sector in `start` to `end`, if at least `least`, are zeros: never written."""
    data = os.pread(descriptor, end - start, start)
    edges = [0, *range(SECTOR - start % SECTOR, len(data), SECTOR), len(data)]
    return any(after - at >= least and not any(data[at:after]) for at, after in itertools.pairwise(edges))


def _is_indexed(descriptor: int, position: int, size: int) -> bool:
    """Return whether the boxes from `position` on hold a complete index and no fragments."""
    indexed = False
    for box in whole_boxes(descriptor, position, size):
        if box.kind == b"moof":
            return False
        if box.kind == b"moov":
            indexed = is_filled_by_boxes(read_content(descriptor, box)) and not has_hole(
                descriptor, box.start, box.end, SECTOR
            )
        position = box.end
    return indexed and position == size


def _moov_inside(descriptor: int, mdat: Box, size: int) -> Box | None:
    """Return the `moov` at the beginning of `mdat`, None without one."""
    start = mdat.start
    position = start + HEAD.size
    first = read_box(descriptor, position)
    if mdat.content - start == HEAD_BYTES:  # the size of 64 bits has overwritten the head of the first box
        first = Box(b"mvhd", position, position + HEAD.size, position + MVHD_BYTES)
    box, there = first, set()
    while box is not None and box.end <= size and box.kind != b"moof":
        there.add(box.kind)
        position = box.end
        box = read_box(descriptor, position)
    return Box(b"moov", start, start + HEAD.size, position) if {b"mvhd", b"trak", b"mvex"} <= there else None
