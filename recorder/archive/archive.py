"""The archive: a folder of sealed packages by year and month, and the work folders of unsealed sessions.

Only renames of complete packages change it. Nothing sealed is overwritten or removed here.
"""

import contextlib
import errno
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from config.errors import ArchiveError, LiputError, PackageNotFound, StorageError
from config.files import is_folder, read_file
from config.settings.schema import Settings
from devices.host.clock import Clock, boot_id
from recorder.archive.package_draft import refuse_damaged, settle_correction
from recorder.disk.archive_folder import check_archive_folder, nearest_existing
from recorder.disk.durable import DurableFiles
from recorder.disk.errors import storage_error, storage_errors
from recorder.disk.package_locks import package_lock
from recorder.model.names import (
    NAME,
    OLD,
    corrected_name,
    one_line,
    package_name,
    package_of_part,
    replaced_name,
    session_in_name,
    similar_names,
    utf8_safe,
)
from recorder.package.fixity import Progress, folders_below, walk
from recorder.package.metadata import (
    Begun,
    Package,
    PackageState,
    Problem,
    Recording,
    RecordingFacts,
    SessionContext,
    decode_recording,
)
from recorder.package.verification import is_pruned, require_sealed, uuid_in_bag_info, verify_package
from recorder.package.work_folder import (
    BEGUN_FILE,
    PROGRAM,
    RECORDING_FILE,
    WorkFolder,
    guess_begun,
    read_begun,
    read_part,
    session_start_of,
    write_begun,
)

RESERVE_BYTES = 2_000_000_000
"""Free bytes below which no session begins: an hour of 1080p30, half an hour of the largest profile."""
INCOMING = ".incoming"
"""The folder of work folders: in the archive, so that sealing is a rename; hidden, so that nobody lists it."""
SUGGESTIONS = 5


@contextlib.contextmanager
def readable(root: Path) -> Iterator[None]:
    """Raise StorageError for an archive that is no folder, or an OSError in the body."""
    try:
        if root.exists() and not root.is_dir():
            raise StorageError(f"The archive cannot be at {root}: it is not a folder", why="unwritable")
        yield
    except OSError as error:
        raise StorageError(
            f"The archive {root} cannot be read: {error.strerror} ({error.filename})",
            hint="Check its disk, and this user's right to read it.",
            why="unwritable",
        ) from None


def packages(root: Path, is_wanted: Callable[[str], bool] = lambda _: True) -> list[Package]:
    """Return packages and unfinished recordings with folders of wanted names, the oldest first. Raises StorageError."""
    with readable(root):
        found = [read_package(folder) for folder in _sealed(root) if is_wanted(folder.name)]
        found += [read_unfinished(folder) for folder in work_folders(root) if is_wanted(folder.name)]
    return sorted(found, key=lambda package: package.id)


def work_folders(root: Path) -> list[Path]:
    """Return the work folders, without hidden ones that are being made. Raises OSError."""
    return [folder for folder in _folders(root / INCOMING) if not folder.name.startswith(".")]


def work_folder(root: Path, session: str, part: int) -> Path:
    """Return the work folder's path for a part of a session, counted from 1."""
    return root / INCOMING / package_of_part(session, part)


def packages_of_session(root: Path, name: str) -> list[Path]:
    return [folder for folder in _sealed(root) if session_in_name(folder.name) == name]


def package_folders(root: Path) -> list[Path]:
    """Return the folders of all packages by date, except those in correction; raises StorageError."""
    with readable(root):
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
        old = replaced_name(folder.name)
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
    name = utf8_safe(replaced_name(folder.name) or folder.name)
    size = _size(where)
    if recording is None:
        return Package(
            id=name, uuid=uuid_in_bag_info(where), title=name, started_at=session_start_of(where), duration_s=0.0,
            bytes=size or 0, path=str(where), state=PackageState.DAMAGED,
        )  # fmt: skip
    state = PackageState.ELSEWHERE if is_pruned(where) else PackageState.SEALED
    if size is None:
        state = PackageState.DAMAGED
    return Package(
        id=name, uuid=recording.uuid, title=recording.title, started_at=recording.started_at,
        duration_s=recording.duration_s, bytes=size or 0, path=str(where), recording=recording,
        session=recording.session, copy=recording.copy, part=recording.part, practice=recording.practice, state=state,
    )  # fmt: skip


def _locate(folder: Path) -> tuple[Path, Recording | None]:
    """Return the present path of a package and its description or None: a correction may rename it meanwhile."""
    for where in (folder, folder.with_name(f".{folder.name}{OLD}"), folder):
        try:
            return where, read_recording(where)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return where, None
    return folder, None


