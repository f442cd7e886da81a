"""Making an ordinary file of one that a crash left open, in its place, without encoding anything again.

An MP4 gets the index that its recorder would have given it (`recorder/mp4/finish.py`). Matroska, and what is joined, is
copied: written aside, read back, compared packet by packet, and synced before it takes the original's place. The
original's time of modification stays: it is when the recorder wrote last.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.errors import MediaError
from config.files import open_regular
from recorder.archive.disk import Disk, aside_of
from recorder.model.marks import Mark
from recorder.mp4.finish import finish
from recorder.recovery.copying import Piece, TrackCopy, copy, read_back
from recorder.recovery.layout import CONTAINERS, Kind, look

type Advance = Callable[[int], None]
"""Called with bytes done since the last call; repairing a file takes twice its bytes."""

OPEN = {Kind.FRAGMENTED, Kind.OPEN}


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done to a file: packets that are in it now, bytes at its end that were no whole fragment."""

    packets: int
    cut_bytes: int


def repair(
    path: Path, disk: Disk, *, marks: Sequence[Mark] = (), title: str = "", advance: Advance | None = None
) -> Repaired | None:
    """Make an ordinary file of the one at `path` if it was left open; None if there was nothing to do.

    Raises MediaError when it cannot be read, or when the copy is not the same, and StorageError or OSError when the
    disk does not take it; the file then plays as it did.
    """
    layout = look(path)
    if layout.kind not in OPEN:
        return None
    if layout.kind is Kind.FRAGMENTED:
        return _finish(path, disk, marks, title, advance)
    copied = write_copy([Piece(path, layout)], path, disk, marks=marks, title=title, advance=advance)
    return Repaired(sum(track.packets for track in copied), layout.bytes - layout.whole_bytes)


def _finish(path: Path, disk: Disk, marks: Sequence[Mark], title: str, advance: Advance | None) -> Repaired:
    """Give an MP4 in fragments its index."""
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
        done = finish(descriptor, path, marks=marks, title=title, sync=sync, advance=scanned)
    finally:
        os.close(descriptor)
        os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    return Repaired(done.samples, done.cut_bytes)


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
        _compare(copied, read_back(aside, advance), target)
        os.utime(aside, ns=(written.st_atime_ns, written.st_mtime_ns))
        disk.put(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    disk.sync(target.parent)
    return copied


def _compare(copied: Sequence[TrackCopy], found: Sequence[TrackCopy], target: Path) -> None:
    # A track with nothing in it (no picture came before the end) is left out by the muxer.
    copied, found = ([track for track in tracks if track.packets] for tracks in (copied, found))
    same = len(copied) == len(found) and all(one.is_same(other) for one, other in zip(copied, found, strict=True))
    if not same or not copied:
        raise MediaError(
            f"The copy of {target} is not what was copied; the original stays",
            hint="Check the disk (smartctl -a), then say liput recover again.",
        )
