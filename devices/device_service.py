"""The device service: monitor, kernel messages, samples of the PC, and cameras' presets.

Each process may have one. One of them at a time keeps the log and sets the cameras. When it stops or dies, another
takes over within RETRY_S seconds, or at the next event. A failure is a line of the health log.
"""

import contextlib
import fcntl
import math
import os
import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from config.errors import as_liput_error
from config.settings.schema import Settings
from devices.controls.presets import PresetRestorer, restore_preset
from devices.health.computer import ComputerSampler
from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.background import BackgroundTask
from devices.host.clock import Clock
from devices.kernel.message_log import KernelLogFollower, KernelMessageWriter
from devices.model.device import Device
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.monitor import DeviceMonitor, OnChange
from devices.monitor.snapshot import list_devices
from devices.roles.assignment import roles_store, update_bindings
from devices.usb.slow_ports import SlowPortTracker

LOCK = "watch.lock"
RETRY_S = 2.0
RELEASE_WAIT_S = 1.0  # the longest wait, in `release`, for the thread that is taking the lock
_STOPS_S = 2.0  # the kernel blocks readers of a port while it is busy with a sick device there

type OpenMonitor = Callable[[OnChange, Clock, HealthLogger], DeviceMonitor]


class DeviceServiceLock:
    """A lock on the file `path`, held by the process that keeps the log; the kernel frees it when that dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fd = -1

    @property
    def is_held(self) -> bool:
        """Whether this process holds it."""
        return self._fd >= 0

    def acquire(self) -> bool:
        """Take the lock if it is free, without waiting; return whether this process holds it. Raises OSError."""
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
        with contextlib.suppress(OSError):  # for people; a full disk must not matter
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return True

    def release(self) -> None:
        """Release the lock if this process holds it. If `acquire` hangs, the kernel frees the lock with the process."""
        if self._lock.acquire(timeout=RELEASE_WAIT_S):
            try:
                if self._fd >= 0:
                    os.close(self._fd)
                    self._fd = -1
            finally:
                self._lock.release()


class DeviceService(contextlib.AbstractContextManager["DeviceService"]):
    """Watches the devices from `start` to `stop`; without a usable folder, each process keeps the log.

    A context manager that stops it, and logs a failure to do so.
    """

    def __init__(
        self,
        log: HealthLog,
        settings: Settings,
        clock: Clock,
        *,
        archive: Path | None = None,
        on_change: OnChange | None = None,
        monitor: OpenMonitor = DeviceMonitor,
    ) -> None:
        """Log a low disk of `archive`, too (None: that of the settings).

        `on_change` runs on the monitor's thread and must not block.
        """
        self._record = log
        self._on_change = on_change
        self._lock = DeviceServiceLock(log.folder / LOCK)
        self._is_alone = False
        self._alone_lock = threading.Lock()
        self._has_begun = False
        self._task = BackgroundTask(
            "device-service", self._run_once, pause=lambda _: math.inf if self._has_begun else RETRY_S, clock=clock
        )
        self._monitor = monitor(self._changed, clock, self._record_if_keeper)
        self._kernel = KernelMessageWriter(log, clock)
        self._slow_ports = SlowPortTracker(log, clock)
        power_line = settings.devices.power_line_frequency
        self._presets = PresetRestorer(lambda device: restore_preset(device, power_line=power_line, record=log))
        folders = {log.folder: 0, archive or settings.archive.path: settings.archive.reserve}
        self._keeper_parts = (KernelLogFollower(self._kernel, log), ComputerSampler(folders, record=log, clock=clock))

    @property
    def keeps_the_log(self) -> bool:
        """Whether this service writes the log and sets the cameras."""
        return self._lock.is_held or self._is_alone

    @property
    def is_watching(self) -> bool:
        """Whether plugs and unplugs are noticed."""
        return self._monitor.is_watching

    def devices(self) -> tuple[Device, ...]:
        """Return the plugged-in devices; empty before `start` and if watching is impossible."""
        return self._monitor.devices()

    def refresh(self) -> None:
        """Look again soon: the caller has taken or released a device."""
        self._try("the devices could not be looked at", self._monitor.refresh)

    def start(self) -> None:
        """Start to watch; returns after the first look."""
        self._try("the devices of this PC are not watched", self._monitor.start)
        self._task.start()

    def stop(self) -> None:
        """Stop; another process may take over."""
        if self._task.stopped.is_set():
            return
        self._task.stop(_STOPS_S)
        self._try("the watch of the devices could not be ended", self._monitor.stop)
        self._presets.stop()
        if self.keeps_the_log:
            for part in reversed(self._keeper_parts):
                self._try("a part of the watch could not be ended", part.stop)
            self._record(PC, LogKind.WATCH_STOPPED, "the devices are not watched any more", pid=os.getpid())
        self._lock.release()

    def __exit__(self, *exc: object) -> None:
        try:
            self.stop()
        except Exception as error:  # a sealed recording must not fail for this
            reason = f"the watch could not be ended: {as_liput_error(error).message}; please report this"
            self._record(PC, LogKind.WATCH_FAILED, reason, level=LogLevel.WARN)

    def _run_once(self) -> bool:
        """Take the lock if it is free, then handle changes of devices; return True to end the task."""
        if not self._has_begun:
            if not self._take_lock():
                return False
            if self._task.stopped.is_set():  # the folder hung meanwhile, and `stop` did not wait
                self._lock.release()
                return True
            self._has_begun = True
            self._begin()
        self._try(
            "changes of devices with a role could not be stored", lambda: update_bindings(roles_store(), self.devices())
        )
        # Here and not on the monitor's thread, because the kernel may block.
        self._try("the USB ports could not be looked at", lambda: self._slow_ports.observe(self.devices()))
        return False

    def _begin(self) -> None:
        devices = self.devices()
        ids = [device.id for device in devices]
        self._record(PC, LogKind.WATCH_STARTED, "the devices are watched", pid=os.getpid(), devices=ids)
        self._kernel.observe(devices)
        for part in self._keeper_parts:
            self._try("a part of the watch could not be started", part.start)
        for device in devices:
            self._presets.apply_soon(device)

    def _take_lock(self) -> bool:
        if self._task.stopped.is_set() or self._is_alone:
            return self.keeps_the_log
        try:
            return self._lock.acquire()
        except OSError as error:
            with self._alone_lock:
                is_news, self._is_alone = not self._is_alone, True
            if is_news:
                self._record_alone(error)
            return True

    def _record_alone(self, error: OSError) -> None:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        reason = f"cannot announce this device monitor to other processes: {what}"
        detail = {}
        if isinstance(error, PermissionError):
            detail["advice"] = f'If it is root\'s: sudo chown -R "$USER" {shlex.quote(str(self._record.folder.parent))}'
        self._record(PC, LogKind.WATCH_STOPPED, reason, level=LogLevel.WARN, **detail)

    def _record_if_keeper(self, device: str, kind: LogKind, reason: str = "", **more: Any) -> None:
        """Write the monitor's lines, in one of all watching processes; a HealthLogger."""
        was_ours = self.keeps_the_log
        if self._take_lock():
            self._record(device, kind, reason, **more)
            if not was_ours:  # the former holder has ended, so this line would be missing
                self._task.wake()

    def _changed(self, change: DeviceChange) -> None:
        self._kernel.observe(change.devices)
        if self.keeps_the_log:
            if _needs_preset(change):
                self._presets.apply_soon(change.device)
            self._task.wake()
        if self._on_change:
            on_change = self._on_change
            self._try("a listener for device changes failed", lambda: on_change(change))

    def _try(self, failure: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # the caller has other work, which must go on
            with contextlib.suppress(Exception):
                reason = f"{failure}: {error or type(error).__name__}"
                self._record(PC, LogKind.WATCH_STOPPED, reason, level=LogLevel.WARN)


def _needs_preset(change: DeviceChange) -> bool:
    """Return whether a device has lost its controls, has another id, or answers at last."""
    before, device = change.before, change.device
    if change.kind is ChangeKind.CHANGED and before is not None:
        return (before.node, before.id) != (device.node, device.id) or bool(device.modes and not before.modes)
    return change.kind is not ChangeKind.UNPLUGGED


def connected_devices(service: DeviceService | None) -> Sequence[Device]:
    """Return the connected devices: of the service's last scan, else of a new one."""
    return (service.devices() if service and service.is_watching else ()) or list_devices()