def read_unfinished(folder: Path) -> Package:
    try:
        begun = read_begun(folder)
        uuid, title, started_at, copy, part = begun.uuid, begun.title, begun.started_at, begun.copy, begun.part
    except ArchiveError:
        uuid, title, started_at, copy, part = "", utf8_safe(folder.name), session_start_of(folder), 1, 1
    try:
        written = (folder / "data" / "media" / PROGRAM).stat().st_mtime
    except OSError:
        written = started_at.timestamp()
    return Package(
        id=utf8_safe(folder.name), uuid=uuid, title=title, started_at=started_at,
        duration_s=round(max(0.0, written - started_at.timestamp()), 3), bytes=_size(folder) or 0, path=str(folder),
        state=PackageState.UNFINISHED, copy=copy, part=part,
    )  # fmt: skip


def _size(folder: Path) -> int | None:
    for _ in range(2):  # a correction may replace it during the first look
        try:
            return sum(walk(folder)[0].values())
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return 0  # sealed, moved or renamed meanwhile


def _matching(known: list[Package], wanted: str) -> list[Package]:
    """Return the packages with the id `wanted`, else those with a name or UUID that begins so."""
    exact = [package for package in known if wanted in {package.id, package.uuid}]
    begun = (each for each in known if wanted and (each.id.startswith(wanted) or each.uuid.startswith(wanted)))
    return exact or list(begun)


def _may_match(folder_name: str, wanted: str) -> bool:
    """Return whether the package in a folder may match: our names end with the UUID's beginning."""
    name = replaced_name(folder_name) or folder_name
    ours = NAME.fullmatch(name)
    return ours is None or name.startswith(wanted) or ours["suffix"].startswith(wanted[: len(ours["suffix"])])


def _name_of(root: Path, key: str) -> str:
    path = Path(key)
    if "/" in key and root.resolve() in path.resolve().parents:
        return path.name
    return key.lower()


def _not_found(root: Path, key: str, several: list[Package], known: list[Package]) -> PackageNotFound:
    shown = one_line(key)
    if several:
        listed = ", ".join(package.id for package in several[:SUGGESTIONS])
        return PackageNotFound(
            f"{shown!r} means {len(several)} packages: {listed}", hint="Write more of the name, or its last 8 digits."
        )
    near = similar_names(key, [package.id for package in known], SUGGESTIONS)
    hint = f"Near it: {', '.join(near)}." if near else "`liput archive list` shows all packages."
    return PackageNotFound(f"No package of the archive {root} is called {shown!r}", hint=hint)


