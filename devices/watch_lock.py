"""Which process on this PC watches its devices for the health log: one at a time, whatever becomes of it."""

import contextlib
import fcntl
import os
import threading
from pathlib import Path

LET_GO_S = 1.0
"""How long who ends waits for somebody who is just taking it."""


class WatchLock:
    """The right to watch, kept by a lock on the file `path`; the kernel frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fd = -1

    @property
    def is_held(self) -> bool:
        """Whether this process has it."""
        return self._fd >= 0

    def take(self) -> bool:
        """Take it if nobody has it, without waiting; return whether it is ours now. Raises OSError."""
        with self._lock:
            if self._fd >= 0:
                return True
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if isinstance(error, BlockingIOError):
                    return False
                raise
            self._fd = fd
        with contextlib.suppress(OSError):  # for people who look; a full disk must not matter
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return True

    def let_go(self) -> None:
        """Leave it to others; nothing happens where it is not ours.

        A folder that does not answer may have somebody hang in `take`: then the kernel frees it with this process.
        """
        if self._lock.acquire(timeout=LET_GO_S):
            try:
                if self._fd >= 0:
                    os.close(self._fd)
                    self._fd = -1
            finally:
                self._lock.release()
