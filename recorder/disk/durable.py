"""Durable file operations: files and folders are synced before anything refers to them.

`DurableFiles` names each step of sealing before it takes it, so that a test can kill the process there.
"""

import ctypes
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.errors import ArchiveError, StorageError
from config.files import NotRegular, create_file, is_folder, open_beneath, open_regular, sync_path
from config.settings.quantities import brief_size
from recorder.disk.archive_folder import MARGIN_BYTES
from recorder.disk.errors import storage_error, storage_errors
from recorder.disk.package_locks import has_name, lock_file

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2

RENAME_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""Errors of a file system without this kind of rename."""
PRIVATE_MODE = 0o600  # the mode of files with personal data

type BeforeStep = Callable[[str, Path], None]
"""Called before each step (write, copy, link, sync, cut, unlink, mkdir, rename, exchange) with its path."""

TEMPORARY_FILES = ".*.part"  # the names that `temporary_of` gives, for Path.rglob
LONGEST_NAME = 249  # leaves room for a leading dot and `.part` in the 255 bytes that file systems take


def temporary_name(name: str) -> str:
    """Return the name of a file while its new content is written."""
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.part"


def temporary_of(path: Path) -> Path:
    return path.with_name(temporary_name(path.name))


class DurableFiles:
    """The file operations of sealing, durable when they return unless noted. Raises OSError."""

    def __init__(self, before: BeforeStep = lambda _step, _path: None) -> None:
        self.begin = before  # also announces steps that callers take themselves

    def write(self, path: Path, content: bytes, *, mode: int = 0o666) -> None:
        """Replace `path` by a whole file; its folder is not synced. The umask bounds `mode`."""
        self.write_blocks(path, (content,), mode=mode)

    def write_blocks(self, path: Path, blocks: Iterable[bytes], *, mode: int) -> None:
        """Replace `path` by a file of these blocks, as `write` does. Raises the errors of `blocks`, too."""
        aside = temporary_of(path)
        self.begin("write", path)
        with open(create_file(aside, mode), "wb") as file:  # noqa: PTH123 - no link is followed
            file.writelines(blocks)
        self.put(aside, path)

    def put(self, aside: Path, path: Path) -> None:
        """Replace `path` by the file at `aside`; the folder is not synced."""
        self.sync(aside)
        self.begin("rename", path)
        aside.replace(path)

    def sync(self, path: Path) -> None:
        """Sync the content of a file or the entries of a folder."""
        self.begin("sync", path)
        sync_path(path)

    def cut(self, path: Path, length: int) -> None:
        """Truncate a file to `length` bytes; not synced."""
        self.begin("cut", path)
        descriptor = open_regular(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)

    def remove_tree(self, folder: Path, last: str) -> None:
        """Remove a folder, and the file `last` at the end: until then the folder can be recognised."""
        for path in sorted(folder.rglob("*"), reverse=True):
            if path != folder / last:
                self.begin("unlink", path)
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.begin("unlink", folder / last)
        (folder / last).unlink(missing_ok=True)
        self.begin("unlink", folder)
        folder.rmdir()
        self.sync(folder.parent)

    def make_folder(self, path: Path) -> None:
        """Make one folder if it is missing, and sync its entry."""
        if not is_folder(path):
            self.begin("mkdir", path)
            try:
                path.mkdir()
            except FileExistsError:
                if not is_folder(path):  # a link leads elsewhere
                    raise
            self.sync(path.parent)

    def link(self, source: Path, target: Path) -> None:
        """Make a hard link; the folder of `target` is not synced."""
        self.begin("link", target)
        os.link(source, target, follow_symlinks=False)

    def exchange(self, first: Path, second: Path) -> None:
        """Exchange the names of two folders atomically. Raises OSError, also one of RENAME_UNSUPPORTED."""
        self.begin("exchange", second)
        _rename(first, second, _EXCHANGE)
        self.sync(second.parent)

    def unlink(self, path: Path) -> None:
        """Remove a file and sync its folder."""
        self.begin("unlink", path)
        path.unlink()
        self.sync(path.parent)

    def move_folder(self, source: Path, target: Path) -> None:
        """Move a folder to a free name on the same file system; raises FileExistsError for a taken one."""
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self.begin("rename", target)
        source.rename(target)
        self.sync(target.parent)
        self.sync(source.parent)


def rename_new(source: Path, target: Path) -> None:
    """Rename `source` to a free name. Raises FileExistsError for a taken name, else OSError."""
    try:
        _rename(source, target, _NOREPLACE)
    except OSError as error:
        if error.errno not in RENAME_UNSUPPORTED:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)


def _rename(source: Path, target: Path, how: int) -> None:
    """Call Linux's renameat2(2), which Python lacks."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(how)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


@contextmanager
def publishing(target: Path, size: int, *, mode: int = 0o666, replace: bool = False) -> Iterator[Path]:
    """Yield a path to write about `size` bytes to; a body without an error puts the file at `target`.

    The path is an open descriptor, so nobody can exchange the file meanwhile. The umask bounds `mode`. An error removes
    the file. Raises ArchiveError where `target` exists (unless `replace`) or another process writes it, StorageError
    where the disk refuses.
    """
    with ExitStack() as stack:
        with storage_errors(target):
            if os.path.lexists(target) and not replace:
                raise _taken(target)
            if shutil.disk_usage(target.parent).free < size + MARGIN_BYTES:
                raise StorageError(
                    f"{target} takes {brief_size(size)}, and less is free there", hint="Free some space.", why="full"
                )
            final = stack.enter_context(open_beneath(target.parent)) / target.name
            part = temporary_of(final)
            claim = _claim(part, target, mode)
            stack.callback(os.close, claim)
        try:
            try:
                yield Path(f"/proc/self/fd/{claim}")
                os.fsync(claim)
                _refuse_exchanged(claim, part, target)
                part.replace(final) if replace else rename_new(part, final)
                sync_path(final.parent)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except FileExistsError:
            raise _taken(target) from None
        except OSError as error:
            raise storage_error(error, target) from None


def _refuse_exchanged(claim: int, part: Path, target: Path) -> None:
    if not has_name(claim, part):
        raise ArchiveError(
            f"The unfinished {target} was removed meanwhile", hint="Choose a folder that only you can write."
        )


def _taken(target: Path) -> ArchiveError:
    return ArchiveError(f"{target} is there already", hint="Name another file: nothing is overwritten.", why="taken")


def _claim(part: Path, target: Path, mode: int) -> int:
    """Return a new locked file at `part`. A file left by a killed process is removed first."""
    busy = ArchiveError(f"{target} is being written by another Liput", hint="Wait until that is done.")
    while True:
        try:
            descriptor, is_new = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), True
        except FileExistsError:
            try:
                descriptor, is_new = open_regular(part, os.O_RDWR), False
            except FileNotFoundError:
                continue
            except NotRegular:
                part.unlink()
                continue
        try:
            lock_file(descriptor, busy)
            if has_name(descriptor, part):  # else another process unlinked it while we waited
                if is_new:
                    return descriptor
                part.unlink()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
