"""What the file system says when it refuses, as errors of ours: sentences that tell people what to do."""

import errno
import os
from pathlib import Path

from config.errors import StorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNWRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST})
_GONE = frozenset(
    {errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ESHUTDOWN}
)


def storage_error(error: Exception, path: Path) -> StorageError:
    """Translate what was said when `path` was written: an OSError, or FFmpeg's error with the same number."""
    number = getattr(error, "errno", None)
    if number in _FULL:
        return StorageError(
            f"No space is left for {path}: the disk is full", hint="Free space, or name another disk.", why="full"
        )
    if number == errno.EFBIG:
        return StorageError(
            f"{path} cannot grow: the disk takes no larger file",
            hint="FAT32 ends at 4 GB: record to a disk with ext4 or exFAT.",
            why="full",
        )
    if number == errno.EROFS:
        return StorageError(
            f"Cannot write {path}: its file system is read-only",
            hint="Check the disk, and how it is mounted, before it is used again.",
            why="read-only",
        )
    if number in _UNWRITABLE:
        return StorageError(
            f"Cannot write {path}: {os.strerror(number)}",
            hint="Check that the disk is there and writable.",
            why="unwritable",
        )
    if number in _GONE:
        return StorageError(
            f"The disk of {path} is gone: {os.strerror(number)}",
            hint="Plug it in again, or look after the server it is on; what was recorded up to then is kept there.",
            why="vanished",
        )
    reason = os.strerror(number) if number else error
    return StorageError(f"Writing {path} failed: {reason}", hint="Check the disk; what was written is kept.")
