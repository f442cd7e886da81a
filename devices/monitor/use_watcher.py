"""Notices when another program takes or releases a device.

inotify reports each opening and closing of a node. Nothing reports the start of a stream in a program that keeps the
node open. Desktops do so with every camera. So video nodes that others have open are polled (devices/monitor/modes.py).
Loopbacks are not: the question would change them.
"""

import contextlib
import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable, Iterable

from devices.host.background import BackgroundTask
from devices.kernel.udev import UdevDevices
from devices.monitor.holders import HoldersByNode, have_open
from devices.monitor.modes import free_nodes

ASK_S = 3.0  # the interval of polling nodes that others have open
SETTLES_S = 0.3  # the time a program needs from opening a node to starting its stream
_PAUSE_S = 1.5  # a look at every process costs 50 ms of CPU, so frequent openings must not cause one each
_STOPS_S = 1.0
_IN_OPEN, _IN_CLOSE_WRITE, _IN_CLOSE_NOWRITE = 0x20, 0x08, 0x10
_MASK = _IN_OPEN | _IN_CLOSE_WRITE | _IN_CLOSE_NOWRITE
_EVENT = struct.Struct("iIII")
_MOST_BYTES = 65536


class NodeWatcher:
    """Reports openings and closings of nodes; nothing if this user has no inotify left.

    `wake`, `follow`: thread-safe.
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
        """Follow these nodes only, except unreadable ones; call it again for a new node of the same name."""
        with self._closing:
            if self._is_closed or self._fd < 0:
                return
            # The kernel follows the file, not its name, and returns the same number for a file that it follows already.
            numbers = {self._libc.inotify_add_watch(self._fd, os.fsencode(node), _MASK): node for node in nodes}
            numbers.pop(-1, None)
            for gone in self._nodes.keys() - numbers.keys():
                self._libc.inotify_rm_watch(self._fd, gone)  # fails for a file that is gone, which is fine
            self._nodes = numbers

    def wait(self, timeout_s: float | None) -> set[str]:
        """Return the nodes opened or closed by anybody, waiting up to `timeout_s` (None: forever)."""
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
            if number == -1:  # the kernel's queue overflowed: any node may be meant
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
        """Close the descriptors; `wake` and `follow` do nothing from now on."""
        with self._closing:
            fds = () if self._is_closed else (self._fd, self._woken)
            self._is_closed = True
            for fd in fds:
                if fd >= 0:
                    os.close(fd)


class DeviceUseWatcher:
    """Calls `on_change` on its own thread when the use of a device may differ from the last look."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._inotify = NodeWatcher()
        self._shared_and_streaming: tuple[HoldersByNode, frozenset[str]] = {}, frozenset()
        self._task = BackgroundTask(
            "device-use",
            self._await_change,
            pause=lambda failures: _PAUSE_S if failures else 0.0,
            over=self._inotify.close,
        )

    def update(self, found: UdevDevices, held: HoldersByNode, used: HoldersByNode) -> None:
        """Take the result of a look: `held` are the nodes that others have open, `used` those with a stream."""
        pictures = {picture.node for picture in found.pictures if not picture.is_loopback}
        shared = {node: held[node] for node in pictures & held.keys()}
        was_nothing = not self._shared_and_streaming[0]
        self._shared_and_streaming = shared, frozenset(shared.keys() & used.keys())
        # Polled nodes are not followed: inotify would report our own openings.
        self._inotify.follow(pictures - shared.keys() | {sound.node for sound in found.sounds})
        if shared and was_nothing:
            self._inotify.wake()

    def start(self) -> None:
        self._task.start()

    def stop(self) -> bool:
        """Stop; return whether the thread has ended. A question that hangs is abandoned."""
        self._task.stop()
        self._inotify.wake()
        if has_ended := self._task.join(_STOPS_S):
            self._inotify.close()
        return has_ended

    def _await_change(self) -> None:
        stopped = self._task.stopped
        touched = self._inotify.wait(ASK_S if self._shared_and_streaming[0] else None)
        if touched:
            stopped.wait(SETTLES_S)
            self._inotify.wait(0)
        if not stopped.is_set() and (touched or self._has_changed()):
            self._on_change()
            stopped.wait(_PAUSE_S)

    def _has_changed(self) -> bool:
        shared, streaming = self._shared_and_streaming
        if not shared:
            return False
        return shared.keys() - free_nodes(shared) != streaming or not all(
            have_open(who, node) for node, who in shared.items()
        )
