"""What can be wrong with a device: one table, each fault with the state it puts the device into.

    fault         state      loses   meaning
    lost          lost       yes     it has gone from the bus, or its driver has given up
    busy          busy       yes     another program holds it
    denied        degraded   yes     this user may not open it
    bus-full      degraded   yes     its USB bus has no room for its stream
    no-data       silent     yes     it is there and gives nothing
    no-signal     silent     yes     it gives a slate, or says itself that nothing is plugged into it
    frozen        frozen     yes     the same picture for longer than its role allows
    black         degraded   yes     black pictures for longer than its role allows
    silence       silent     yes     sound without a sound in it for longer than its role allows
    dead-channel  degraded   yes     one channel of a stereo input carries nothing
    damaged       degraded   yes     pictures that are corrupt or cut off
    slow          degraded   yes     clearly fewer pictures a second than it promised
    jitter        degraded   no      pictures come at very uneven intervals
    clipping      degraded   no      samples at full scale: the input is too loud
    hum           degraded   no      mains hum
    flapping      degraded   no      it comes and goes: a cable or a port
    swapped       degraded   no      it may have changed places with its twin
    slow-port     degraded   no      a USB 3 device in a USB 2 port

A fault that *loses* leaves the recording with less than it should hold. The worst fault of a device, which is the
first in this order, is its health.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from config.errors import DeviceAccessDenied, DeviceBusFull, DeviceBusy, DeviceLost, DeviceNotFound, LiputError
from devices.health.line import Level
from devices.model import Device, Health, HealthState


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


@dataclass(frozen=True, slots=True)
class FaultClass:
    """What a fault means for its device: the state, the level of its log line, whether the recording loses by it."""

    state: HealthState
    level: Level
    loses: bool


_SILENT = FaultClass(HealthState.SILENT, Level.ERROR, loses=True)
_LESS = FaultClass(HealthState.DEGRADED, Level.WARN, loses=True)
_POOR = FaultClass(HealthState.DEGRADED, Level.WARN, loses=False)

FAULTS: dict[Fault, FaultClass] = {
    Fault.LOST: FaultClass(HealthState.LOST, Level.ERROR, loses=True),
    Fault.BUSY: FaultClass(HealthState.BUSY, Level.WARN, loses=True),
    Fault.DENIED: _LESS,
    Fault.BUS_FULL: _LESS,
    Fault.NO_DATA: _SILENT,
    Fault.NO_SIGNAL: _SILENT,
    Fault.FROZEN: FaultClass(HealthState.FROZEN, Level.ERROR, loses=True),
    Fault.BLACK: _LESS,
    Fault.SILENCE: _SILENT,
    Fault.DEAD_CHANNEL: _LESS,
    Fault.DAMAGED: _LESS,
    Fault.SLOW: _LESS,
    Fault.JITTER: _POOR,
    Fault.CLIPPING: _POOR,
    Fault.HUM: _POOR,
    Fault.FLAPPING: _POOR,
    Fault.SWAPPED: _POOR,
    Fault.SLOW_PORT: _POOR,
}
"""Every fault, the worst first."""

FLAPPING_WINDOW_S = 60
"""Within how long unpluggings are counted together."""
OF_ITS_PLACE = frozenset({Fault.FLAPPING, Fault.SWAPPED, Fault.SLOW_PORT})
"""Those that have nothing to do with who opens a device: they are found on what is plugged in."""


REFUSALS: Mapping[type[LiputError], Fault] = {
    DeviceLost: Fault.LOST,
    DeviceNotFound: Fault.LOST,
    DeviceBusy: Fault.BUSY,
    DeviceAccessDenied: Fault.DENIED,
    DeviceBusFull: Fault.BUS_FULL,
}
"""What an error of opening a device means for its health; any other one is no fault of it."""

_RANKS: dict[str, int] = {str(fault): rank for rank, fault in enumerate(FAULTS)}


def refused(error: LiputError) -> Fault | None:
    """Return the fault that `error` of opening a device stands for, None where it stands for none."""
    return next((fault for kind, fault in REFUSALS.items() if isinstance(error, kind)), None)


def rank(fault: str | None) -> int:
    """Return a sort key of faults, the worst first; one of another name, as of a newer Liput, comes last."""
    return _RANKS.get(fault or "", len(_RANKS))


def with_health(device: Device, fault: Fault, reason: str, since: datetime | None) -> Device:
    """Return `device` with `fault`, unless it has a worse one."""
    return with_worse(device, Health(FAULTS[fault].state, reason, since, fault))


def with_worse(device: Device, found: Health) -> Device:
    """Return `device` with the fault that is `found`, unless it has a worse one."""
    if device.health.fault is not None and rank(device.health.fault) <= rank(found.fault):
        return device
    return msgspec.structs.replace(device, health=found)
