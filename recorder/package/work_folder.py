"""The work folder of a session: the package while it is recorded."""

import contextlib
import errno
import os
import platform
import re
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec

from config.errors import ArchiveError, PackageBusy
from config.files import NotRegular, is_regular, json_text, open_regular, read_file
from recorder.disk.durable import PRIVATE_MODE, DurableFiles
from recorder.disk.package_locks import lock_file
from recorder.model.names import part_in_name, start_in_name, utf8_safe
from recorder.package import fixity
from recorder.package.bag import TAG_MANIFEST_FILE
from recorder.package.metadata import Begun, MediaFile, SessionContext, decode_begun, decode_recording
from recorder.package.request import LETTERS

BEGUN_FILE = "begun.json"
RECORDING_FILE = "metadata/recording.json"
EVENTS_FILE = "metadata/events.jsonl"
DEVICES_FILE = "metadata/devices.json"
CHECKS_FILE = "metadata/checks.json"
REQUEST_FILE = "metadata/request.json"
DUBLIN_CORE_FILE = "metadata/dublincore.xml"
HEALTH_FILE = "metadata/health.jsonl"
PREMIS_FILE = "metadata/premis.jsonl"
LEVELS_FILE = "metadata/levels.json"
DERIVED_FILE = "metadata/derived.json"
PART_FILE = "metadata/part.json"  # a copy of `begun.json` in a package of a part that may be joined to others
METADATA_FILES = frozenset({
    RECORDING_FILE, EVENTS_FILE, DEVICES_FILE, CHECKS_FILE, REQUEST_FILE, DUBLIN_CORE_FILE, HEALTH_FILE, PREMIS_FILE,
    LEVELS_FILE, DERIVED_FILE, PART_FILE,
})  # fmt: skip
"""All files of `metadata/` after sealing."""
POSTER_FILE = "data/poster.jpg"
PROGRAM = "program.mp4"
PROGRAM_FILES = re.compile(r"program(-\d+)?\.mp4")  # the program, and its further files if parts could not be joined


def program_files(media: Iterable[MediaFile]) -> list[MediaFile]:
    """Return the files of the program in order of time."""
    found = (file for file in media if PROGRAM_FILES.fullmatch(Path(file.file).name))
    return sorted(found, key=lambda file: file.offset_s)


class WorkFolder:
    """A session's folder `ROOT/.incoming/NAME`, laid out as the package.

    `media` is the folder of media files with `program` in it, `metadata` that of all else, `events` the log, `letters`
    the folder of copies from the request's dossier. The holder
    has a lock on it, so that a restart does not seal a session that still records. The lock is on the folder, and on
    `begun.json` for file systems that lock no folders. It ends with `release`, with sealing, or with the process.
    """

    def __init__(self, path: Path, begun: Begun) -> None:
        self.path = path
        self.begun = begun
        self.name = path.name
        self.archive_root = path.parents[1]
        self.media = path / "data" / "media"
        self.program = self.media / PROGRAM
        self.metadata = path / "metadata"
        self.events = path / EVENTS_FILE
        self.letters = path / "data" / LETTERS
        self._locks: list[int] = []

    def lock(self) -> None:
        """Take the lock, if the file system has locks. Raises PackageBusy, OSError."""
        hint = "Wait until that session has ended."
        busy = PackageBusy(f"{self.name} is still being recorded by another Liput", hint=hint)
        folder = partial(os.open, self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for opener in (folder, partial(_open, self.path / BEGUN_FILE)):
                with contextlib.suppress(FileNotFoundError, PermissionError, NotADirectoryError, NotRegular):
                    self._locks.append(opener())
                    lock_file(self._locks[-1], busy)
        except (PackageBusy, OSError):
            self.release()
            raise

    def release(self) -> None:
        """Release the lock; idempotent."""
        while self._locks:
            os.close(self._locks.pop())

    def has_begun(self) -> bool:
        """Return whether `begun.json` exists: until it is removed the package is incomplete."""
        return is_regular(self.path / BEGUN_FILE)

    def was_sealed(self) -> bool:
        """Return whether sealing got as far as the tag manifest. Without `begun.json` only the rename is left."""
        return (self.path / TAG_MANIFEST_FILE).exists()

    def holds_media(self) -> bool:
        """Return whether a file in `media` holds some."""
        return any(_holds_media(path) for path in self.media.glob("*") if path.is_file())

    def stray_media(self) -> Path | None:
        """Return a file with media anywhere in the folder but in `letters`; None without one."""
        known = {self.path / name for name in (BEGUN_FILE, *METADATA_FILES)}
        others = (path for path in self.path.rglob("*") if path not in known and self.letters not in path.parents)
        return next((path for path in others if is_regular(path) and _holds_media(path)), None)

    def refuse_irregular(self) -> None:
        """Raise ArchiveError for a link, pipe or device in the folder; `begun.json` may be one. Raises OSError."""
        for path in fixity.walk(self.path)[1]:
            if path != BEGUN_FILE:
                raise ArchiveError(
                    f"{self.path / path} is neither a file nor a folder",
                    hint="Move it out of there, then run liput recover; the recording is kept.",
                )


def _holds_media(path: Path) -> bool:
    from recorder.package.media import holds_media  # PyAV takes long to load

    return holds_media(path)


def _open(path: Path) -> int:
    """Open a file to lock it; read-only if its disk is read-only now."""
    try:
        return open_regular(path, os.O_RDWR)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return open_regular(path)


def write_begun(folder: Path, begun: Begun, disk: DurableFiles, file: str = BEGUN_FILE) -> None:
    """Write `begun.json`, or its copy `file`. Raises OSError."""
    disk.write(folder / file, json_text(begun), mode=PRIVATE_MODE)


def read_begun(folder: Path) -> Begun:
    """Return `begun.json`, or its content from a complete package's description; raises ArchiveError without both."""
    try:
        if is_regular(folder / BEGUN_FILE):
            return decode_begun(read_file(folder / BEGUN_FILE))
        recording = decode_recording(read_file(folder / RECORDING_FILE))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{folder} does not say which session it belongs to: {error}") from None
    return Begun(
        uuid=recording.of_session, title=recording.title, started_at=recording.started_at, host=recording.host,
        context=SessionContext(), part=recording.part, copy=recording.copy,
    )  # fmt: skip


def read_part(folder: Path) -> Begun:
    """Return the copy of `begun.json` in a package of a part; raises ArchiveError without one."""
    try:
        return decode_begun(read_file(folder / PART_FILE))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{folder} is no part that could be joined to others: {error}") from None


def guess_begun(folder: Path) -> Begun:
    """Return `begun.json`, or its content guessed from the folder's name."""
    try:
        return read_begun(folder)
    except ArchiveError:
        return Begun(
            uuid=str(uuid4()), title=utf8_safe(folder.name), started_at=session_start_of(folder), host=platform.node(),
            context=SessionContext(), part=part_in_name(folder.name),
        )  # fmt: skip


def session_start_of(folder: Path) -> datetime:
    """Return the start of a session from its folder's name, else the folder's time of change."""
    return start_in_name(folder.name) or datetime.fromtimestamp(folder.lstat().st_mtime).astimezone()
