"""What is in a work folder that was left: its files of media, made playable again, and what its log tells."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.errors import MediaError
from recorder.archive.media import holds_media, probe
from recorder.archive.model import Begun
from recorder.archive.work import PROGRAM, WorkFolder
from recorder.mending import mend
from recorder.recovery.copying import Piece, form
from recorder.recovery.layout import CONTAINERS, MP4, Layout, look
from recorder.recovery.rebuild import PartEvidence, read_events


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
    """What one part left behind; the program comes first among the files."""

    work: WorkFolder
    files: tuple[LeftFile, ...]

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
            begun.part, begun.offset_s, duration_s, _written_at(program, begun), read_events(self.log())
        )

    def log(self) -> bytes:
        """Return its event log as it is."""
        try:
            return self.work.events.read_bytes()
        except FileNotFoundError:
            return b""


def _written_at(file: LeftFile | None, begun: Begun) -> datetime | None:
    if file is None:
        return None
    return datetime.fromtimestamp(file.path.stat().st_mtime, begun.started_at.tzinfo)


def examine(work: WorkFolder) -> Left:
    """Return what is in a work folder, after undoing what a power cut may have done to its files.

    Files that hold no picture and no sound are left out. Raises StorageError and OSError.
    """
    paths = sorted(
        (path for path in work.media.glob("*") if path.is_file() and not path.name.startswith(".")),
        key=lambda path: (path.name != PROGRAM, path.name),
    )
    return Left(work, tuple(_examine_file(path) for path in paths if holds_media(path)))


def _examine_file(path: Path) -> LeftFile:
    if CONTAINERS.get(path.suffix) == MP4:
        before = path.stat()
        mend(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # it is when the recorder wrote last
    layout = look(path)
    try:
        playable = bool(form(Piece(path, layout)))
    except MediaError:
        playable = False
    return LeftFile(path, layout, playable)
