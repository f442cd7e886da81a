"""The facts about a camera, capture card or microphone, as `liput devices --json` prints them."""

from datetime import datetime
from enum import StrEnum

import msgspec


class DeviceKind(StrEnum):
    """The kinds of devices."""

    CAMERA = "camera"
    CAPTURE_CARD = "capture-card"
    MICROPHONE = "microphone"


class Mode(msgspec.Struct, frozen=True):
    """One picture a device offers: V4L2 pixel format (fourcc), size in pixels, frames per second (fastest first)."""

    format: str
    width: int
    height: int
    fps: tuple[float, ...]


class HealthState(StrEnum):
    """How a device is, in one word."""

    OK = "ok"
    DEGRADED = "degraded"
    SILENT = "silent"
    FROZEN = "frozen"
    LOST = "lost"
    BUSY = "busy"


class Health(msgspec.Struct, frozen=True):
    """How a device is, why (a sentence for people), since when, and which fault it is (devices/health/faults.py)."""

    state: HealthState = HealthState.OK
    reason: str | None = None
    since: datetime | None = None
    fault: str | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device as it is plugged in now.

    `id` is its make and serial number (devices/monitor/identity.py); where that number is missing or another device
    has it, too (`shared_serial`), its make and port. `alsa` is `hw:CARD=<id>,DEV=<n>`; `paired_with` is the
    id of the device on the same USB plug. `place` is the port in words that stay when the kernel numbers its buses
    anew. `capabilities` is a hash of its USB descriptors, equal for two of a make.
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
