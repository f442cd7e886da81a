"""Facts about a camera, capture card or microphone, as `liput devices --json` prints them."""

from datetime import datetime
from enum import StrEnum

import msgspec


class DeviceKind(StrEnum):
    CAMERA = "camera"
    CAPTURE_CARD = "capture-card"
    MICROPHONE = "microphone"


class Mode(msgspec.Struct, frozen=True):
    """One mode of a device: V4L2 pixel format (fourcc), size in pixels, frames per second (fastest first)."""

    format: str
    width: int
    height: int
    fps: tuple[float, ...]


class HealthState(StrEnum):
    """The health of a device in one word."""

    OK = "ok"
    DEGRADED = "degraded"
    SILENT = "silent"
    FROZEN = "frozen"
    LOST = "lost"
    BUSY = "busy"


class Health(msgspec.Struct, frozen=True):
    """A device's health: state, reason (a sentence), since when, and the fault (devices/health/faults.py)."""

    state: HealthState = HealthState.OK
    reason: str | None = None
    since: datetime | None = None
    fault: str | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One plugged-in device.

    `id` is its make and serial number (devices/monitor/identity.py), or make and port where the number is missing or
    not unique (`shared_serial`). `alsa` is `hw:CARD=<id>,DEV=<n>`; `paired_with` is the id of the device on the same
    USB plug. `place` names the port independently of the kernel's bus numbers. `capabilities` is a hash of its USB
    descriptors, equal for two of a make.
    """

    id: str
    kind: DeviceKind
    name: str
    vid: str | None = None
    pid: str | None = None
    serial: str | None = None
    shared_serial: str | None = None
    port: str | None = None
    place: str | None = None
    node: str | None = None
    alsa: str | None = None
    paired_with: str | None = None
    role: str | None = None
    link_bps: int | None = None
    capabilities: str | None = None
    modes: tuple[Mode, ...] = ()
    health: Health = Health()
