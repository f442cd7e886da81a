"""Mends a recording's file after a power cut: as much of it as can be played, plays.

While it is written the file is `ftyp moov moof mdat moof mdat ...`; closed, all from the `moov` on is one `mdat` with
an index behind it. A power cut may leave holes; a disk that lies, the head of a closed file without its index.
"""

import os
from pathlib import Path

from config.files import open_regular
from recorder.disk.errors import storage_error
from recorder.mp4.boxes import adds_up, box_at, content_of
from recorder.mp4.finish import MOST_CUT_BYTES, torn_bytes
from recorder.mp4.head import has_hole, head_of, reopen_head

SIZE_BYTES = 4
"""Of a box, before its kind."""


def mend(path: Path) -> bool:
    """Make the end of a recording's file play as far as it can, on the disk; return whether it was changed."""
    try:
        descriptor = open_regular(path, os.O_RDWR)
        try:
            return _mend(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error


def _mend(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    head = head_of(descriptor, size)
    if head is None:
        return False
    first = box_at(descriptor, head.moov.end)
    if first is not None and first.kind not in {b"moof", bytes(4)}:  # fragments of others may have more to them
        return False
    if head.is_torn:  # it said that it was closed, but its index is missing: it is fragments again
        reopen_head(descriptor, head.moov)
    whole = _whole_fragments(descriptor, head.moov.end, size)
    is_cut = whole < size and torn_bytes(descriptor, whole, size) <= MOST_CUT_BYTES
    if is_cut:
        os.ftruncate(descriptor, whole)
    if head.is_torn or is_cut:
        os.fsync(descriptor)
    return head.is_torn or is_cut


def _whole_fragments(descriptor: int, position: int, size: int) -> int:
    """Return where the last whole fragment ends; each is a `moof` that adds up, its `mdat` without holes."""
    whole, moof = position, None
    while (box := box_at(descriptor, position)) is not None and box.end <= size:
        if box.kind == b"moof" and adds_up(content_of(descriptor, box)):
            moof = box
        elif box.kind == b"mdat" and moof is not None:
            # A box begins with its size, of which the upper bytes are zeros wherever it lies in a sector.
            if box.end > size - MOST_CUT_BYTES and has_hole(descriptor, moof.start + SIZE_BYTES, box.end):
                break
            whole, moof = box.end, None
        else:
            break
        position = box.end
    return whole
