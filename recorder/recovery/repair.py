"""Making an ordinary file of one that a crash left open, in its place, without encoding anything again.

An MP4 gets the index that its recorder would have given it (`recorder/mp4/finish.py`). Matroska, and what is joined, is
copied: written aside, read back, compared packet by packet, and synced before it takes the original's place. The
original's time of modification stays: it is when the recorder wrote last.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from config.errors import MediaError
from config.files import open_regular
from recorder.archive.disk import Disk, aside_of
from recorder.model.marks import Mark
from recorder.mp4.finish import finish
from recorder.recovery.copying import CONTAINERS, MP4, Piece, TrackCopy, copy, is_same_copy, look, read_back

type Advance = Callable[[int], None]
"""Called with bytes done since the last call; repairing a file takes twice its bytes."""


def repair(
    path: Path, disk: Disk, *, marks: Sequence[Mark] = (), title: str = "", advance: Advance | None = None
) -> bool:
    """Make an ordinary file of the one at `path` if it was left open; return whether it was.

    Raises MediaError when it cannot be read, or when the copy is not the same, and StorageError or OSError when the
    disk does not take it; the file then plays as it did.
    """
    piece = look(path)
    if piece.is_open and CONTAINERS[path.suffix] == MP4:
        _finish(path, disk, marks, title, advance)
    elif piece.is_open:
        write_copy([piece], path, disk, marks=marks, title=title, advance=advance)
    return piece.is_open


def _finish(path: Path, disk: Disk, marks: Sequence[Mark], title: str, advance: Advance | None) -> None:
    written, reached = path.stat(), 0

    def sync(descriptor: int) -> None:
        disk.begin("sync", path)
        os.fsync(descriptor)

    def scanned(position: int) -> None:
        nonlocal reached
        if advance is not None:
            advance(2 * (position - reached))
        reached = position

    disk.begin("finish", path)
    descriptor = open_regular(path, os.O_RDWR)
    try:
        finish(descriptor, path, marks=marks, title=title, sync=sync, advance=scanned)
    finally:
        os.close(descriptor)
        os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))


def write_copy(
    pieces: Sequence[Piece],
    target: Path,
    disk: Disk,
    *,
    marks: Sequence[Mark] = (),
    title: str = "",
    advance: Advance | None = None,
) -> list[TrackCopy]:
    """Put a copy of `pieces` at `target`, verified and synced; what was there before is replaced by it at the end.

    It gets the time of modification of the last piece. Raises what `repair` raises.
    """
    aside = aside_of(target)  # what a stop leaves there is swept away by sealing
    written = pieces[-1].path.stat()
    disk.begin("copy", target)
    try:
        copied = copy(pieces, aside, marks=marks, title=title, container=CONTAINERS[target.suffix], advance=advance)
        disk.begin("verify", target)
        if not is_same_copy(copied, read_back(aside, advance)):
            raise MediaError(
                f"The copy of {target} is not what was copied; the original stays",
                hint="Check the disk (smartctl -a), then say liput recover again.",
            )
        os.utime(aside, ns=(written.st_atime_ns, written.st_mtime_ns))
        disk.put(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    disk.sync(target.parent)
    return copied
