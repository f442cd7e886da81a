"""The attendant: watches everything that is plugged in for as long as it lives, writes down what happens, and acts.

It ties together the monitor of what is plugged in, the kernel's messages, the PC's own samples, and the presets that
cameras are given whenever they are there anew. Several processes of a PC may each have one (a recorder, a table on a
terminal); all of them know what is plugged in, but one at a time keeps the log and sets the cameras. When that one
ends or dies, another takes over, at the latest after RETRY_S seconds and at once when something happens. Where they
cannot agree, because the folder of the log is not to be had, each does it: cameras need setting all the same.

Whoever starts it has other work to do, so nothing of it raises and nothing of it makes anybody wait: what goes wrong
is a line of the health log.
"""

import contextlib
import os
import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

from devices.clock import Clock
from devices.computer import ComputerWatch, Folder
from devices.controls.keeper import PresetKeeper
from devices.controls.presets import apply_to
from devices.health.line import PC, Kind, Level, Record
from devices.health.log import log_folder
from devices.kernel.log import KernelLog
from devices.kernel.record import KernelRecorder
from devices.model import Device
from devices.monitor.changes import ChangeKind, DeviceChange
from devices.monitor.monitor import DeviceMonitor
from devices.roles.roles import know_better, roles_store
from devices.usb.slow_ports import SlowPorts
from devices.watch_lock import WatchLock

LOCK = "watch.lock"
RETRY_S = 2.0
_STOPS_S = 2.0  # the kernel makes who looks at a port wait while it is busy with a sick device there

type OnChange = Callable[[DeviceChange], None]


class Monitor(Protocol):
    """What an attendant needs of devices.monitor.monitor.DeviceMonitor."""

    def start(self) -> object:
        """Begin to watch."""
        ...

    def stop(self) -> object:
        """End."""
        ...

    def devices(self) -> Sequence[Device]:
        """Return what is plugged in."""
        ...

    def refresh(self) -> object:
        """Look again soon."""
        ...

    @property
    def is_watching(self) -> bool:
        """Whether it has begun, and neither ended nor broken."""
        ...


class Duty(Protocol):
    """What runs only in the process that keeps the log."""

    def start(self) -> object:
        """Begin."""
        ...

    def stop(self) -> object:
        """End."""
        ...


type OpenMonitor = Callable[[OnChange, Clock, Record], Monitor]


def _monitor(on_change: OnChange, clock: Clock, record: Record) -> Monitor:
    return DeviceMonitor(on_change=on_change, clock=clock, record=record)


def _monitor_of_use(on_change: OnChange, clock: Clock, record: Record) -> Monitor:
    return DeviceMonitor(on_change=on_change, clock=clock, record=record, follows_use=True)


class Attendant:
    """Watches from `start` to `stop`; a context manager.

    `record` takes the lines of the health log, which is in `folder` (None: this PC's): that is where attendants agree
    who writes. `power_line` is the settings' word for it, `folders` are those whose disks must not fill up.
    `on_change` is called for every change of what is plugged in, on the monitor's thread; it must not take long. With
    `follows_use` it is also called within seconds when a device is taken by another program, or let go of.
    """

    def __init__(
        self,
        *,
        record: Record,
        clock: Clock,
        power_line: str = "50 Hz",
        folders: Sequence[Folder] = (),
        folder: Path | None = None,
        on_change: OnChange | None = None,
        follows_use: bool = False,
        monitor: OpenMonitor | None = None,
    ) -> None:
        self._record = record
        self._clock = clock
        self._on_change = on_change
        self._folder = folder or log_folder()
        self._lock = WatchLock(self._folder / LOCK)
        self._is_alone = False
        self._finding_out = threading.Lock()
        self._wake = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)
        opens = monitor or (_monitor_of_use if follows_use else _monitor)
        self._monitor = opens(self._changed, clock, self._record_if_ours)
        self._kernel = KernelRecorder(record, clock)
        self._slow_ports = SlowPorts(record, clock)
        self._presets = PresetKeeper(lambda device: apply_to(device, power_line=power_line, record=record))
        self._duties: tuple[Duty, ...] = (
            KernelLog(self._kernel, record),
            ComputerWatch(folders, record=record, clock=clock),
        )

    @property
    def keeps_the_log(self) -> bool:
        """Whether this attendant is one that writes and acts."""
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
        self._thread.start()

    def stop(self) -> None:
        """End; others may take over from now on."""
        if self._is_over:
            return
        self._is_over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOPS_S)
        self._try("the watch of the devices could not be ended", self._monitor.stop)
        self._presets.stop()
        if self.keeps_the_log:
            for duty in reversed(self._duties):
                self._try("a part of the watch could not be ended", duty.stop)
            self._record(PC, Kind.WATCH_STOPPED, "the devices are not watched any more", pid=os.getpid())
        self._lock.let_go()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._take():
            if self._is_over:
                return
            self._clock.wait(self._wake, RETRY_S)
        if self._is_over:  # its folder hung meanwhile, and nobody waits for it any more
            self._lock.let_go()
            return
        self._begin()
        while not self._is_over:
            self._try(
                "what is new of devices with a role could not be kept",
                lambda: know_better(roles_store(), self.devices()),
            )
            self._look_at_ports()
            self._wake.wait()
            self._wake.clear()

    def _begin(self) -> None:
        """Do what only the process that keeps the log does."""
        devices = self.devices()
        ids = [device.id for device in devices]
        self._record(PC, Kind.WATCH_STARTED, "the devices are watched", pid=os.getpid(), devices=ids)
        self._kernel.observe(devices)
        for duty in self._duties:
            self._try("a part of the watch could not be started", duty.start)
        for device in devices:
            self._presets.enumerated(device)

    def _look_at_ports(self) -> None:
        """Look at the ports of what is plugged in; not on the monitor's thread, since the kernel may take its time."""
        self._try("the USB ports could not be looked at", lambda: self._slow_ports.observe(self.devices()))

    def _take(self) -> bool:
        """Return whether the log is ours to keep, taking it where nobody else has it."""
        if self._is_over or self._is_alone:
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
                self._wake.set()

    def _changed(self, change: DeviceChange) -> None:
        self._kernel.observe(change.devices)
        if self.keeps_the_log:
            if _is_there_anew(change):
                self._presets.enumerated(change.device)
            self._wake.set()
        if self._on_change:
            on_change = self._on_change
            self._try("somebody who was told of a change failed", lambda: on_change(change))

    def _try(self, failure: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whoever has an attendant has other work, which must not suffer
            with contextlib.suppress(Exception):
                reason = f"{failure}: {error or type(error).__name__}"
                self._record(PC, Kind.WATCH_STOPPED, reason, level=Level.WARN)


def _is_there_anew(change: DeviceChange) -> bool:
    """Return whether a device has forgotten what was set on it, is to have another preset, or answers at last."""
    before, device = change.before, change.device
    if change.kind is ChangeKind.CHANGED and before is not None:
        return (before.node, before.id) != (device.node, device.id) or bool(device.modes and not before.modes)
    return change.kind is not ChangeKind.UNPLUGGED
