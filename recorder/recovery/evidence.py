"""What is in a work folder that was left: its files of media, made playable again, and what its log tells."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from config.events import Event
from config.files import read_file
from devices.host.clock import NANOSECONDS
from recorder.mp4.finish import mend
from recorder.package.media import holds_media, probe
from recorder.package.work import PROGRAM, WorkFolder
from recorder.recovery.copying import CONTAINERS, MP4, Piece, has_tracks, look
from recorder.recovery.rebuild import PartEvidence, into_run_s, read_events

MOST_MOVED_S = 60.0
"""How much later than it expected a recorder may have begun: longer than any start takes."""


@dataclass(frozen=True, slots=True)
class Left:
    """What one part left behind; the program comes first among the files. Nothing of the `unplayable` can be copied."""

    work: WorkFolder
    playable: tuple[Piece, ...]
    unplayable: tuple[Piece, ...]
    offset_s: float

    @property
    def files(self) -> tuple[Piece, ...]:
        """All files of media."""
        return self.playable + self.unplayable

    @property
    def size(self) -> int:
        """How much media it holds."""
        return sum(file.bytes for file in self.files)

    def evidence(self) -> PartEvidence:
        """Return what it tells about its part of the session."""
        begun = self.work.begun
        duration_s, written_at = 0.0, None
        if self.playable:
            program = self.playable[0].path
            duration_s = probe(program, program.name).duration_s
            written_at = datetime.fromtimestamp(program.stat().st_mtime, begun.started_at.tzinfo)
        return PartEvidence(begun.part, self.offset_s, duration_s, written_at, read_events(self.log()), begun.copy)

    def log(self) -> bytes:
        """Return its event log as it is."""
        try:
            return read_file(self.work.events, cut=True)
        except FileNotFoundError:
            return b""


def examine(work: WorkFolder) -> Left:
    """Return what is in a work folder, after undoing what a power cut may have done to its files.

    Files that hold no picture and no sound are left out. Raises ArchiveError for a folder that holds a link,
    StorageError and OSError.
    """
    work.refuse_irregular()
    paths = sorted(
        (path for path in work.media.glob("*") if path.is_file() and not path.name.startswith(".")),
        key=lambda path: (path.name != PROGRAM, path.name),
    )
    files = [_examine_file(path) for path in paths if holds_media(path)]
    playable = tuple(filter(has_tracks, files))
    unplayable = tuple(file for file in files if file not in playable)
    return Left(work, playable, unplayable, work.begun.offset_s)


def placed(lefts: Sequence[Left]) -> list[Left]:
    """Return the parts of a session where the clock says that they begin: `begun.json` was written a little before.

    A recorder tells CLOCK_MONOTONIC at its media time 0. Clocks of two boots of the PC cannot be compared.
    """
    found: list[Left] = []
    zeros: dict[str, float] = {}  # CLOCK_MONOTONIC at media time 0 of the session, by boot
    recorder: Event | None = None
    moved_s = 0.0
    for left in lefts:
        begun, events = left.work.begun, read_events(left.log())
        live = next((event for event in reversed(events) if event.kind == "session-live"), None)
        if live is not None and live != recorder:
            recorder, moved_s = live, 0.0
            clock_ns, base_s = live.detail.get("clock_ns"), begun.offset_s - into_run_s(events, begun.part)
            if isinstance(clock_ns, int) and clock_ns and begun.boot:
                clock_s = clock_ns / NANOSECONDS
                expected_s = zeros.setdefault(begun.boot, clock_s - base_s) + base_s
                moved_s = clock_s - expected_s if abs(clock_s - expected_s) < MOST_MOVED_S else 0.0
        found.append(replace(left, offset_s=max(0.0, begun.offset_s + moved_s)))
    return found


def _examine_file(path: Path) -> Piece:
    if CONTAINERS.get(path.suffix) == MP4:
        before = path.stat()
        mend(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # it is when the recorder wrote last
    return look(path)
