"""The device service: the monitor, the kernel's messages, the PC's samples, and the presets of cameras.

Each process may have one; one at a time keeps the log and sets the cameras. When that one ends or dies, another takes
over: after RETRY_S seconds, or at once when something happens. A failure is a line of the health log.
"""

import contextlib
import fcntl
import math
import os
import shlex
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from config.settings.schema import Settings
from devices.controls.presets import PresetKeeper, apply_to
from devices.health.computer import ComputerWatch, Reserves
from devices.health.line import PC, Kind, Level, Record
from devices.health.log import HealthLog, log_folder
from devices.host.background import BackgroundTask
from devices.host.clock import Clock
from devices.kernel.log import KernelLog, KernelRecorder
from devices.model.device import Device
from devices.monitor.changes import ChangeKind, DeviceChange
from devices.monitor.monitor import DeviceMonitor
from devices.roles.roles import know_better, roles_store
from devices.usb.ports import SlowPorts

LOCK = "watch.lock"
RETRY_S = 2.0
LET_GO_S = 1.0
"""How long the end of a service waits for its own thread that is taking the lock."""
_STOPS_S = 2.0  # the kernel makes who looks at a port wait while it is busy with a sick device there

type OnChange = Callable[[DeviceChange], None]


class WatchLock:
    """The right to keep the log, by a lock on the file `path`; the kernel frees it when its holder dies."""

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


type OpenMonitor = Callable[[OnChange, Clock, Record], DeviceMonitor]


