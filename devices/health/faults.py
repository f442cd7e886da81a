"""The faults of devices, their states, and the active faults of watched devices. docs/devices.md explains them.

A device's health is its worst active fault. Each start and each end of a fault is one line of the health log.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from config.errors import ErrorCause, LiputError
from devices.health.log_line import HealthLogger, LogKind, LogLevel
from devices.host.clock import NANOSECONDS, Clock
from devices.model.device import Device, Health, HealthState


class Fault(StrEnum):
    """One kind of fault, the worst first."""

    LOST = "lost"
    BUSY = "busy"
    DENIED = "denied"
    BUS_FULL = "bus-full"
    NO_DATA = "no-data"
    NO_SIGNAL = "no-signal"
    FROZEN = "frozen"
    BLACK = "black"
    SILENCE = "silence"
    DEAD_CHANNEL = "dead-channel"
    DAMAGED = "damaged"
    SLOW = "slow"
    JITTER = "jitter"
    CLIPPING = "clipping"
    HUM = "hum"
    FLAPPING = "flapping"
    SWAPPED = "swapped"
    SLOW_PORT = "slow-port"


FAULT_STATES: dict[Fault, HealthState] = dict.fromkeys(Fault, HealthState.DEGRADED) | {
    Fault.LOST: HealthState.LOST,  # the bus has lost it, or its driver has given up
    Fault.BUSY: HealthState.BUSY,
    Fault.NO_DATA: HealthState.SILENT,  # it is on the bus and sends nothing
    Fault.NO_SIGNAL: HealthState.SILENT,  # it sends a slate, or reports an unconnected input
    Fault.FROZEN: HealthState.FROZEN,
    Fault.SILENCE: HealthState.SILENT,
}
"""The state of a device with each fault, the worst first."""

FLAPPING_WINDOW_S = 60  # unplugs within this time count together
PLUG_FAULTS = frozenset({Fault.FLAPPING, Fault.SWAPPED, Fault.SLOW_PORT})  # faults of the plug, in a closed device too
LOSSLESS_FAULTS = PLUG_FAULTS | {Fault.JITTER, Fault.CLIPPING, Fault.HUM}
"""Faults that cost the recording nothing. Each other one leaves it with less than it should hold."""

OPEN_ERROR_FAULTS: Mapping[ErrorCause, Fault] = {
    "lost": Fault.LOST,
    "no-device": Fault.LOST,
    "busy": Fault.BUSY,
    "denied": Fault.DENIED,
    "bus-full": Fault.BUS_FULL,
}
"""The fault for each `why` of an error on opening. Other errors are no fault of the device."""

_RANKS: dict[str, int] = {str(fault): rank for rank, fault in enumerate(Fault)}


def fault_of_error(error: LiputError) -> Fault | None:
    """Return the fault for `error`, an error on opening a device; None if it is no fault of the device."""
    return OPEN_ERROR_FAULTS.get(error.why)


def fault_rank(fault: str | None) -> int:
    """Return a sort key of faults, the worst first. Unknown names, as of a newer Liput, come last."""
    return _RANKS.get(fault or "", len(_RANKS))


def with_health(device: Device, fault: Fault, reason: str, since: datetime | None) -> Device:
    """Return `device` with `fault`, unless its fault is worse."""
    return with_worse_health(device, Health(FAULT_STATES[fault], reason, since, fault))


def with_worse_health(device: Device, found: Health) -> Device:
    """Return `device` with the health `found`, unless its fault is worse."""
    if device.health.fault is not None and fault_rank(device.health.fault) <= fault_rank(found.fault):
        return device
    return msgspec.structs.replace(device, health=found)


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A fault began (`begun`) or ended; `health` is the device's new health."""

    device: str
    name: str
    fault: Fault
    begun: bool
    reason: str
    health: Health


type OnChange = Callable[[HealthChange], None]


class HealthTracker:
    """The active faults of one device.

    Thread-safe. Calls `on_change` after writing the line, on the reporting thread.
    """

    def __init__(
        self, device_id: str, name: str, *, record: HealthLogger, clock: Clock, on_change: OnChange | None = None
    ) -> None:
        self.device_id = device_id
        self.name = name
        self.record = record
        self.clock = clock
        self.on_change = on_change
        self._lock = threading.Lock()
        self._active: dict[Fault, tuple[Health, int]] = {}  # each fault's health, and its start on the session clock

    @property
    def health(self) -> Health:
        """The worst active fault, or ok."""
        with self._lock:
            return self._health()

    def has(self, fault: Fault) -> bool:
        with self._lock:
            return fault in self._active

    def log(self, kind: LogKind, reason: str = "", *, level: LogLevel = LogLevel.INFO, **detail: object) -> None:
        """Write a line about the device."""
        self.record(self.device_id, kind, reason, name=self.name, level=level, **detail)

    def find(self, fault: Fault, reason: str, *, began_ns: int | None = None, **detail: object) -> None:
        """Report `fault`, active since `began_ns` on the session clock. Ignored if it is already active."""
        now_ns = self.clock.now_ns()
        began_ns = now_ns if began_ns is None else min(began_ns, now_ns)
        after_s = (now_ns - began_ns) / NANOSECONDS
        with self._lock:
            if fault in self._active:
                return
            since = self.clock.now() - timedelta(seconds=after_s)
            self._active[fault] = Health(FAULT_STATES[fault], reason, since, fault), began_ns
            health = self._health()
        level = LogLevel.WARN if FAULT_STATES[fault] in {HealthState.DEGRADED, HealthState.BUSY} else LogLevel.ERROR
        self._tell(LogKind.DEGRADED, level, fault, reason, health, after_s=round(after_s, 3), **detail)

    def clear(self, fault: Fault, **detail: object) -> None:
        """Report the end of `fault`. Ignored if it is not active."""
        with self._lock:
            if fault not in self._active:
                return
            over, began_ns = self._active.pop(fault)
            health = self._health()
        lasted_s = round((self.clock.now_ns() - began_ns) / NANOSECONDS, 3)
        self._tell(LogKind.RECOVERED, LogLevel.INFO, fault, over.reason or "", health, lasted_s=lasted_s, **detail)

    def _health(self) -> Health:
        return self._active[min(self._active, key=fault_rank)][0] if self._active else Health()

    def _tell(
        self, kind: LogKind, level: LogLevel, fault: Fault, reason: str, health: Health, **detail: object
    ) -> None:
        self.log(kind, reason, level=level, fault=fault, state=health.state, **detail)
        if self.on_change:
            self.on_change(HealthChange(self.device_id, self.name, fault, kind is LogKind.DEGRADED, reason, health))


class SessionDeviceHealth:
    """The health of a session's devices; an OnChange for all their trackers. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, tuple[Device, Health]] = {}
        self._listener: OnChange | None = None

    def add(self, device: Device) -> None:
        """Show `device` as healthy until a change arrives."""
        with self._lock:
            self._found[device.id] = device, Health()

    def listen(self, listener: OnChange) -> None:
        """Call `listener` with every later change, on the thread that reports it."""
        self._listener = listener

    def __call__(self, change: HealthChange) -> None:
        """Keep the new health, and pass the change on."""
        with self._lock:
            if change.device in self._found:
                self._found[change.device] = self._found[change.device][0], change.health
        if self._listener:
            self._listener(change)

    def read(self) -> Mapping[str, tuple[Device, Health]]:
        """Return each device with its current health, by id."""
        with self._lock:
            return dict(self._found)
