"""Notices that another program takes a device or lets go of it, which is no hotplug.

inotify tells of each opening and closing of a node. Nothing tells that a stream begins or ends in a program that keeps
the node open, as desktops do with every camera; so nodes of pictures that others have open, and no others, are asked
again and again (devices/monitor/modes.py). A loopback is left out: the question would change it.
"""

import contextlib
import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from devices.host import threads
from devices.kernel.udev import Plugged
from devices.monitor.holders import Holder, have_open
from devices.monitor.modes import idle

ASK_S = 3.0
"""How often it is asked who streams from a node that others have open."""
SETTLES_S = 0.3
"""A program that has opened a node needs a moment to ask for its stream."""
_BETWEEN_S = 1.5
"""A look at every process costs 50 ms of CPU; somebody who opens a node all the time must not make it go on and on."""
_STOPS_S = 1.0
_IN_OPEN, _IN_CLOSE_WRITE, _IN_CLOSE_NOWRITE = 0x20, 0x08, 0x10
_MASK = _IN_OPEN | _IN_CLOSE_WRITE | _IN_CLOSE_NOWRITE
_EVENT = struct.Struct("iIII")
_MOST_BYTES = 65536


class Inotify:
    """Tells who opens and closes a node, which costs nothing while nobody does.

    It tells of none where the kernel has no inotify left for this user. Only `wake` and `follow` are thread-safe.
    """

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
        """Tell of these nodes from now on, and of no others; again for a node that is there anew.

        One that this user may not read is left out, he could not use it either.
        """
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
        """Return the nodes that were opened or closed, by whomever, waiting up to `timeout_s` (None: without end)."""
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
        """Let `wait` return now, or the next time it is called."""
        with self._closing:
            if not self._is_closed:
                os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        """Let go of it; `wake` and `follow` do nothing any more."""
        with self._closing:
            fds = () if self._is_closed else (self._fd, self._woken)
            self._is_closed = True
            for fd in fds:
                if fd >= 0:
                    os.close(fd)


type Held = Mapping[str, Sequence[Holder]]


class UseWatch:
    """Calls `on_change`, on a thread of its own, when a device may be in use otherwise than `saw` was told last.

    `free` tells of nodes which of them nobody streams from.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        *,
        openings: Callable[[], Inotify] = Inotify,
        free: Callable[[Iterable[str]], set[str]] = idle,
    ) -> None:
        self._on_change = on_change
        self._openings = openings()
        self._free = free
        self._seen: tuple[Held, frozenset[str]] = {}, frozenset()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def saw(self, found: Plugged, held: Held, used: Held) -> None:
        """Take what a look has found: `held`, the nodes that others have open, of which `used` have a stream."""
        pictures = {picture.node for picture in found.pictures if not picture.is_loopback}
        shared = {node: held[node] for node in pictures & held.keys()}
        was_nothing = not self._seen[0]
        self._seen = shared, frozenset(shared.keys() & used.keys())
        # Those that are asked need no following, which would hear our own questions.
        self._openings.follow(pictures - shared.keys() | {sound.node for sound in found.sounds})
        if shared and was_nothing:
            self._openings.wake()

    def start(self) -> None:
        """Begin to notice."""
        self._thread = threads.start(self._run, name="device-use")

    def stop(self) -> bool:
        """Notice nothing more, and return whether that has ended; a question that hangs is left to itself."""
        self._stopping.set()
        self._openings.wake()
        if self._thread is None:
            self._openings.close()
            return True
        self._thread.join(_STOPS_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            touched = self._openings.wait(ASK_S if self._seen[0] else None)
            if self._stopping.is_set():
                break
            if touched:
                self._stopping.wait(SETTLES_S)
                self._openings.wait(0)
            if touched or self._is_other():
                self._on_change()
                self._stopping.wait(_BETWEEN_S)
        self._openings.close()

    def _is_other(self) -> bool:
        """Return whether the nodes that others have open are streamed from, or open, otherwise than they were."""
        shared, streaming = self._seen
        if not shared:
            return False
        return shared.keys() - self._free(shared) != streaming or not all(
            have_open(who, node) for node, who in shared.items()
        )
