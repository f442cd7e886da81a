"""Changes a recorded MP4 in place, without copying media: `finalize` adds an index, `repair_end` repairs the end.

While it is recorded, a file is `ftyp moov moof mdat moof mdat ...`. `finalize` appends chapter titles in an `mdat`, and
a `moov` that describes every sample, and syncs both. Then it changes the head of the first `moov`: one `mdat` reaches
from the `ftyp` to the index. That is at most 16 bytes within one sector, which a disk writes whole or not at all.
Before this write the file plays as fragments, after it as an ordinary MP4. A kill at any point allows `finalize` again.

A power cut may leave holes. A disk that ignores a flush may leave a closed head without its index.
"""

import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from config.errors import MediaError
from config.files import open_regular
from recorder.disk.errors import storage_errors
from recorder.model.marks import Mark
from recorder.model.titles import chapters
from recorder.mp4.boxes import (
    BoxParts,
    close_head,
    has_hole,
    is_closed,
    is_filled_by_boxes,
    read_box,
    read_content,
    read_head,
    reopen_head,
    total_bytes,
    whole_boxes,
)
from recorder.mp4.fragments import Advance, FragmentTable
from recorder.mp4.movie import MovieIndex, title_samples

MOST_CUT_BYTES = 64_000_000  # the longest end that is cut off as torn; no profile writes as much between two syncs

type Sync = Callable[[int], None]  # syncs a file by its descriptor


def finalize(
    descriptor: int,
    path: Path,
    *,
    marks: Sequence[Mark] = (),
    title: str = "",
    sync: Sync = os.fdatasync,
    most_cut: int = MOST_CUT_BYTES,
    advance: Advance | None = None,
) -> bool:
    """Make an ordinary MP4 of a fragmented file; return False if it already was one.

    `marks` become chapters; `title` names the time before the first. `path` is for messages. Bytes behind the last
    whole fragment are cut off. `advance` gets the read position. Raises OSError, and MediaError without a whole
    fragment. It cuts at most `most_cut` bytes, else it raises MediaError: a file damaged earlier plays better as it is.
    """
    size = os.fstat(descriptor).st_size
    head = read_head(descriptor, size)
    if head is None:
        if is_closed(descriptor, size):
            return False
        raise _unreadable(path)
    found = FragmentTable(descriptor, head, size, advance)
    if not any(track.count for track in found.tracks.values()):
        raise _unreadable(path)
    try:
        movie = MovieIndex(head.content, found.tracks)
    except (ValueError, struct.error):
        raise _unreadable(path) from None
    starts = [(each["start"], each["metadata"]["title"]) for each in chapters(marks, movie.end_s, title)]
    texts = title_samples(starts)
    if torn_bytes(descriptor, found.end, size) > most_cut:
        raise MediaError(
            f"{path} is damaged {size - found.end} bytes before its end",
            hint="it stays as it was written, in fragments; players get past the damage as far as they can",
        )
    if head.is_torn:
        reopen_head(descriptor, head.moov)
    _append(descriptor, found.end, [*texts, *movie.index(starts, found.end)], sync)
    close_head(descriptor, head.moov, found.end + total_bytes(texts))
    sync(descriptor)
    return True


def torn_bytes(descriptor: int, end: int, size: int) -> int:
    """Return the bytes behind the last whole fragment at `end`. An index is 0; a `moov` before more bytes is none."""
    behind = read_box(descriptor, end)
    if behind is not None and behind.kind == b"mdat":
        behind = read_box(descriptor, behind.end)
    return 0 if behind is not None and behind.kind == b"moov" and behind.end >= size else size - end


def _unreadable(path: Path) -> MediaError:
    return MediaError(
        f"{path} holds no whole picture or sound", hint="the file stays unchanged (ffprobe may tell more)"
    )


def _append(descriptor: int, end: int, index: BoxParts, sync: Sync) -> None:
    """Replace all behind `end` by `index`, and sync. On OSError the index is removed again."""
    if os.fstat(descriptor).st_size > end:
        os.ftruncate(descriptor, end)
    try:
        position = end
        for part in index:
            rest = memoryview(part)
            while rest:
                written = os.pwrite(descriptor, rest, position)
                position += written
                rest = rest[written:]
        sync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


SIZE_BYTES = 4  # the size field of a box, before its type


def repair_end(path: Path) -> bool:
    """Make a recording play as far as possible after a power cut; return whether it changed. Raises StorageError."""
    with storage_errors(path):
        descriptor = open_regular(path, os.O_RDWR)
        try:
            return _mend(descriptor)
        finally:
            os.close(descriptor)


def _mend(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    head = read_head(descriptor, size)
    if head is None:
        return False
    first = read_box(descriptor, head.moov.end)
    if first is not None and first.kind not in {b"moof", bytes(4)}:  # foreign fragments may have more boxes
        return False
    if head.is_torn:  # the head says closed, but the index is missing: back to fragments
        reopen_head(descriptor, head.moov)
    whole = _whole_fragments(descriptor, head.moov.end, size)
    is_cut = whole < size and torn_bytes(descriptor, whole, size) <= MOST_CUT_BYTES
    if is_cut:
        os.ftruncate(descriptor, whole)
    if head.is_torn or is_cut:
        os.fsync(descriptor)
    return head.is_torn or is_cut


def _whole_fragments(descriptor: int, position: int, size: int) -> int:
    """Return the end of the last whole fragment: a `moof` that adds up, and an `mdat` without holes."""
    whole, moof = position, None
    for box in whole_boxes(descriptor, position, size):
        if box.kind == b"moof" and is_filled_by_boxes(read_content(descriptor, box)):
            moof = box
        elif box.kind == b"mdat" and moof is not None:
            # The check starts behind the size: its upper bytes are zeros in any sector.
            if box.end > size - MOST_CUT_BYTES and has_hole(descriptor, moof.start + SIZE_BYTES, box.end):
                break
            whole, moof = box.end, None
        else:
            break
    return whole
