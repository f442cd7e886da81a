"""The faults of devices and the state for each; docs/devices.md explains them. A device's health is its worst fault."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from config.errors import LiputError, Why
from devices.health.line import Level
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


FAULTS: dict[Fault, HealthState] = {
    Fault.LOST: HealthState.LOST,  # the bus has lost it, or its driver has given up
    Fault.BUSY: HealthState.BUSY,
    Fault.DENIED: HealthState.DEGRADED,
    Fault.BUS_FULL: HealthState.DEGRADED,
    Fault.NO_DATA: HealthState.SILENT,  # it is on the bus and sends nothing
    Fault.NO_SIGNAL: HealthState.SILENT,  # it sends a slate, or reports an unconnected input
    Fault.FROZEN: HealthState.FROZEN,
    Fault.BLACK: HealthState.DEGRADED,
    Fault.SILENCE: HealthState.SILENT,
    Fault.DEAD_CHANNEL: HealthState.DEGRADED,
    Fault.DAMAGED: HealthState.DEGRADED,
    Fault.SLOW: HealthState.DEGRADED,
    Fault.JITTER: HealthState.DEGRADED,
    Fault.CLIPPING: HealthState.DEGRADED,
    Fault.HUM: HealthState.DEGRADED,
    Fault.FLAPPING: HealthState.DEGRADED,
    Fault.SWAPPED: HealthState.DEGRADED,
    Fault.SLOW_PORT: HealthState.DEGRADED,
}
"""The state of a device with each fault, the worst first."""

FLAPPING_WINDOW_S = 60  # unplugs within this time count together
OF_ITS_PLACE = frozenset({Fault.FLAPPING, Fault.SWAPPED, Fault.SLOW_PORT})  # faults of the plug, in a closed device too
LOSES_NOTHING = OF_ITS_PLACE | {Fault.JITTER, Fault.CLIPPING, Fault.HUM}
"""Faults that cost the recording nothing. Each other one leaves it with less than it should hold."""

REFUSALS: Mapping[Why, Fault] = {
    "lost": Fault.LOST,
    "missing": Fault.LOST,
    "busy": Fault.BUSY,
    "denied": Fault.DENIED,
    "bus-full": Fault.BUS_FULL,
}
"""The fault for each `why` of an error on opening. Other errors are no fault of the device."""

_RANKS: dict[str, int] = {str(fault): rank for rank, fault in enumerate(FAULTS)}


def level_of(fault: Fault) -> Level:
    """Return the level of the log line that reports the start of `fault`."""
    return Level.WARN if FAULTS[fault] in {HealthState.DEGRADED, HealthState.BUSY} else Level.ERROR


def refused(error: LiputError) -> Fault | None:
    """Return the fault for `error`, an error on opening a device; None if it is no fault of the device."""
    return REFUSALS.get(error.why)


def rank(fault: str | None) -> int:
    """Return a sort key of faults, the worst first. Unknown names, as of a newer Liput, come last."""
    return _RANKS.get(fault or "", len(_RANKS))


def with_health(device: Device, fault: Fault, reason: str, since: datetime | None) -> Device:
    """Return `device` with `fault`, unless its fault is worse."""
    return with_worse(device, Health(FAULTS[fault], reason, since, fault))


def with_worse(device: Device, found: Health) -> Device:
    """Return `device` with the health `found`, unless its fault is worse."""
    if device.health.fault is not None and rank(device.health.fault) <= rank(found.fault):
        return device
    return msgspec.structs.replace(device, health=found)
