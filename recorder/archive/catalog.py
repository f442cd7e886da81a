"""What is in an archive: its packages, read from their own metadata, and which one an id means."""

import difflib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from config.errors import ArchiveError, PackageNotFound, StorageUnwritable
from recorder.archive import bag, fixity, names
from recorder.archive.model import Package, PackageState, Recording
from recorder.archive.work import PROGRAM, RECORDING_FILE, read_begun, time_of

INCOMING = ".incoming"
"""The folder of work folders: in the archive, so that sealing is a rename, and hidden, so that nobody lists it."""

SUGGESTIONS = 5


def packages(root: Path) -> list[Package]:
    """Return every package and unfinished recording of the archive, the oldest first; none if there is no archive.

    Raises StorageUnwritable when a folder of it cannot be read.
    """
    try:
        found = [*map(read_package, _sealed(root)), *map(read_unfinished, unfinished(root))]
    except OSError as error:
        raise StorageUnwritable(f"The archive {root} cannot be read: {error.strerror}") from None
    return sorted(found, key=lambda package: package.id)


def unfinished(root: Path) -> list[Path]:
    """Return the work folders in the archive at `root`; what is hidden is being made, and none yet. Raises OSError."""
    return [folder for folder in _folders(root / INCOMING) if not folder.name.startswith(".")]


def sealed_as(root: Path, name: str) -> list[Path]:
    """Return the packages in the archive at `root` that bear the name of a session, or of a part of it."""
    return [folder for folder in _sealed(root) if names.session_of(folder.name) == name]


def _sealed(root: Path) -> Iterator[Path]:
    for year in _folders(root):
        if re.fullmatch(r"\d{4}", year.name):
            for month in _folders(year):
                if re.fullmatch(r"\d{2}", month.name):
                    yield from (folder for folder in _folders(month) if not folder.name.startswith("."))


def _folders(path: Path) -> list[Path]:
    """Return the folders in `path` by name; links are not followed, and a folder that is missing has none."""
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def read_recording(folder: Path) -> Recording:
    """Return the description of the package at `folder`; raises OSError, msgspec.MsgspecError or UnicodeDecodeError."""
    path = folder / RECORDING_FILE
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(f"{path} is not a file")
    return msgspec.json.decode(path.read_bytes(), type=Recording)


def read_package(folder: Path) -> Package:
    """Return the package at `folder`, as damaged when it cannot say what it holds."""
    size = _size(folder)
    try:
        recording = read_recording(folder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Package(
            id=names.storable(folder.name), uuid=_identifier(folder), title=names.storable(folder.name),
            started_at=time_of(folder), duration_s=0.0, bytes=size, path=str(folder), state=PackageState.DAMAGED,
        )  # fmt: skip
    return Package(
        id=names.storable(folder.name), uuid=recording.uuid, title=recording.title, started_at=recording.started_at,
        duration_s=recording.duration_s, bytes=size, path=str(folder), state=PackageState.SEALED, recording=recording,
    )  # fmt: skip


def read_unfinished(folder: Path) -> Package:
    """Return what is known about the recording in a work folder."""
    try:
        begun = read_begun(folder)
        uuid, title, started_at = begun.uuid, begun.title, begun.started_at
    except ArchiveError:
        uuid, title, started_at = "", names.storable(folder.name), time_of(folder)
    try:
        written = (folder / "data" / "media" / PROGRAM).stat().st_mtime
    except OSError:
        written = started_at.timestamp()
    return Package(
        id=names.storable(folder.name), uuid=uuid, title=title, started_at=started_at,
        duration_s=round(max(0.0, written - started_at.timestamp()), 3), bytes=_size(folder), path=str(folder),
        state=PackageState.UNFINISHED,
    )  # fmt: skip


def _size(folder: Path) -> int:
    try:
        return sum(fixity.walk(folder)[0].values())
    except FileNotFoundError:
        return 0  # sealed, moved or renamed while we looked


def _identifier(folder: Path) -> str:
    try:
        return bag.read_info((folder / bag.INFO_FILE).read_bytes()).get("External-Identifier", "")
    except (OSError, bag.BagFormatError):
        return ""


def find(root: Path, key: str) -> Package:
    """Return the one package that `key` means: its name, path or UUID, or a beginning of its name or UUID.

    Raises PackageNotFound, which names what is near, when none or several answer.
    """
    known = packages(root)
    wanted = _name_of(root, key)
    exact = [package for package in known if wanted in {package.id, package.uuid}]
    begun = [package for package in known if wanted and f"{package.id}\0{package.uuid}".startswith(wanted)]
    begun += [package for package in known if wanted and package.uuid.startswith(wanted) and package not in begun]
    for candidates in (exact, begun):
        if len(candidates) == 1:
            return candidates[0]
    raise _not_found(root, key, exact or begun, known)


def _name_of(root: Path, key: str) -> str:
    """Return the package's name when `key` is the path of a folder in the archive, else `key`."""
    path = Path(key)
    if "/" in key and root.resolve() in path.resolve().parents:
        return path.name
    return key.lower()


def _not_found(root: Path, key: str, several: list[Package], known: list[Package]) -> PackageNotFound:
    shown = names.one_line(key)
    if several:
        listed = ", ".join(package.id for package in several[:SUGGESTIONS])
        return PackageNotFound(
            f"{shown!r} means {len(several)} packages: {listed}", hint="Write more of the name, or its last 8 digits."
        )
    ids = [package.id for package in known]
    near = difflib.get_close_matches(key, ids, SUGGESTIONS, cutoff=0.5)
    near += [name for name in ids if names.slug(key) in name and name not in near]
    hint = f"Near it: {', '.join(near[:SUGGESTIONS])}." if near else "`liput archive list` shows what there is."
    return PackageNotFound(f"No package of the archive {root} is called {shown!r}", hint=hint)
