"""Errors of disks and file systems, translated into StorageError with advice for people."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import ErrorCause, StorageError
from devices.host.clock import Clock
from devices.host.deadline import DeadlineTask
from recorder.disk.mounts import is_disk_gone

_ERRORS: tuple[tuple[set[int], ErrorCause, str, str], ...] = (
    ({errno.ENOSPC, errno.EDQUOT}, "full", "No space is left for {path}: the disk is full",
     "Free space, or name another disk."),
    ({errno.EFBIG}, "full", "{path} cannot grow: the disk allows no larger file",
     "FAT32 ends at 4 GB: record to a disk with ext4 or exFAT."),
    ({errno.EROFS}, "read-only", "Cannot write {path}: its file system is read-only",
     "Check the disk and its mount options before using it again."),
    ({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST}, "unwritable",
     "Cannot write {path}: {reason}", "Check that the disk is there and writable."),
    ({errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ESHUTDOWN},
     "vanished", "The disk of {path} is gone: {reason}",
     "Plug it in again, or repair its server; the recording up to then is kept there."),
)  # fmt: skip
"""Numbers of errors, their cause, sentence and advice."""


def storage_error(error: Exception, path: Path) -> StorageError:
    """Translate an OSError, or FFmpeg's error with the same number, from writing `path`."""
    number = getattr(error, "errno", None)
    reason = os.strerror(number) if number else error
    for numbers, why, said, hint in _ERRORS:
        if number in numbers:
            return StorageError(said.format(path=path, reason=reason), hint=hint, why=why)
    return StorageError(f"Writing {path} failed: {reason}", hint="Check the disk; the written data is kept.")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate an OSError of the body, which uses `path`, into StorageError."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from None


DISK_ANSWER_S = 10.0  # deadline for the answer of a disk, and for opening a file on it

_MAY_BE_GONE = frozenset({errno.EIO, errno.EROFS, errno.ENOENT, errno.EBADF})
"""Errors that a removed disk may give, too."""


def write_error(error: Exception, path: Path, device: int, source: str | None) -> StorageError:
    """Return the error of writing `path`, `vanished` if its disk is gone."""
    if getattr(error, "errno", None) in _MAY_BE_GONE and is_disk_gone(device, source):
        return disk_vanished(path)
    return storage_error(error, path)


def disk_read_only(path: Path) -> StorageError:
    """Return the error of a disk that can still be read but not written."""
    return StorageError(
        f"The disk with {path} has become read-only",
        hint="Its file system has an error, or was mounted read-only: check the disk before using it again.",
        why="read-only",
    )


def disk_vanished(path: Path) -> StorageError:
    """Return the error of a disk that was removed with `path` on it."""
    return StorageError(
        f"The disk with {path} is gone: it was pulled out or unmounted",
        hint="Plug it in again; the recording up to then is kept on it.",
        why="vanished",
    )


def disk_stalled(path: Path, seconds: float) -> StorageError:
    """Return the error of a disk that has taken nothing for `seconds`."""
    return StorageError(
        f"The disk of {path} has accepted no data for {seconds:.0f} s",
        hint="Check the disk, its cable, or the network to it.",
        why="stalled",
    )


def ask_disk[T](act: Callable[[], T], path: Path, clock: Clock) -> T:
    """Return `act()` on the disk of `path`. Raises StorageError after DISK_ANSWER_S, RuntimeError without a thread."""
    asking = DeadlineTask(act, "storage-check", clock=clock)
    return asking.get(DISK_ANSWER_S, disk_stalled(path, DISK_ANSWER_S), lambda: asking.moved_bytes)