class Archive:
    """An archive folder. Methods that write raise StorageError when the disk refuses."""

    def __init__(
        self, root: Path, clock: Clock, reserve_bytes: int = RESERVE_BYTES, *, disk: DurableFiles | None = None
    ) -> None:
        self.root = root.expanduser().absolute()
        self._clock = clock
        self.reserve_bytes = reserve_bytes
        self._disk = disk or DurableFiles()

    def check(self) -> int:
        """Return the bytes free for a session; writes nothing. Raises as `check_archive_folder`."""
        return check_archive_folder(self.root, self.reserve_bytes)

    def begin(
        self,
        title: str,
        started_at: datetime,
        context: SessionContext | None = None,
        *,
        uuid: UUID | None = None,
        part: int = 1,
        offset_s: float = 0.0,
        copy: int = 1,
    ) -> WorkFolder:
        """Make the locked work folder of a session; `started_at` is local time with its offset.

        A further `part` takes the session's `uuid` and `started_at`, and its own `offset_s`. `copy` counts mirrored
        recordings (see `Begun`). Raises as `check`, and leaves nothing behind then.
        """
        if started_at.tzinfo is None:
            raise ValueError("started_at needs its offset")
        self.check()
        uuid = uuid or uuid4()
        folder = work_folder(self.root, package_name(title, started_at, uuid), part)
        begun = Begun(
            uuid=str(uuid), title=utf8_safe(title), started_at=started_at, host=platform.node(),
            context=context or SessionContext(), part=part, offset_s=offset_s, boot=boot_id(), copy=copy,
        )  # fmt: skip
        work = WorkFolder(folder, begun)
        there = nearest_existing(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not is_folder(folder.parent):  # a link leads elsewhere
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder.parent))
            folder.mkdir()
            try:
                self._fill_new(work, there)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)  # made just now, nothing recorded yet
                raise
        except OSError as error:
            self._remove_empty(folder.parent, there)
            raise storage_error(error, folder) from None
        return work

    def _fill_new(self, work: WorkFolder, there: Path) -> None:
        work.media.mkdir(parents=True)
        work.metadata.mkdir()
        work.events.touch()
        write_begun(work.path, work.begun, self._disk)
        above = work.path.relative_to(there).parents
        for changed in (*folders_below(work.path), *(there / folder for folder in above)):
            self._disk.sync(changed)
        work.lock()

    def seal(
        self,
        work: WorkFolder,
        facts: RecordingFacts | None = None,
        progress: Progress | None = None,
        *,
        may_be_joined: bool = False,
    ) -> Package:
        """Make a package of `work` and move it into the archive; `progress` gets bytes hashed and in all.

        Without `facts` (the recorder died) the files are read instead. Continues an interrupted attempt. `unseal` can
        reopen a part that `may_be_joined` to others. Raises ArchiveError if nothing was recorded, StorageError if the
        disk fails; the work folder stays usable.
        """
        from recorder.archive.sealing import STEPS, fill_package  # PyAV takes long to load

        now = self._clock.now()
        month = self.root / f"{work.begun.started_at:%Y}" / f"{work.begun.started_at:%m}"
        target = month / package_of_part(session_in_name(work.name), work.begun.part, work.begun.copy)
        try:
            fill_package(work, facts, target, now, self._disk, progress, may_be_joined=may_be_joined)
            self._disk.make_folder(month.parent)
            self._disk.make_folder(month)
            self._disk.move_folder(work.path, target)
        except FileExistsError:
            raise ArchiveError(
                f"{target} is there already; the recording stays in {work.path}", hint="Move one of them away."
            ) from None
        except OSError as error:
            raise storage_error(error, work.path) from None
        work.release()
        package = read_package(target)
        if package.recording:
            now = self._clock.now()
            for step in STEPS:
                step.sealed(target, package.recording, work.begun.context, now)
        return package

    def unseal(self, folder: Path, progress: Progress | None = None) -> WorkFolder:
        """Turn the package of a part at `folder` into a locked work folder again; `reseal` reverts it.

        Hashes its files first; `progress` gets bytes hashed and in all. Raises ArchiveError if it is no such part,
        PackageDamaged, PackageBusy, StorageError.
        """
        with package_lock(folder, alone=True):
            begun = read_part(folder)
            refuse_damaged(folder.name, verify_package(folder, progress=progress))
            work = WorkFolder(work_folder(self.root, session_in_name(folder.name), begun.part), begun)
            with storage_errors(folder):
                self._disk.make_folder(work.path.parent)
                self._disk.move_folder(folder, work.path)  # without begun.json it awaits its rename back
        try:
            work.lock()
            write_begun(work.path, begun, self._disk)
            self._disk.sync(work.path)
        except OSError as error:
            work.release()
            raise storage_error(error, work.path) from None
        return work

    def reseal(self, work: WorkFolder) -> Package:
        """Turn a folder from `unseal` into its package again."""
        with storage_errors(work.path):
            self._disk.unlink(work.path / BEGUN_FILE)
        return self.seal(work)

    def discard(self, work: WorkFolder) -> None:
        """Remove a work folder without media; raises ArchiveError if it has media."""
        if media := work.stray_media():
            raise ArchiveError(
                f"{work.path} holds a recording and is kept",
                hint=f"Move {media} into {work.media}, where recordings are, then say liput recover.",
            )
        with storage_errors(work.path):
            shutil.rmtree(work.path)
            self._remove_empty(work.path.parent, self.root)
        work.release()

    @staticmethod
    def _remove_empty(folder: Path, stop: Path) -> None:
        """Remove `folder` and the folders above it, below `stop`, while they are empty."""
        while folder != stop and stop in folder.parents:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def reopen(self, folder: Path) -> WorkFolder:
        """Return a work folder, locked. Raises PackageBusy while it records, PackageNotFound if it is gone, OSError."""
        work = WorkFolder(folder, guess_begun(folder))
        work.lock()
        if not folder.is_dir():
            work.release()
            raise PackageNotFound(f"{folder.name} has just been sealed by another Liput")
        return work

    def list(self) -> Sequence[Package]:
        """Return all packages and unfinished recordings, the oldest first; raises StorageError."""
        self.settle()
        return packages(self.root)

    def find(self, key: str) -> Package:
        """Return the package for a name, path, UUID or a beginning of these. Raises PackageNotFound, StorageError."""
        self.settle()
        wanted = _name_of(self.root, key)
        likely = _matching(packages(self.root, lambda name: _may_match(name, wanted)), wanted)
        if len(likely) == 1:
            return likely[0]
        known = packages(self.root)
        found = _matching(known, wanted)
        if len(found) == 1:
            return found[0]
        raise _not_found(self.root, key, found, known)

    def settle(self) -> None:
        """Settle corrections that were interrupted, except of busy packages and those that cannot be changed."""
        with contextlib.suppress(OSError):
            for month in months(self.root):
                stopped = {corrected_name(entry.name) for entry in month.iterdir() if entry.name.startswith(".")}
                for name in sorted(filter(None, stopped)):
                    with contextlib.suppress(OSError, LiputError):
                        settle_correction(month / name, self._disk)

    def verify(self, package: Package, *, decode: bool = False, progress: Progress | None = None) -> Sequence[Problem]:
        """Return all problems of a package; raises ArchiveError, PackageBusy."""
        with package_lock(require_sealed(package).folder, alone=False):
            return verify_package(package.folder, decode=decode, progress=progress)


def session_archives(
    settings: Settings, clock: Clock, *, folder: Path | None = None, reserve: int | None = None
) -> list[Archive]:
    """Return the session's archive, and those for when its disk is full; `folder` and `reserve` replace settings."""
    reserve = settings.archive.reserve if reserve is None else reserve
    named = (folder or settings.archive.path, *settings.storage.paths)
    return list({archive.root: archive for archive in (Archive(path, clock, reserve) for path in named)}.values())
