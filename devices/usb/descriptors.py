"""The bandwidth that a USB device's descriptors claim, and whether it could do USB 3.

They come from the device, so nothing in them is trusted: a length that makes no sense ends the reading.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

HIGH_SPEED = 480_000_000
SUPER_SPEED = 5_000_000_000

VIDEO_STREAMING = (0x0E, 0x02)
AUDIO_STREAMING = (0x01, 0x02)
"""Interface classes that carry pictures and sound."""

_CAPABILITY, _COMPANION_PLUS = 0x10, 0x31
_SUPERSPEED, _SUPERSPEED_PLUS = 0x03, 0x0A
_MICROFRAME_US, _FRAME_US = 125, 1000
_LONGEST_INTERVAL = 16


type Transfer = Literal["control", "isochronous", "bulk", "interrupt"]
"""How an endpoint moves data. Isochronous ones reserve bandwidth for as long as they stream, bulk ones none."""
_TRANSFERS: tuple[Transfer, ...] = ("control", "isochronous", "bulk", "interrupt")
"""By the two lowest bits of bmAttributes."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint in one alternate setting of an interface: at most `payload` bytes every `interval_us`."""

    interface: int
    setting: int
    kind: tuple[int, int]
    transfer: Transfer
    is_in: bool
    payload: int
    interval_us: int

    @property
    def bps(self) -> int:
        """The bits a second it can carry, if it is isochronous."""
        return self.payload * 8 * 1_000_000 // self.interval_us


def endpoints(raw: bytes, link_bps: int, configuration: int | None = None) -> tuple[Endpoint, ...]:
    """Return the endpoints in sysfs's `descriptors`, of the bConfigurationValue in force; None takes the first."""
    found: list[Endpoint] = []
    in_force, interface, setting, kind = False, 0, 0, (0, 0)
    for item in _descriptors(raw):
        match item[1]:
            case 0x02 if len(item) > 5:  # a configuration
                in_force = item[5] == configuration if configuration is not None else not found
            case 0x04 if len(item) > 6:  # an interface
                interface, setting, kind = item[2], item[3], (item[5], item[6])
            case 0x05 if len(item) > 6 and in_force:  # an endpoint
                found.append(_endpoint(item, link_bps, interface, setting, kind))
            case 0x30 | 0x31 if found and in_force and link_bps >= SUPER_SPEED and len(item) > 5:  # its companions
                found[-1] = _with_companion(found[-1], item)
    return tuple(found)


def _descriptors(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at + 2 <= len(raw) and raw[at] >= 2:
        yield raw[at : at + raw[at]]
        at += raw[at]


def _endpoint(item: bytes, link_bps: int, interface: int, setting: int, kind: tuple[int, int]) -> Endpoint:
    word = int.from_bytes(item[4:6], "little")
    per_microframe = 1 + (word >> 11 & 3) if link_bps == HIGH_SPEED else 1
    step = _MICROFRAME_US if link_bps >= HIGH_SPEED else _FRAME_US
    interval = 1 << (min(max(item[6], 1), _LONGEST_INTERVAL) - 1)
    payload = (word & 0x7FF) * min(per_microframe, 3)
    return Endpoint(interface, setting, kind, _TRANSFERS[item[3] & 3], bool(item[2] & 0x80), payload, step * interval)


def _with_companion(endpoint: Endpoint, item: bytes) -> Endpoint:
    """Return a SuperSpeed endpoint with the bytes that its companion descriptor says it moves in an interval."""
    if endpoint.transfer != "isochronous":
        return endpoint
    payload = int.from_bytes(item[4:8] if item[1] == _COMPANION_PLUS else item[4:6], "little")
    return replace(endpoint, payload=payload or endpoint.payload)


def can_superspeed(bos: bytes) -> bool:
    """Return whether a `bos_descriptors` names SuperSpeed among what the device can do, in whatever port it sits."""
    capabilities = {item[2] for item in _descriptors(bos) if len(item) > 2 and item[1] == _CAPABILITY}
    return bool(capabilities & {_SUPERSPEED, _SUPERSPEED_PLUS})
