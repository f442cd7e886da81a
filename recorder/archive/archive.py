"""The archive: a folder of sealed packages by year and month, and the work folders of unsealed sessions.

Only renames of complete packages change it. Nothing sealed is overwritten or removed here.
"""

import errno
import os
import platform
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from config.errors import ArchiveError, PackageNotFound, StorageError
from config.files import is_folder, is_regular
from config.settings.schema import Settings
from devices.host.clock import Clock, boot_id
from recorder.archive import catalog
from recorder.archive.package_draft import refuse_damaged, settle_corrections
from recorder.disk import archive_folder
from recorder.disk.durable import PRIVATE_MODE, DurableFiles
from recorder.disk.errors import storage_error
from recorder.disk.package_locks import package_lock
from recorder.model import names
from recorder.package import fixity, verification
from recorder.package.fixity import Progress
from recorder.package.metadata import Begun, Package, Problem, RecordingFacts, SessionContext
from recorder.package.request import LETTERS
from recorder.package.work_folder import BEGUN_FILE, METADATA_FILES, WorkFolder, encode_begun, guess_begun, read_part

RESERVE_BYTES = 2_000_000_000
"""Free bytes below which no session begins: an hour of 1080p30, half an hour of the largest profile."""


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
        """Return the bytes free for a session; writes nothing. Raises as `place.check_place`."""
        return archive_folder.check_archive_folder(self.root, self.reserve_bytes)

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
        folder = catalog.work_folder(self.root, names.package_name(title, started_at, uuid), part)
        begun = Begun(
            uuid=str(uuid), title=names.utf8_safe(title), started_at=started_at, host=platform.node(),
            context=context or SessionContext(), part=part, offset_s=offset_s, boot=boot_id(), copy=copy,
        )  # fmt: skip
        work = WorkFolder(folder, begun)
        there = archive_folder.nearest_existing(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not is_folder(folder.parent):  # a link leads elsewhere
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder.parent))
            folder.mkdir()
        except OSError as error:
            self._remove_empty(folder.parent, there)
            raise storage_error(error, folder) from None
        try:
            self._fill_new(work, there)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)  # made just now, nothing recorded yet
            self._remove_empty(folder.parent, there)
            raise storage_error(error, folder) from None
        return work

    def _fill_new(self, work: WorkFolder, there: Path) -> None:
        work.media.mkdir(parents=True)
        work.metadata.mkdir()
        work.events.touch()
        self._disk.write(work.path / BEGUN_FILE, encode_begun(work.begun), mode=PRIVATE_MODE)
        above = work.path.relative_to(there).parents
        for changed in (*fixity.folders(work.path), *(there / folder for folder in above)):
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
        from recorder.archive import sealing  # PyAV takes long to load

        now = self._clock.now()
        month = self.root / f"{work.begun.started_at:%Y}" / f"{work.begun.started_at:%m}"
        target = month / names.package_of_part(names.session_in_name(work.name), work.begun.part, work.begun.copy)
        try:
            sealing.fill_package(work, facts, target, now, self._disk, progress, may_be_joined=may_be_joined)
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
        package = catalog.read_package(target)
        if package.recording:
            now = self._clock.now()
            for step in sealing.STEPS:
                step.sealed(target, package.recording, work.begun.context, now)
        return package

    def unseal(self, folder: Path, progress: Progress | None = None) -> WorkFolder:
        """Turn the package of a part at `folder` into a locked work folder again; `reseal` reverts it.

        Hashes its files first; `progress` gets bytes hashed and in all. Raises ArchiveError if it is no such part,
        PackageDamaged, PackageBusy, StorageError.
        """
        with package_lock(folder, alone=True):
            begun = read_part(folder)
            refuse_damaged(folder.name, verification.verify_package(folder, progress=progress))
            work = WorkFolder(catalog.work_folder(self.root, names.session_in_name(folder.name), begun.part), begun)
            try:
                self._disk.make_folder(work.path.parent)
                self._disk.move_folder(folder, work.path)  # without begun.json it awaits its rename back
            except OSError as error:
                raise storage_error(error, folder) from None
        try:
            work.lock()
            self._disk.write(work.path / BEGUN_FILE, encode_begun(begun), mode=PRIVATE_MODE)
            self._disk.sync(work.path)
        except OSError as error:
            work.release()
            raise storage_error(error, work.path) from None
        return work

    def reseal(self, work: WorkFolder) -> Package:
        """Turn a folder from `unseal` into its package again."""
        try:
            self._disk.unlink(work.path / BEGUN_FILE)
        except OSError as error:
            raise storage_error(error, work.path) from None
        return self.seal(work)

    def discard(self, work: WorkFolder) -> None:
        """Remove a work folder without media; raises ArchiveError if it has media."""
        from recorder.package.media import holds_media

        letters = work.path / "data" / LETTERS  # copies: the dossier has the originals
        known = {work.path / name for name in (BEGUN_FILE, *METADATA_FILES)}
        others = (path for path in work.path.rglob("*") if path not in known and letters not in path.parents)
        if media := next((path for path in others if is_regular(path) and holds_media(path)), None):
            raise ArchiveError(
                f"{work.path} holds a recording and is kept",
                hint=f"Move {media} into {work.media}, where recordings are, then say liput recover.",
            )
        try:
            shutil.rmtree(work.path)
            self._remove_empty(work.path.parent, self.root)
        except OSError as error:
            raise storage_error(error, work.path) from None
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
        if self.root.exists() and not self.root.is_dir():
            raise StorageError(f"The archive cannot be at {self.root}: it is not a folder", why="unwritable")
        settle_corrections(self.root, self._disk)
        return catalog.packages(self.root)

    def find(self, key: str) -> Package:
        """Return the package for `key`; raises as `catalog.find`."""
        settle_corrections(self.root, self._disk)
        return catalog.package_for_key(self.root, key)

    def verify(self, package: Package, *, decode: bool = False, progress: Progress | None = None) -> Sequence[Problem]:
        """Return all problems of a package; raises ArchiveError, PackageBusy."""
        with package_lock(catalog.require_sealed(package).folder, alone=False):
            return verification.verify_package(package.folder, decode=decode, progress=progress)


def session_archives(
    settings: Settings, clock: Clock, *, folder: Path | None = None, reserve: int | None = None
) -> list[Archive]:
    """Return the session's archive, and those for when its disk is full; `folder` and `reserve` replace settings."""
    reserve = settings.archive.reserve if reserve is None else reserve
    named = (folder or settings.archive.path, *settings.storage.paths)
    return list({archive.root: archive for archive in (Archive(path, clock, reserve) for path in named)}.values())
