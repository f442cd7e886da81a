"""What is in a work folder that was left: its files of media, made playable again, and what its log tells."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from config.events import Event
from config.files import read_file
from devices.host.clock import NANOSECONDS
from recorder.archive.media import holds_media, probe
from recorder.archive.model import Begun
from recorder.archive.work import PROGRAM, WorkFolder
from recorder.mending import mend
from recorder.recovery.copying import Piece, has_tracks
from recorder.recovery.layout import CONTAINERS, MP4, Layout, look
from recorder.recovery.rebuild import PartEvidence, into_run_s, read_events

MOST_MOVED_S = 60.0
"""How much later than it expected a recorder may have begun: longer than any start takes."""


@dataclass(frozen=True, slots=True)
class LeftFile:
    """One file of media; `is_playable` says whether something of it can be copied."""

    path: Path
    layout: Layout
    is_playable: bool

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Left:
    """What one part left behind, and where in media time it begins; the program comes first among the files."""

    work: WorkFolder
    files: tuple[LeftFile, ...]
    offset_s: float

    @property
    def size(self) -> int:
        """How much media it holds."""
        return sum(file.layout.bytes for file in self.files)

    def evidence(self) -> PartEvidence:
        """Return what it tells about its part of the session."""
        begun = self.work.begun
        program = next((file for file in self.files if file.is_playable), None)
        duration_s = probe(program.path, program.name).duration_s if program else 0.0
        return PartEvidence(
            begun.part, self.offset_s, duration_s, _written_at(program, begun), read_events(self.log()), begun.copy
        )

    def log(self) -> bytes:
        """Return its event log as it is."""
        try:
            return read_file(self.work.events, cut=True)
        except FileNotFoundError:
            return b""


def _written_at(file: LeftFile | None, begun: Begun) -> datetime | None:
    if file is None:
        return None
    return datetime.fromtimestamp(file.path.stat().st_mtime, begun.started_at.tzinfo)


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
    return Left(work, tuple(_examine_file(path) for path in paths if holds_media(path)), work.begun.offset_s)


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
            clock_s, base_s = _clock_s(live), begun.offset_s - into_run_s(events, begun.part)
            if clock_s and begun.boot:
                expected_s = zeros.setdefault(begun.boot, clock_s - base_s) + base_s
                moved_s = clock_s - expected_s if abs(clock_s - expected_s) < MOST_MOVED_S else 0.0
        found.append(replace(left, offset_s=max(0.0, begun.offset_s + moved_s)))
    return found


def _clock_s(live: Event) -> float:
    clock_ns = live.detail.get("clock_ns")
    return clock_ns / NANOSECONDS if isinstance(clock_ns, int) else 0.0


def _examine_file(path: Path) -> LeftFile:
    if CONTAINERS.get(path.suffix) == MP4:
        before = path.stat()
        mend(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # it is when the recorder wrote last
    layout = look(path)
    return LeftFile(path, layout, has_tracks(Piece(path, layout)))
