"""Who may touch a sealed package: one process that changes it, or any number that read it through.

The lock is on the package's folder and ends with the process. A correction gives the name to another folder: whoever
has locked a folder that has lost its name meanwhile takes the lock of the one that has it now.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import LiputError, PackageBusy, PackageNotFound
from recorder.disk.errors import storage_error


@contextmanager
def locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Keep the package at `folder` from being changed while the context lasts; `alone`, from being read through too.

    Raises PackageBusy when another process has it, PackageNotFound when it is not there. A file system without locks
    is worked on without.
    """
    descriptor = _lock(folder, alone=alone)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, alone: bool) -> int:
    doing = "read, copied or changed" if alone else "changed"
    busy = PackageBusy(f"{folder.name} is being {doing} by another Liput", hint="Try again when that is done.")
    while True:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise PackageNotFound(f"{folder} is not there any more") from None
        except OSError as error:
            raise storage_error(error, folder) from None
        try:
            take(descriptor, busy, alone=alone)
        except PackageBusy:
            os.close(descriptor)
            raise
        if is_at(descriptor, folder):
            return descriptor
        os.close(descriptor)


def take(descriptor: int, busy: LiputError, *, alone: bool = True) -> None:
    """Lock what was opened; raises `busy` where another process has it. A file system without locks has none."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    except OSError:
        pass


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether what was opened still has its name, and has not lost it to another one meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
