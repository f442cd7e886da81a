"""Changes a recorded MP4 in place, without copying media: `finish` gives it an index, `mend` repairs its end.

A file that is recorded is `ftyp moov moof mdat moof mdat ...`. `finish` appends chapter titles in an `mdat`, and a
`moov` that describes every sample, and syncs both. Then it changes the head of the first `moov`, so that one `mdat`
reaches from the `ftyp` to the index: at most 16 bytes within one sector, which a disk writes whole or not at all.
Before this write the file plays as fragments, after it as an ordinary MP4. A kill at any point can be followed by
another `finish`.

A power cut may leave holes. A disk that ignores a flush may leave the head of a closed file without its index.
"""

import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from config.errors import MediaError
from config.files import open_regular
from recorder.disk.errors import storage_error
from recorder.model.marks import Mark
from recorder.model.titles import chapters
from recorder.mp4.boxes import (
    Parts,
    adds_up,
    box_at,
    close_head,
    content_of,
    has_hole,
    head_of,
    is_closed,
    length,
    reopen_head,
)
from recorder.mp4.fragments import Advance, Fragments
from recorder.mp4.movie import Movie, titles

MOST_CUT_BYTES = 64_000_000
"""How much of the end may be cut off as torn: more than is ever written between two syncs, in the largest profile."""

type Sync = Callable[[int], None]
"""Brings a file's content onto the disk, by its descriptor."""


def finish(
    descriptor: int,
    path: Path,
    *,
    marks: Sequence[Mark] = (),
    title: str = "",
    sync: Sync = os.fdatasync,
    most_cut: int = MOST_CUT_BYTES,
    advance: Advance | None = None,
) -> bool:
    """Make an ordinary MP4 of the file; return whether it was none before.

    `marks` become chapters, `title` names what is before the first; `path` is for messages. What is behind the last
    whole fragment is cut off. `advance` hears up to where the file was read. Raises MediaError where there is no
    whole fragment or no fragmented MP4, and where more than `most_cut` bytes would be cut off: what is damaged there
    has more behind it, and plays better as it is. Raises OSError.
    """
    size = os.fstat(descriptor).st_size
    head = head_of(descriptor, size)
    if head is None:
        if is_closed(descriptor, size):
            return False
        raise _unreadable(path)
    found = Fragments(descriptor, head, size, advance)
    if not any(track.count for track in found.tracks.values()):
        raise _unreadable(path)
    try:
        movie = Movie(head.content, found.tracks)
    except (ValueError, struct.error):
        raise _unreadable(path) from None
    starts = [(each["start"], each["metadata"]["title"]) for each in chapters(marks, movie.end_s, title)]
    texts = titles(starts)
    if torn_bytes(descriptor, found.end, size) > most_cut:
        raise MediaError(
            f"{path} is damaged {size - found.end} bytes before its end",
            hint="it stays as it was written, in fragments; players get past the damage as far as they can",
        )
    if head.is_torn:
        reopen_head(descriptor, head.moov)
    _append(descriptor, found.end, [*texts, *movie.index(starts, found.end)], sync)
    close_head(descriptor, head.moov, found.end + length(texts))
    sync(descriptor)
    return True


def torn_bytes(descriptor: int, end: int, size: int) -> int:
    """Return how many bytes are behind the last whole fragment, which ends at `end`: an index is none of them.

    It is made again, with the titles of chapters before it. A `moov` with more behind it is none: one bit away from a
    `moof`.
    """
    behind = box_at(descriptor, end)
    if behind is not None and behind.kind == b"mdat":
        behind = box_at(descriptor, behind.end)
    return 0 if behind is not None and behind.kind == b"moov" and behind.end >= size else size - end


def _unreadable(path: Path) -> MediaError:
    return MediaError(
        f"{path} holds no picture and no sound that is whole",
        hint="what is left of it stays as it is (ffprobe may tell more)",
    )


def _append(descriptor: int, end: int, index: Parts, sync: Sync) -> None:
    """Put `index` in place of whatever is behind `end`, safely; it is not there where the disk does not take it."""
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
