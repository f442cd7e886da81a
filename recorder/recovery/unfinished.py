"""Finds unsealed sessions: their work folders in all archives, grouped by session."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.errors import ArchiveError
from recorder.archive.archive import INCOMING, Archive, package_folders, readable, work_folders
from recorder.archive.package_draft import HISTORY
from recorder.model import names
from recorder.package.metadata import Begun
from recorder.package.work_folder import guess_begun, read_part


@dataclass(frozen=True, slots=True)
class SessionPart:
    """A work folder, its archive, and its `begun.json`."""

    archive: Archive
    folder: Path
    begun: Begun


@dataclass(frozen=True, slots=True)
class UnfinishedSession:
    """A session without a package, or with several: the package's name, and its parts in order."""

    name: str
    parts: tuple[SessionPart, ...]

    @property
    def begun(self) -> Begun:
        return self.parts[0].begun

    @property
    def is_apart(self) -> bool:
        """Whether its parts are separate packages."""
        return not any(part.folder.parent.name == INCOMING for part in self.parts)

    def answers_to(self, key: str) -> bool:
        """Return whether `key` is the beginning of its name, path or UUID."""
        wanted = Path(key).name if "/" in key else key.lower()
        return bool(wanted) and (
            names.session_in_name(wanted) == self.name
            or self.name.startswith(wanted)
            or self.begun.uuid.startswith(wanted)
            or self.name.endswith(f"_{wanted}")
        )


def find_unfinished(archives: Iterable[Archive]) -> list[UnfinishedSession]:
    """Return unfinished sessions, oldest first, also those being recorded. Raises StorageError."""
    parts: list[SessionPart] = []
    for archive in archives:
        with readable(archive.root):
            folders = work_folders(archive.root)
        parts += (SessionPart(archive, folder, guess_begun(folder)) for folder in folders)
    return _sessions(parts)


def find_joinable(archives: Iterable[Archive]) -> list[UnfinishedSession]:
    """Return sessions of several uncorrected packages, which could be joined. Raises StorageError."""
    folders = [(archive, folder) for archive in archives for folder in package_folders(archive.root)]
    counts = Counter(names.session_in_name(folder.name) for _, folder in folders)
    parts: list[SessionPart] = []
    for archive, folder in folders:
        if counts[names.session_in_name(folder.name)] > 1:
            with suppress(ArchiveError):
                parts.append(SessionPart(archive, folder, read_part(folder)))
    return [
        session
        for session in _sessions(parts)
        if len(session.parts) > 1 and not any((part.folder / HISTORY).exists() for part in session.parts)
    ]


def _sessions(parts: Iterable[SessionPart]) -> list[UnfinishedSession]:
    """Group parts by session and copy: each copy (`storage.mirror`) becomes a package."""
    found: defaultdict[tuple[str, int], list[SessionPart]] = defaultdict(list)
    for part in parts:
        found[names.session_in_name(part.folder.name), part.begun.copy].append(part)
    return [UnfinishedSession(name, tuple(sorted(found[name, copy], key=_order))) for name, copy in sorted(found)]


def _order(part: SessionPart) -> tuple[bool, int, str]:
    """Sort joined folders before their parts, then by number."""
    return not part.begun.joined, part.begun.part, part.folder.name
