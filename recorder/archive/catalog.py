"""Lists the packages of an archive from their own metadata, and finds one by its id."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from config.errors import ArchiveError, PackageNotFound, StorageError
from config.files import read_file
from recorder.model import names
from recorder.package import bag, fixity
from recorder.package.metadata import Package, PackageState, Recording, decode_recording
from recorder.package.work_folder import PROGRAM, RECORDING_FILE, read_begun, session_start_of

INCOMING = ".incoming"
"""The folder of work folders: in the archive, so that sealing is a rename; hidden, so that nobody lists it."""
SUGGESTIONS = 5


def packages(root: Path) -> list[Package]:
    """Return all packages and unfinished recordings, the oldest first; raises StorageError."""
    return _packages(root, lambda _: True)


def _packages(root: Path, is_wanted: Callable[[str], bool]) -> list[Package]:
    with _translated(root):
        found = [read_package(folder) for folder in _sealed(root) if is_wanted(folder.name)]
        found += [read_unfinished(folder) for folder in work_folders(root) if is_wanted(folder.name)]
    return sorted(found, key=lambda package: package.id)


@contextlib.contextmanager
def _translated(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The archive {root} cannot be read: {error.strerror} ({error.filename})",
            hint="Check its disk, and this user's right to read it.",
            why="unwritable",
        ) from None


def work_folders(root: Path) -> list[Path]:
    """Return the work folders, without hidden ones that are being made. Raises OSError."""
    return [folder for folder in _folders(root / INCOMING) if not folder.name.startswith(".")]


def work_folder(root: Path, session: str, part: int) -> Path:
    """Return the work folder's path for a part of a session, counted from 1."""
    return root / INCOMING / names.package_of_part(session, part)


def packages_of_session(root: Path, name: str) -> list[Path]:
    """Return the packages of a session and its parts."""
    return [folder for folder in _sealed(root) if names.session_in_name(folder.name) == name]


def package_folders(root: Path) -> list[Path]:
    """Return the folders of all packages by date, except those in correction; raises StorageError."""
    with _translated(root):
        return [folder for folder in _sealed(root) if not folder.name.startswith(".")]


def months(root: Path) -> Iterator[Path]:
    """Yield the folders `YYYY/MM` in order. Raises OSError."""
    for year in _folders(root):
        if re.fullmatch(r"\d{4}", year.name):
            yield from (month for month in _folders(year) if re.fullmatch(r"\d{2}", month.name))


def packages_in(month: Path) -> Iterator[Path]:
    """Yield the packages in a folder `YYYY/MM`, also one that a correction is renaming."""
    folders = _folders(month)
    there = {folder.name for folder in folders}
    for folder in folders:
        old = names.replaced_name(folder.name)
        if not folder.name.startswith(".") or (old and old not in there):
            yield folder


def _sealed(root: Path) -> Iterator[Path]:
    for month in months(root):
        yield from packages_in(month)


def _folders(path: Path) -> list[Path]:
    """Return the folders in `path` by name, without links; none if `path` is missing."""
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def read_recording(folder: Path) -> Recording:
    """Return the description of a package; raises OSError, msgspec.MsgspecError or UnicodeDecodeError."""
    return decode_recording(read_file(folder / RECORDING_FILE))


def is_package_file(folder: Path, path: Path) -> bool:
    """Return whether `path` is a regular file in the package, reached through no link."""
    try:
        return path.resolve(strict=True) == folder.resolve() / path.relative_to(folder) and path.is_file()
    except (OSError, ValueError):
        return False


def read_package(folder: Path) -> Package:
    """Return the package at `folder`; it is damaged if its description or a folder cannot be read."""
    where, recording = _locate(folder)
    name = names.utf8_safe(names.replaced_name(folder.name) or folder.name)
    size = _size(where)
    if recording is None:
        return Package(
            id=name, uuid=_identifier(where), title=name, started_at=session_start_of(where), duration_s=0.0,
            bytes=size or 0, path=str(where), state=PackageState.DAMAGED,
        )  # fmt: skip
    state = PackageState.ELSEWHERE if is_pruned(where) else PackageState.SEALED
    if size is None:
        state = PackageState.DAMAGED
    return Package(
        id=name, uuid=recording.uuid, title=recording.title, started_at=recording.started_at,
        duration_s=recording.duration_s, bytes=size or 0, path=str(where), recording=recording,
        session=recording.session, copy=recording.copy, part=recording.part,
        state=state,
    )  # fmt: skip


