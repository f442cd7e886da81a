"""Files for somebody else: they appear under their names whole, and never in the place of another."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.errors import ArchiveError, StorageError
from config.files import NotRegular, held, open_regular, sync
from config.settings.quantities import brief_size
from recorder.disk.durable import aside_of, rename_new
from recorder.disk.errors import storage_error
from recorder.disk.locking import is_at, take
from recorder.disk.place import MARGIN_BYTES


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
