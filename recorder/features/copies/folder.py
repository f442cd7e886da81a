"""A folder as a place for copies: on another disk, or on a mounted share (SMB, NFS)."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from config.errors import StorageError
from config.files import NotRegular, create_file, open_beneath, open_regular
from recorder.disk.archive_folder import MountMemory, check_archive_folder, nearest_existing
from recorder.disk.durable import DurableFiles, temporary_of
from recorder.disk.mounts import whole_disk
from recorder.features.copies.target import (
    BLOCK_BYTES,
    STAGING,
    CopyReason,
    Target,
    blocks_of,
    copy_error,
    staging_folder,
    status_of,
)
from recorder.package import fixity
from recorder.package.fixity import TransferThrottle

_NUMBERS = {
    CopyReason.FULL: (errno.ENOSPC, errno.EDQUOT),
    CopyReason.NOT_TAKEN: (errno.EFBIG, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG),
    CopyReason.NOT_ALLOWED: (errno.EACCES, errno.EPERM, errno.EROFS),
    CopyReason.CHANGED_THERE: (errno.EEXIST, errno.ENOTDIR),  # a link or file in place of a folder
    CopyReason.TIMEOUT: (errno.ETIMEDOUT,),
    CopyReason.NOT_MOUNTED: (errno.ESTALE, errno.ENODEV, errno.ENOTCONN),
    CopyReason.UNREACHABLE: (errno.EHOSTDOWN, errno.EHOSTUNREACH),
}
_REASONS = {number: reason for reason, numbers in _NUMBERS.items() for number in numbers}


class FolderTarget(Target):
    """An existing folder, on another file system than `apart_from`: a share may be unmounted."""

    def __init__(
        self, name: str, root: Path, disk: DurableFiles | None = None, apart_from: Sequence[Path] = ()
    ) -> None:
        self.name = name
        self._root = root
        self._disk = disk or DurableFiles()
        self._device: int | None = None
        self._refuse_unmounted()
        with self._translated():
            status = self._status()
            if any(nearest_existing(folder).stat().st_dev == status.st_dev for folder in apart_from):
                raise copy_error(CopyReason.NOT_MOUNTED, name, f"{root} is on a disk of this PC's own")
        self._device = status.st_dev
        self.disk = whole_disk(status.st_dev)
        MountMemory().remember(root)

    def _refuse_unmounted(self) -> None:
        try:
            MountMemory().refuse_missing(self._root)
            check_archive_folder(self._root, 0)
        except StorageError as error:
            if error.why == "not-mounted":
                raise copy_error(CopyReason.NOT_MOUNTED, self.name, error.message) from None
            # a folder that is not writable may be readable; a write raises the reason

    def _status(self) -> os.stat_result:
        """Stat the folder. Raises CopyError if it is missing, or on another disk than before."""
        try:
            status = self._root.stat()
        except (FileNotFoundError, NotADirectoryError):
            status = None
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise copy_error(CopyReason.NO_FOLDER, self.name, str(self._root))
        if self._device not in {None, status.st_dev}:
            raise copy_error(CopyReason.NOT_MOUNTED, self.name, f"{self._root} was on another disk a moment ago")
        return status

    def folders(self, path: str) -> list[str]:
        """Return the folders in `path`, without links."""
        with self._translated():
            try:
                with open_beneath(self._root, path) as here, os.scandir(here) as entries:
                    return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        with self._translated():
            try:
                with open_beneath(self._root, path) as here:
                    return fixity.walk(here)
            except FileNotFoundError:
                return {}, []

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:  # noqa: ARG002 - other places have to know how much
        """Yield the content from the disk or server, bypassing this PC's page cache."""
        with self._translated():
            try:
                with self._held_path(path) as file:
                    descriptor = open_regular(file)
            except FileNotFoundError:
                raise copy_error(CopyReason.NOT_THERE, self.name, path) from None
            with open(descriptor, "rb", buffering=0) as content:  # noqa: PTH123 - no link is followed
                try:
                    yield from _read_uncached(content)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise  # a bad sector: the rest is missing, and the digest tells

    def write(self, path: str, source: Path, flow: TransferThrottle, *, from_start: bool = False) -> int:
        """Write a file through `.NAME.part`, which a later attempt resumes."""
        status = status_of(source)
        with self._translated():
            self._make_folders(path.rpartition("/")[0])
            with self._held_path(path) as final:
                part = temporary_of(final)
                self._disk.begin("write", part)
                descriptor = None if from_start else _open_part(part, status.st_size)
                offset = 0 if descriptor is None else os.fstat(descriptor).st_size
                if descriptor is None:
                    descriptor = create_file(part, stat.S_IMODE(status.st_mode))
                with open(descriptor, "r+b") as file:  # noqa: PTH123 - no link is followed
                    file.seek(offset)
                    flow.tally.add(offset)
                    for block in blocks_of(source, offset):
                        file.write(block)
                        flow.sent(len(block))
                self._disk.put(part, final)
        return offset

    @contextmanager
    def _held_path(self, path: str) -> Iterator[Path]:
        """Give a path through its open folder: no link leads to it, and nobody can exchange it."""
        folder, _, name = path.rpartition("/")
        with open_beneath(self._root, folder) as here:
            yield here / name

    def _make_folders(self, folder: str) -> None:
        above = folder.rpartition("/")[0]
        if folder:
            self._make_folders(above)
            with self._held_path(folder) as path:
                self._disk.make_folder(path)

    def remove(self, path: str) -> None:
        with self._translated(), self._held_path(path) as file:
            self._disk.unlink(file)

    def begin(self, place: str, uuid: str) -> str:
        """Return a hidden folder, to be renamed to `place`."""
        with self._translated():
            self._make_folders(STAGING)
            with open_beneath(self._root, STAGING) as here:
                return staging_folder(
                    place, uuid, self.folders(STAGING),
                    make=lambda name: (here / name).mkdir(),
                    owner=lambda name: (here / name).lstat().st_uid,
                    remove=lambda name: (here / name).rmdir(),
                )  # fmt: skip

    def finish(self, folder: str, place: str) -> None:
        """Sync all folders, and rename. Raises CopyError with NAME_TAKEN."""
        with self._translated():
            with open_beneath(self._root, folder) as here:
                for inner in fixity.folders_below(here):
                    self._disk.sync(inner)
            if folder == place:
                return  # repaired in place
            self._make_folders(place.rpartition("/")[0])
            try:
                with self._held_path(folder) as source, self._held_path(place) as final:
                    self._disk.move_folder(source, final)
            except OSError as error:
                if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
                    raise copy_error(CopyReason.NAME_TAKEN, self.name, place.rpartition("/")[2]) from None
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            self._status()  # a pulled disk leaves an empty folder that accepts everything
            yield
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, CopyReason.FAILED)
            raise copy_error(reason, self.name, error.strerror or type(error).__name__) from None


def _open_part(part: Path, size: int) -> int | None:
    """Return a descriptor of a stopped attempt's part file, None without a usable one."""
    try:
        descriptor = open_regular(part, os.O_RDWR)
    except (FileNotFoundError, NotRegular):
        return None
    found = os.fstat(descriptor)
    if found.st_size <= size and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    return None


def _read_uncached(file: FileIO) -> Iterator[bytes]:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    done = 0
    while block := file.read(BLOCK_BYTES):
        yield block
        os.posix_fadvise(file.fileno(), done, len(block), os.POSIX_FADV_DONTNEED)
        done += len(block)
