"""Making an ordinary MP4 of a fragmented one in its place, without copying media: a seekable file with an index.

While it is written the file is `ftyp moov moof mdat moof mdat ...`. Finishing appends the titles of its chapters, in
an `mdat`, and a `moov` that describes every sample, brings both onto the disk, and then makes one `mdat` of all that is
between the `ftyp` and that `moov` by changing the head of the first `moov`: at most 16 bytes within one sector, which a
disk writes whole or not at all. Before this write the file plays as fragments, after it as an ordinary MP4; whoever is
killed can be followed by another.
"""

import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from config.errors import MediaError
from recorder.model.marks import Mark
from recorder.model.titles import chapters
from recorder.mp4.boxes import Parts, box_at, length
from recorder.mp4.head import close_head, head_of, is_closed, reopen_head
from recorder.mp4.movie import Movie, titles
from recorder.mp4.scan import Advance, Fragments

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
