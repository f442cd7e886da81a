"""In which way a source is not there, and where its device is found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from config.errors import LiputError
from devices.health.faults import Fault, refused
from devices.model.device import Device


class OutageKind(StrEnum):
    """In which way a source is not there."""

    MISSING = "missing"
    """It was not there when the session was armed."""
    LOST = "lost"
    """It was unplugged, or its driver gave it up."""
    SILENT = "silent"
    """It is plugged in and gives nothing."""
    BUSY = "busy"
    """Another program, or session, has it."""
    DENIED = "denied"
    """This user may not open it."""
    BUS_FULL = "bus-full"
    """Its USB bus has no room for its stream."""


_REFUSED: Mapping[Fault | None, OutageKind] = {
    Fault.BUSY: OutageKind.BUSY,
    Fault.DENIED: OutageKind.DENIED,
    Fault.BUS_FULL: OutageKind.BUS_FULL,
}


def outage_kind(error: LiputError, otherwise: OutageKind) -> OutageKind:
    """Return in which way a device that was refused with `error` is not there."""
    return _REFUSED.get(refused(error), otherwise)


@dataclass(frozen=True, slots=True)
class SourceOutage:
    """In which way a source is not there, why (a sentence, and advice), and since when (session clock)."""

    kind: OutageKind
    reason: str
    hint: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Located:
    """The device a source came back as: in another `port` than before, or known as the same only by its make."""

    device: Device
    moved_from: str | None = None
    is_certain: bool = True


class DeviceLocator(Protocol):
    """Knows where one device is (capture/sources/locator.py); asked by one thread."""

    def lost(self) -> None:
        """Take note that it is gone from where it was."""
        ...

    def find(self) -> Located | None:
        """Return where it is now, None while it is not plugged in; does not block for long."""
        ...

    def regained(self) -> None:
        """Take note that it has been opened where it was found last."""
        ...