def require_sealed(package: Package) -> Package:
    """Return the package; raises ArchiveError for a recording that is not sealed."""
    if package.state is PackageState.UNFINISHED:
        raise ArchiveError(
            f"{package.id} is not sealed yet", hint=f"liput archive seal {package.id} makes a package of it."
        )
    return package


def is_pruned(folder: Path) -> bool:
    """Return whether the package lacks payload that its fetch.txt names."""
    try:
        return any(not (folder / path).exists() for path in bag.read_fetch(read_file(folder / bag.FETCH_FILE)))
    except (OSError, bag.BagFormatError):
        return False


def refuse_pruned(folder: Path) -> None:
    """Raise ArchiveError if media of the package were pruned."""
    if is_pruned(folder):
        raise ArchiveError(
            f"The media of {folder.name} are kept elsewhere",
            hint=f"liput archive fetch {folder.name} --from TARGET fetches them; liput archive copies lists places.",
        )


def _locate(folder: Path) -> tuple[Path, Recording | None]:
    """Return the present path of a package and its description or None: a correction may rename it meanwhile."""
    for where in (folder, folder.with_name(f".{folder.name}{names.OLD}"), folder):
        try:
            return where, read_recording(where)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return where, None
    return folder, None


def read_unfinished(folder: Path) -> Package:
    """Return the recording in a work folder."""
    try:
        begun = read_begun(folder)
        uuid, title, started_at, copy, part = begun.uuid, begun.title, begun.started_at, begun.copy, begun.part
    except ArchiveError:
        uuid, title, started_at, copy, part = "", names.utf8_safe(folder.name), session_start_of(folder), 1, 1
    try:
        written = (folder / "data" / "media" / PROGRAM).stat().st_mtime
    except OSError:
        written = started_at.timestamp()
    return Package(
        id=names.utf8_safe(folder.name), uuid=uuid, title=title, started_at=started_at,
        duration_s=round(max(0.0, written - started_at.timestamp()), 3), bytes=_size(folder) or 0, path=str(folder),
        state=PackageState.UNFINISHED, copy=copy, part=part,
    )  # fmt: skip


def _size(folder: Path) -> int | None:
    for _ in range(2):  # a correction may replace it during the first look
        try:
            return sum(fixity.walk(folder)[0].values())
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return 0  # sealed, moved or renamed meanwhile


def _identifier(folder: Path) -> str:
    try:
        return bag.read_info(read_file(folder / bag.INFO_FILE)).get("External-Identifier", "")
    except (OSError, bag.BagFormatError):
        return ""


def package_for_key(root: Path, key: str) -> Package:
    """Return the one package for a name, path, UUID or a beginning of these. Raises PackageNotFound, StorageError."""
    wanted = _name_of(root, key)
    likely = _matching(_packages(root, lambda name: _may_match(name, wanted)), wanted)
    if len(likely) == 1:
        return likely[0]
    known = packages(root)
    found = _matching(known, wanted)
    if len(found) == 1:
        return found[0]
    raise _not_found(root, key, found, known)


def _matching(known: list[Package], wanted: str) -> list[Package]:
    """Return the packages with the id `wanted`, else those with a name or UUID that begins so."""
    exact = [package for package in known if wanted in {package.id, package.uuid}]
    begun = (each for each in known if wanted and (each.id.startswith(wanted) or each.uuid.startswith(wanted)))
    return exact or list(begun)


def _may_match(folder_name: str, wanted: str) -> bool:
    """Return whether the package in a folder may match: our names end with the UUID's beginning."""
    name = names.replaced_name(folder_name) or folder_name
    ours = names.NAME.fullmatch(name)
    return ours is None or name.startswith(wanted) or ours["suffix"].startswith(wanted[: len(ours["suffix"])])


def _name_of(root: Path, key: str) -> str:
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
    near = names.similar_names(key, [package.id for package in known], SUGGESTIONS)
    hint = f"Near it: {', '.join(near)}." if near else "`liput archive list` shows all packages."
    return PackageNotFound(f"No package of the archive {root} is called {shown!r}", hint=hint)
