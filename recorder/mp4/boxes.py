"""The boxes that an MP4 is made of: read from bytes or from a file, and built.

A box is a size (32 bits, or 64 behind a size of 1), a type of four letters, and content. ISO/IEC 14496-12, 4.2.
"""

import os
import struct
from collections.abc import Iterator, Sequence
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