class DeviceService:
    """Watches from `start` to `stop`; a context manager.

    Where the lock's folder cannot be had, each process keeps the log and sets the cameras.
    """

    def __init__(
        self,
        record: Record,
        clock: Clock,
        *,
        folder: Path | None = None,
        folders: Reserves | None = None,
        power_line: str = "50 Hz",
        on_change: OnChange | None = None,
        monitor: OpenMonitor = DeviceMonitor,
    ) -> None:
        """`folder` has the health log and its lock (None: this PC's); the disks of `folders` must not fill up.

        `on_change` is called on the monitor's thread, which it must not hold up.
        """
        self._record = record
        self._clock = clock
        self._on_change = on_change
        self._folder = folder or log_folder()
        self._lock = WatchLock(self._folder / LOCK)
        self._is_alone = False
        self._finding_out = threading.Lock()
        self._has_begun = False
        self._task = BackgroundTask("device-service", self._turn, pause=self._pause_s, clock=clock)
        self._monitor = monitor(self._changed, clock, self._record_if_ours)
        self._kernel = KernelRecorder(record, clock)
        self._slow_ports = SlowPorts(record, clock)
        self._presets = PresetKeeper(lambda device: apply_to(device, power_line=power_line, record=record))
        self._of_the_keeper = (
            KernelLog(self._kernel, record),
            ComputerWatch(folders or {}, record=record, clock=clock),
        )

    @property
    def keeps_the_log(self) -> bool:
        """Whether this service is one that writes and acts."""
        return self._lock.is_held or self._is_alone

    @property
    def is_watching(self) -> bool:
        """Whether what comes and goes is noticed."""
        return self._monitor.is_watching

    def devices(self) -> tuple[Device, ...]:
        """Return what is plugged in now, empty before `start` and where nothing can be watched."""
        return tuple(self._monitor.devices())

    def refresh(self) -> None:
        """Look again soon at what is plugged in: somebody says that he has taken a device, or let go of it."""
        self._try("the devices could not be looked at", self._monitor.refresh)

    def start(self) -> None:
        """Begin to watch; returns once it is known what is plugged in."""
        self._try("the devices of this PC are not watched", self._monitor.start)
        self._task.start()

    def stop(self) -> None:
        """End; others may take over from now on."""
        if self._task.stopped.is_set():
            return
        self._task.stop(_STOPS_S)
        self._try("the watch of the devices could not be ended", self._monitor.stop)
        self._presets.stop()
        if self.keeps_the_log:
            for part in reversed(self._of_the_keeper):
                self._try("a part of the watch could not be ended", part.stop)
            self._record(PC, Kind.WATCH_STOPPED, "the devices are not watched any more", pid=os.getpid())
        self._lock.let_go()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _turn(self) -> bool:
        """Take the log where nobody has it, and then look at what is new; return whether that is over."""
        if not self._has_begun:
            if not self._take():
                return False
            if self._task.stopped.is_set():  # its folder hung meanwhile, and nobody waits for it any more
                self._lock.let_go()
                return True
            self._has_begun = True
            self._begin()
        self._try(
            "what is new of devices with a role could not be kept",
            lambda: know_better(roles_store(), self.devices()),
        )
        self._look_at_ports()
        return False

    def _pause_s(self, _failures: int) -> float:
        return math.inf if self._has_begun else RETRY_S

    def _begin(self) -> None:
        """Do what only the process that keeps the log does."""
        devices = self.devices()
        ids = [device.id for device in devices]
        self._record(PC, Kind.WATCH_STARTED, "the devices are watched", pid=os.getpid(), devices=ids)
        self._kernel.observe(devices)
        for part in self._of_the_keeper:
            self._try("a part of the watch could not be started", part.start)
        for device in devices:
            self._presets.enumerated(device)

    def _look_at_ports(self) -> None:
        """Look at the ports of what is plugged in; not on the monitor's thread, since the kernel may take its time."""
        self._try("the USB ports could not be looked at", lambda: self._slow_ports.observe(self.devices()))

    def _take(self) -> bool:
        """Return whether the log is ours to keep, taking it where nobody else has it."""
        if self._task.stopped.is_set() or self._is_alone:
            return self.keeps_the_log
        try:
            return self._lock.take()
        except OSError as error:
            with self._finding_out:
                is_news, self._is_alone = not self._is_alone, True
            if is_news:
                self._say_alone(error)
            return True

    def _say_alone(self, error: OSError) -> None:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        reason = f"other processes cannot be told that this one watches the devices, which it does: {what}"
        detail = {}
        if isinstance(error, PermissionError):
            detail["advice"] = f'If it is root\'s: sudo chown -R "$USER" {shlex.quote(str(self._folder.parent))}'
        self._record(PC, Kind.WATCH_STOPPED, reason, level=Level.WARN, **detail)

    def _record_if_ours(
        self, device: str, kind: Kind, reason: str = "", *, name: str = "", level: Level = Level.INFO, **detail: object
    ) -> None:
        """Be the Record of the monitor: what it tells is written by one process of all that watch."""
        was_ours = self.keeps_the_log
        if self._take():
            self._record(device, kind, reason, name=name, level=level, **detail)
            if not was_ours:  # whoever had it has ended: this line would have been nobody's
                self._task.wake()

    def _changed(self, change: DeviceChange) -> None:
        self._kernel.observe(change.devices)
        if self.keeps_the_log:
            if _is_there_anew(change):
                self._presets.enumerated(change.device)
            self._task.wake()
        if self._on_change:
            on_change = self._on_change
            self._try("somebody who was told of a change failed", lambda: on_change(change))

    def _try(self, failure: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whoever has a device service has other work, which must not suffer
            with contextlib.suppress(Exception):
                reason = f"{failure}: {error or type(error).__name__}"
                self._record(PC, Kind.WATCH_STOPPED, reason, level=Level.WARN)


def _is_there_anew(change: DeviceChange) -> bool:
    """Return whether a device has forgotten what was set on it, is to have another preset, or answers at last."""
    before, device = change.before, change.device
    if change.kind is ChangeKind.CHANGED and before is not None:
        return (before.node, before.id) != (device.node, device.id) or bool(device.modes and not before.modes)
    return change.kind is not ChangeKind.UNPLUGGED


@contextlib.contextmanager
def device_service(
    log: HealthLog,
    settings: Settings,
    clock: Clock,
    *,
    archive: Path | None = None,
    on_change: OnChange | None = None,
    monitor: OpenMonitor = DeviceMonitor,
) -> Iterator[DeviceService]:
    """Provide a service that writes to `log`, not started, and stop it at the end; a failure of that is logged.

    The disk of `archive` (None: that of the settings) must not fill up.
    """
    archive = archive or settings.archive.path
    service = DeviceService(
        log,
        clock,
        folder=log.folder,
        folders={log.folder: 0, archive: settings.archive.reserve},
        power_line=settings.devices.power_line_frequency,
        on_change=on_change,
        monitor=monitor,
    )
    try:
        yield service
    finally:
        try:
            service.stop()
        except Exception as error:  # of whatever kind: a recording that has been sealed has not failed
            reason = f"the watch could not be ended: {error!r}; please report this"
            log(PC, Kind.WATCH_FAILED, reason, level=Level.WARN)
