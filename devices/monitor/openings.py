"""Who opens and closes a node, told by the kernel: inotify, which costs nothing while nobody does."""

import contextlib
import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterable
from typing import Protocol

_IN_OPEN, _IN_CLOSE_WRITE, _IN_CLOSE_NOWRITE = 0x20, 0x08, 0x10
_MASK = _IN_OPEN | _IN_CLOSE_WRITE | _IN_CLOSE_NOWRITE
_EVENT = struct.Struct("iIII")
_MOST_BYTES = 65536


class Openings(Protocol):
    """Where one hears of nodes that are opened or closed. Only `wake` and `follow` may be called by other threads."""

    def follow(self, nodes: Iterable[str]) -> None:
        """Tell of these nodes from now on, and of no others; again for a node that is there anew."""
        ...

    def wait(self, timeout_s: float | None) -> set[str]:
        """Return the nodes that were opened or closed, by whomever, waiting up to `timeout_s` (None: without end)."""
        ...

    def wake(self) -> None:
        """Let `wait` return now, or the next time it is called."""
        ...

    def close(self) -> None:
        """Let go of it; `wake` and `follow` do nothing any more."""
        ...


class Inotify:
    """Openings from the kernel; it tells of none where that has no inotify left for this user."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = threading.Lock()
        self._is_closed = False
        self._nodes: dict[int, str] = {}
        self._poll = select.poll()
        for fd in (self._fd, self._woken):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)

    def follow(self, nodes: Iterable[str]) -> None:
        """Tell of these nodes; one that this user may not read is left out, he could not use it either."""
        with self._closing:
            if self._is_closed or self._fd < 0:
                return
            # The kernel follows the file, not its name; of one that it follows already it says the same number again.
            numbers = {self._libc.inotify_add_watch(self._fd, os.fsencode(node), _MASK): node for node in nodes}
            numbers.pop(-1, None)
            for gone in self._nodes.keys() - numbers.keys():
                self._libc.inotify_rm_watch(self._fd, gone)  # fails for a file that is gone itself, which is as well
            self._nodes = numbers

    def wait(self, timeout_s: float | None) -> set[str]:
        """Return the nodes that were opened or closed."""
        ready = dict(self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._woken)
        return self._read() if self._fd in ready else set()

    def _read(self) -> set[str]:
        data, nodes = os.read(self._fd, _MOST_BYTES), self._nodes
        found: set[str] = set()
        at = 0
        while at < len(data):
            number, mask, _, name_bytes = _EVENT.unpack_from(data, at)
            at += _EVENT.size + name_bytes
            if number == -1:  # more came than the kernel keeps: it may have been any
                found |= set(nodes.values())
            elif mask & _MASK and number in nodes:
                found.add(nodes[number])
        return found

    def wake(self) -> None:
        """Let `wait` return."""
        with self._closing:
            if not self._is_closed:
                os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        """Close what was opened."""
        with self._closing:
            fds = () if self._is_closed else (self._fd, self._woken)
            self._is_closed = True
            for fd in fds:
                if fd >= 0:
                    os.close(fd)
