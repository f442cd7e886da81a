"""The work folder of a session: where the recorder writes what will become a package."""

import fcntl
import os
import platform
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from config.errors import ArchiveError
from recorder.archive.model import Begun, Recording, SessionContext
from recorder.archive.names import NAME, storable

BEGUN_FILE = "begun.json"
RECORDING_FILE = "metadata/recording.json"
PROGRAM = "program.mp4"


@dataclass(eq=False)
class WorkFolder:
    """A session's folder below `ROOT/.incoming`, laid out as the package it will be.

    Whoever has one holds a lock on it, so that a restart does not seal what another recorder still writes; the lock
    ends with `release`, with sealing, or with the process.
    """

    path: Path
    begun: Begun
    _lock: int | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The package's name."""
        return self.path.name

    @property
    def media(self) -> Path:
        """The folder for files of media."""
        return self.path / "data" / "media"

    @property
    def program(self) -> Path:
        """Where the program is recorded."""
        return self.media / PROGRAM

    @property
    def metadata(self) -> Path:
        """The folder for everything about the session that is not media."""
        return self.path / "metadata"

    @property
    def events(self) -> Path:
        """The session's event log, one JSON object a line, appended to while the session runs."""
        return self.metadata / "events.jsonl"

    def media_bytes(self) -> int:
        """Return how many bytes of media were written."""
        return sum(path.stat().st_size for path in self.media.glob("*") if path.is_file())

    def lock(self) -> None:
        """Take the lock; raises ArchiveError when another process has it.

        A file system without locks is worked on without, and so is a package that only awaits its rename.
        """
        try:
            self._lock = os.open(self.path / BEGUN_FILE, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise ArchiveError(
                f"{self.name} is still being recorded by another Liput", hint="Wait until that session has ended."
            ) from None
        except OSError:
            self.release()

    def release(self) -> None:
        """Let go of the lock; idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def encode_begun(begun: Begun) -> bytes:
    """Return the content of `begun.json`."""
    return msgspec.json.format(msgspec.json.encode(begun), indent=2) + b"\n"


def read_begun(folder: Path) -> Begun:
    """Return what is known about an unfinished session; raises ArchiveError when nothing is to be read.

    Without `begun.json` the package may be complete and only await its rename; it then says so itself.
    """
    try:
        if (folder / BEGUN_FILE).exists():
            return msgspec.json.decode((folder / BEGUN_FILE).read_bytes(), type=Begun)
        recording = msgspec.json.decode((folder / RECORDING_FILE).read_bytes(), type=Recording)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{folder} does not say which session it belongs to: {error}") from None
    return Begun(
        uuid=recording.uuid, title=recording.title, started_at=recording.started_at, host=recording.host,
        context=SessionContext(),
    )  # fmt: skip


def recall_begun(folder: Path) -> Begun:
    """Return what is known about an unfinished session, from its folder's name if it does not say itself.

    A recording is not lost because the file beside it is.
    """
    try:
        return read_begun(folder)
    except ArchiveError:
        return Begun(
            uuid=str(uuid4()), title=storable(folder.name), started_at=time_of(folder), host=platform.node(),
            context=SessionContext(),
        )  # fmt: skip


def time_of(folder: Path) -> datetime:
    """Return when a session began as far as its folder's name tells, else when the folder last changed."""
    match = NAME.fullmatch(folder.name)
    if match is not None:
        try:
            return datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H%M").astimezone()
        except ValueError:
            pass  # 2026-13-40 only looks like a date
    return datetime.fromtimestamp(folder.lstat().st_mtime).astimezone()
