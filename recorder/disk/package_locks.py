"""Locks on sealed packages: one process changes a package, or any number read it.

The lock is on the package's folder and ends with the process. A correction gives the name to another folder, so a lock
on a renamed folder is taken again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import LiputError, PackageBusy, PackageNotFound
from recorder.disk.errors import storage_error


@contextmanager
def package_lock(folder: Path, *, alone: bool) -> Iterator[None]:
    """Lock a package against changes, or, if `alone`, also against readers. Raises PackageBusy, PackageNotFound."""
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
            lock_file(descriptor, busy, alone=alone)
            if has_name(descriptor, folder):
                yield
                return
        finally:
            os.close(descriptor)


def lock_file(descriptor: int, busy: LiputError, *, alone: bool = True) -> None:
    """Lock an open file; raises `busy` if another process has it. A file system without locks gives none."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    except OSError:
        pass


def has_name(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has the name `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
