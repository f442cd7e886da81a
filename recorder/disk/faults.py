"""Faults of a disk that is recorded to: each kind has its event, its sentence, its advice."""

import errno
from collections.abc import Callable
from pathlib import Path

from config.errors import StorageError
from devices.host.clock import Clock
from devices.host.deadline import DeadlineTask
from recorder.disk.errors import storage_error
from recorder.disk.mounts import is_gone

OPEN_S = 10.0
"""How long a disk may take to answer, or until a file on it is open."""

_MAY_BE_GONE = frozenset({errno.EIO, errno.EROFS, errno.ENOENT, errno.EBADF})
"""What a disk that was pulled out also answers."""


def told_apart(error: Exception, path: Path, device: int, source: str | None) -> StorageError:
    """Return the error that people are told when writing `path` ended with `error`, on a disk: see mounts.is_gone."""
    if getattr(error, "errno", None) in _MAY_BE_GONE and is_gone(device, source):
        return vanished(path)
    return storage_error(error, path)


def became_read_only(path: Path) -> StorageError:
    """Return the error for a disk that can be read but takes nothing any more."""
    return StorageError(
        f"The disk with {path} has become read-only",
        hint="Its file system found an error, or somebody mounted it so: check the disk before it is used again.",
        why="read-only",
    )


def vanished(path: Path) -> StorageError:
    """Return the error for a disk that has gone away with `path` on it."""
    return StorageError(
        f"The disk with {path} is gone: it was pulled out, or is mounted there no more",
        hint="Plug it in again; what was recorded on it up to then is kept there.",
        why="vanished",
    )


def stalled(path: Path, seconds: float) -> StorageError:
    """Return the error for a disk that has taken nothing for `seconds`."""
    return StorageError(
        f"The disk of {path} has taken nothing for {seconds:.0f} s",
        hint="Check the disk, its cable, or the network to it.",
        why="stalled",
    )


def asked[T](act: Callable[[], T], path: Path, clock: Clock) -> T:
    """Return the result of `act` on the disk of `path`; StorageError after OPEN_S, RuntimeError without threads."""
    asking = DeadlineTask(act, "storage-check", clock=clock)
    return asking.get(OPEN_S, stalled(path, OPEN_S), lambda: asking.moved_bytes)
