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

    `id` is what it is and, where serial numbers are missing or equal, where it is plugged in; never
    its /dev/videoN or ALSA number, which change with every replug. `alsa` is a name of the form
    `hw:CARD=<id>,DEV=<n>`; `paired_with` is the id of the device that shares its USB plug; `link_bps` is the
    speed of the USB link. `serial` is its own; `shared_serial` is what it says where others say the same. `place` is
    the port in words that stay when the kernel numbers its buses anew. `capabilities` is a hash of what its USB
    descriptors say: equal for two of a make, another where a different make calls itself the same.
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
