"""What a power cut may have done to a recording's file, undone: whatever of it can be played, plays afterwards.

While it is written the file is `ftyp free free moov moof mdat moof mdat ...`; the second `free` holds an `ftyp` too. A
clean close appends an index (`moov`), then makes one `mdat` of everything between the head and that index by patching
the head of the second `free` (of the first, in a file of more than 4 GB). ISO/IEC 14496-12; libavformat/movenc.c.
"""

import itertools
import os
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from recorder.storage import storage_error

SECTOR = 512
"""What a disk loses or keeps as one."""

SIZE_BYTES = 4
"""Of a box, before its kind."""

TAIL_BYTES = 64_000_000
"""How much of the end is looked at for holes: more than any disk is written between two syncs."""


class Mended(StrEnum):
    """What was done to a file."""

    NOTHING = "nothing"
    HEAD = "head"
    """Its head said that it was closed, but its index is missing: it is fragments again."""
    CUT = "cut"
    """What came after the last whole fragment was cut off."""


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the box
    content: int
    end: int


def mend(path: Path) -> Mended:
    """Make the file play as far as it can, and bring that onto the disk; raises StorageErrors.

    A file that is whole, or none of ours, is left as it is. Doing it twice changes nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return _File(descriptor).mend()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error


@dataclass
class _File:
    descriptor: int

    def mend(self) -> Mended:
        size = os.fstat(self.descriptor).st_size
        head = self._box(0, size)
        if head is None or head.kind != b"ftyp":
            return Mended.NOTHING
        inner = head.end + 16  # an ftyp of its own; the fragments begin behind it
        if os.pread(self.descriptor, head.end, inner) != os.pread(self.descriptor, head.end, 0):
            return Mended.NOTHING
        done = Mended.NOTHING
        unpatched = struct.pack(">I4sI4s", 8, b"free", 8 + head.end, b"free")
        if os.pread(self.descriptor, len(unpatched), head.end) != unpatched:
            if self._is_closed(head.end, size):
                return Mended.NOTHING
            os.pwrite(self.descriptor, unpatched, head.end)
            done = Mended.HEAD
        whole = self._whole_fragments(inner + head.end, size)
        if whole < size:
            os.ftruncate(self.descriptor, whole)
            done = done if done is Mended.HEAD else Mended.CUT
        if done is not Mended.NOTHING:
            os.fsync(self.descriptor)
        return done

    def _box(self, position: int, limit: int) -> _Box | None:
        """Return the box at `position`, whole or not; None where there is no head of one."""
        head = os.pread(self.descriptor, 16, position)
        if len(head) < 8 or position >= limit:
            return None
        size, kind = struct.unpack_from(">I4s", head)
        content = position + 8
        if size == 1 and len(head) == 16:
            size, content = struct.unpack_from(">Q", head, 8)[0], position + 16
        return _Box(kind, position, content, position + size) if size >= content - position else None

    def _is_closed(self, position: int, size: int) -> bool:
        """Return whether the boxes from `position` on lead to an index that is whole."""
        while (box := self._box(position, size)) is not None and box.end <= size:
            if box.kind == b"moov":
                return self._adds_up(box) and not self._has_hole(box.start, box.end, SECTOR)
            position = box.end
        return False

    def _adds_up(self, box: _Box) -> bool:
        """Return whether the boxes in `box` fill it."""
        position = box.content
        while position < box.end and (inner := self._box(position, box.end)) is not None:
            position = inner.end
        return position == box.end

    def _whole_fragments(self, position: int, size: int) -> int:
        """Return where the last whole fragment ends; each is a `moof` that adds up, its `mdat` without holes."""
        first, whole, moof = position, position, None
        while (box := self._box(position, size)) is not None and box.end <= size:
            if box.kind == b"moof" and self._adds_up(box):
                moof = box
            elif box.kind == b"mdat" and moof is not None:
                # A box begins with its size, of which the upper bytes are zeros wherever it lies in a sector.
                if box.end > size - TAIL_BYTES and self._has_hole(moof.start + SIZE_BYTES, box.end):
                    break
                whole, moof = box.end, None
            elif box.kind == b"moov" and box.start == first:
                whole = box.end
            else:
                break
            position = box.end
        return whole

    def _has_hole(self, start: int, end: int, least: int = 1) -> bool:
        """Return whether all that lies in one sector, of the bytes from `start` to `end`, is zeros: never written.

        No coded picture, and no coded sound, ends with a zero byte, or holds a sector of them. `least` is how many
        bytes of a sector must be there to count.
        """
        data = os.pread(self.descriptor, end - start, start)
        edges = [0, *range(SECTOR - start % SECTOR, len(data), SECTOR), len(data)]
        return any(after - at >= least and not any(data[at:after]) for at, after in itertools.pairwise(edges))
