"""What comes and goes, told by the kernel: netlink messages of devices, udev's where it runs, else the kernel's own."""

import contextlib
import errno
import os
import select
import threading

import pyudev

from devices.udev import has_udev

SUBSYSTEMS = ("video4linux", "sound", "usb")
_MOST_AT_ONCE = 1000


type Hotplug = tuple[str, str | None]
"""One message: its action ("add", "remove", "change", "bind"), and the port if it is about a whole USB plug."""

UNPLUGGING = frozenset({"remove", "unbind"})
"""Actions that say that something has gone."""
LOST: Hotplug = ("lost", None)
"""Stands for messages that came faster than they were taken: anything may have happened."""


class NetlinkEvents:
    """What comes and goes from now on. Only `wake` may be called from another thread."""

    def __init__(self, monitor: pyudev.Monitor | None = None) -> None:
        """Listen. Raises OSError where there is no netlink."""
        self._monitor = _listen() if monitor is None else monitor
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = threading.Lock()
        self._poll = select.poll()
        for fd in (self._monitor.fileno(), self._woken):
            self._poll.register(fd, select.POLLIN)

    def wait(self, timeout_s: float | None) -> list[Hotplug]:
        """Return what came, waiting up to `timeout_s` seconds (None: without end); nothing if it timed out or woke."""
        ready = dict(self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._woken)
        return self._received() if ready.keys() - {self._woken} else []

    def _received(self) -> list[Hotplug]:
        found: list[Hotplug] = []
        for _ in range(_MOST_AT_ONCE):
            try:
                device = self._monitor.poll(0)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found.append(LOST)
                continue
            if device is None:
                break
            is_plug = device.subsystem == "usb" and device.device_type == "usb_device"
            found.append((device.action or "", device.sys_name if is_plug else None))
        return found

    def wake(self) -> None:
        """Let `wait` return now, or the next time it is called."""
        with self._closing:
            if self._woken >= 0:
                os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        """Close what was opened; the netlink socket goes with its last reference. Idempotent."""
        with self._closing:
            if self._woken < 0:
                return
            os.close(self._woken)
            self._woken = -1
            del self._monitor


def _listen() -> pyudev.Monitor:
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="udev" if has_udev() else "kernel")
    for subsystem in SUBSYSTEMS:
        monitor.filter_by(subsystem)
    monitor.start()
    return monitor
