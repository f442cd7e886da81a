"""Writing so that it stays written: every file and folder synced before anything points at it.

All that the archive does to a disk while it seals goes through a `Disk`, which names each step before it takes it; a
test can end the process there, and see what is left.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.errors import ArchiveError, StorageError
from config.files import NotRegular, held, is_folder, make_file, open_regular, sync
from config.settings.quantities import brief_size
from recorder.disk.errors import storage_error
from recorder.disk.locking import is_at, take
from recorder.disk.place import MARGIN_BYTES

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2

NOT_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system says that knows no such rename."""

PRIVATE = 0o600
"""The mode of what holds personal data."""

type BeforeStep = Callable[[str, Path], None]
"""Called with what is about to happen (write, copy, link, sync, cut, unlink, mkdir, rename, exchange), and to what."""


ASIDE = ".*.part"
"""What `aside_of` gives, as a pattern of Path.rglob."""


def aside_of(path: Path) -> Path:
    """Return where a new content for `path` is written before it has its place."""
    return path.with_name(f".{path.name}.part")


def _nothing(_step: str, _path: Path) -> None:
    pass


class Disk:
    """The file operations of sealing; each is durable when it returns. Raises OSError as the system does."""

    def __init__(self, before: BeforeStep = _nothing) -> None:
        self._before = before

    def write(self, path: Path, content: bytes, *, mode: int = 0o666) -> None:
        """Put a whole file at `path`, or nothing; its folder is not synced. `mode` is bounded by the umask."""
        aside = aside_of(path)
        self._before("write", path)
        with open(make_file(aside, mode), "wb") as file:  # noqa: PTH123 - no link is followed
            file.write(content)
        self.put(aside, path)

    def put(self, aside: Path, path: Path) -> None:
        """Put a file written beside it in the place of `path`, whole or not at all; the folder is not synced."""
        self.sync(aside)
        self._before("rename", path)
        aside.replace(path)

    def sync(self, path: Path) -> None:
        """Bring the content of a file, or the entries of a folder, onto the disk."""
        self._before("sync", path)
        sync(path)

    def cut(self, path: Path, length: int) -> None:
        """Drop what a file holds after its first `length` bytes; not synced."""
        self._before("cut", path)
        descriptor = open_regular(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)

    def begin(self, step: str, path: Path) -> None:
        """Say what is about to happen to a file of which others write the content."""
        self._before(step, path)

    def remove_tree(self, folder: Path, last: str) -> None:
        """Remove a folder, and the file `last` of all in it: as long as that is there, it is known for what it is."""
        for path in sorted(folder.rglob("*"), reverse=True):
            if path != folder / last:
                self._before("unlink", path)
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self._before("unlink", folder / last)
        (folder / last).unlink(missing_ok=True)
        self._before("unlink", folder)
        folder.rmdir()
        self.sync(folder.parent)

    def make_folder(self, path: Path) -> None:
        """Make one folder, if it is not there, and bring its entry onto the disk."""
        if not is_folder(path):
            self._before("mkdir", path)
            try:
                path.mkdir()
            except FileExistsError:
                if not is_folder(path):  # a link to one leads elsewhere
                    raise
            self.sync(path.parent)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name on the same file system; the folder of `target` is not synced."""
        self._before("link", target)
        os.link(source, target, follow_symlinks=False)

    def exchange(self, first: Path, second: Path) -> None:
        """Let two folders change their names at one stroke; raises OSError, of NOT_HERE where that cannot be."""
        self._before("exchange", second)
        _rename(first, second, _EXCHANGE)
        self.sync(second.parent)

    def unlink(self, path: Path) -> None:
        """Remove a file and bring that onto the disk."""
        self._before("unlink", path)
        path.unlink()
        self.sync(path.parent)

    def move_folder(self, source: Path, target: Path) -> None:
        """Move a folder to a place that is free, on the same file system.

        Raises FileExistsError when something is there. Even if it came there this moment nothing is lost: the system
        puts a folder in the place of nothing but an empty folder.
        """
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self._before("rename", target)
        source.rename(target)
        self.sync(target.parent)
        self.sync(source.parent)


def rename_new(source: Path, target: Path) -> None:
    """Rename `source` to `target`, where nothing is; raises FileExistsError where something is, else OSError."""
    try:
        _rename(source, target, _NOREPLACE)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)


def _rename(source: Path, target: Path, how: int) -> None:
    """Call Linux's renameat2(2), which Python has not."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(how)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


@contextmanager
def publishing(target: Path, size: int, *, mode: int = 0o666, replace: bool = False) -> Iterator[Path]:
    """Give a path for about `size` bytes to be written to; left without an error, what was written is at `target`.

    The path leads to that very file, whatever others make of the folder meanwhile. `mode` is what it has, as far as
    the umask lets it. Raises ArchiveError when something is at `target`, unless it is to `replace` that, also if it
    came there meanwhile, and when another process writes there; StorageError when the disk does not take it. What was
    written so far is then removed.
    """
    with ExitStack() as stack:
        try:
            if os.path.lexists(target) and not replace:
                raise _taken(target)
            if shutil.disk_usage(target.parent).free < size + MARGIN_BYTES:
                raise StorageError(
                    f"{target} takes {brief_size(size)}, and less is free there", hint="Free some space.", why="full"
                )
            final = stack.enter_context(held(target.parent)) / target.name
            part = aside_of(final)
            claim = _claim(part, target, mode)
            stack.callback(os.close, claim)
        except OSError as error:
            raise storage_error(error, target) from None
        try:
            try:
                yield Path(f"/proc/self/fd/{claim}")
                os.fsync(claim)
                _refuse_exchanged(claim, part, target)
                part.replace(final) if replace else rename_new(part, final)
                sync(final.parent)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except FileExistsError:
            raise _taken(target) from None
        except OSError as error:
            raise storage_error(error, target) from None


def _refuse_exchanged(claim: int, part: Path, target: Path) -> None:
    if not is_at(claim, part):
        raise ArchiveError(
            f"What was written of {target} was taken away meanwhile", hint="Name a file where nobody else may write."
        )


def _taken(target: Path) -> ArchiveError:
    return ArchiveError(f"{target} is there already", hint="Name another file: nothing is overwritten.")


def _claim(part: Path, target: Path, mode: int) -> int:
    """Return a new file at `part`, open and locked; what a kill has left there is removed, and not written into."""
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
            take(descriptor, busy)
            if is_at(descriptor, part):  # else its name was given away while we waited, and it is somebody's file
                if is_new:
                    return descriptor
                part.unlink()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
