"""The faults of devices, and the state that each puts its device into; docs/devices.md explains them.

The worst fault of a device, which is the first in this order, is its health.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from config.errors import LiputError, Why
from devices.health.line import Level
from devices.model.device import Device, Health, HealthState


class Fault(StrEnum):
    """One kind of trouble; the worst first."""

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
    Fault.LOST: HealthState.LOST,  # it has gone from the bus, or its driver has given up
    Fault.BUSY: HealthState.BUSY,
    Fault.DENIED: HealthState.DEGRADED,
    Fault.BUS_FULL: HealthState.DEGRADED,
    Fault.NO_DATA: HealthState.SILENT,  # it is there and gives nothing
    Fault.NO_SIGNAL: HealthState.SILENT,  # it gives a slate, or says itself that nothing is plugged into it
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

FLAPPING_WINDOW_S = 60
"""Within how long unpluggings are counted together."""
OF_ITS_PLACE = frozenset({Fault.FLAPPING, Fault.SWAPPED, Fault.SLOW_PORT})
"""Those that have nothing to do with who opens a device: they are found on what is plugged in."""
LOSES_NOTHING = OF_ITS_PLACE | {Fault.JITTER, Fault.CLIPPING, Fault.HUM}
"""Every other fault leaves the recording with less than it should hold."""


REFUSALS: Mapping[Why, Fault] = {
    "lost": Fault.LOST,
    "missing": Fault.LOST,
    "busy": Fault.BUSY,
    "denied": Fault.DENIED,
    "bus-full": Fault.BUS_FULL,
}
"""What an error of opening a device means for its health; any other one is no fault of it."""

_RANKS: dict[str, int] = {str(fault): rank for rank, fault in enumerate(FAULTS)}


def level_of(fault: Fault) -> Level:
    """Return the level of the line of the health log by which `fault` begins."""
    return Level.WARN if FAULTS[fault] in {HealthState.DEGRADED, HealthState.BUSY} else Level.ERROR


def refused(error: LiputError) -> Fault | None:
    """Return the fault that `error` of opening a device stands for, None where it stands for none."""
    return REFUSALS.get(error.why)


def rank(fault: str | None) -> int:
    """Return a sort key of faults, the worst first; one of another name, as of a newer Liput, comes last."""
    return _RANKS.get(fault or "", len(_RANKS))


def with_health(device: Device, fault: Fault, reason: str, since: datetime | None) -> Device:
    """Return `device` with `fault`, unless it has a worse one."""
    return with_worse(device, Health(FAULTS[fault], reason, since, fault))


def with_worse(device: Device, found: Health) -> Device:
    """Return `device` with the fault that is `found`, unless it has a worse one."""
    if device.health.fault is not None and rank(device.health.fault) <= rank(found.fault):
        return device
    return msgspec.structs.replace(device, health=found)
