"""Which sessions were never sealed: their work folders in all archives, those of one session together."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.errors import ArchiveError, StorageError
from recorder.archive import catalog
from recorder.archive.archive import Archive
from recorder.archive.rebuilding import HISTORY
from recorder.model import names
from recorder.package.manifest import Begun
from recorder.package.work import read_part, recall_begun


@dataclass(frozen=True, slots=True)
class Part:
    """One work folder of a session: the archive it is in, and what its `begun.json` says."""

    archive: Archive
    folder: Path
    begun: Begun


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A session that is not sealed, or not in one: its package's name, and the folders of its parts in their order."""

    name: str
    parts: tuple[Part, ...]

    @property
    def begun(self) -> Begun:
        """What is known about the session."""
        return self.parts[0].begun

    @property
    def is_apart(self) -> bool:
        """Whether its parts are packages of their own."""
        return not any(part.folder.parent.name == catalog.INCOMING for part in self.parts)

    def answers_to(self, key: str) -> bool:
        """Return whether `key` means this session: a name, a path or a UUID, or the beginning of one."""
        wanted = Path(key).name if "/" in key else key.lower()
        return bool(wanted) and (
            names.session_of(wanted) == self.name
            or self.name.startswith(wanted)
            or self.begun.uuid.startswith(wanted)
            or self.name.endswith(f"_{wanted}")
        )


def find(archives: Iterable[Archive]) -> list[Unfinished]:
    """Return the unfinished sessions of `archives`, the oldest first, those that are being recorded included.

    Raises StorageError when the folder of an archive cannot be read; one that is not there holds none.
    """
    parts: list[Part] = []
    for archive in archives:
        try:
            folders = catalog.unfinished(archive.root)
        except OSError as error:
            raise StorageError(
                f"The archive {archive.root} cannot be read: {error.strerror}", why="unwritable"
            ) from None
        parts += (Part(archive, folder, recall_begun(folder)) for folder in folders)
    return _sessions(parts)


def apart(archives: Iterable[Archive]) -> list[Unfinished]:
    """Return the sessions of `archives` whose parts are packages of their own that may become one.

    Those that somebody corrected stay as they are. Raises StorageError when a folder cannot be read.
    """
    folders = [(archive, folder) for archive in archives for folder in catalog.folders_of_packages(archive.root)]
    counts = Counter(names.session_of(folder.name) for _, folder in folders)
    parts: list[Part] = []
    for archive, folder in folders:
        if counts[names.session_of(folder.name)] > 1:
            with suppress(ArchiveError):
                parts.append(Part(archive, folder, read_part(folder)))
    return [
        session
        for session in _sessions(parts)
        if len(session.parts) > 1 and not any((part.folder / HISTORY).exists() for part in session.parts)
    ]


def _sessions(parts: Iterable[Part]) -> list[Unfinished]:
    """Return sessions by name; each copy of one (`storage.mirror`) becomes a package, and so is one."""
    found: defaultdict[tuple[str, int], list[Part]] = defaultdict(list)
    for part in parts:
        found[names.session_of(part.folder.name), part.begun.copy].append(part)
    return [Unfinished(name, tuple(sorted(found[name, copy], key=_order))) for name, copy in sorted(found)]


def _order(part: Part) -> tuple[bool, int, str]:
    """Order what was joined before what it was joined of, else by number."""
    return not part.begun.joined, part.begun.part, part.folder.name
