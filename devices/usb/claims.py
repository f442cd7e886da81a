"""How much of its USB bus a stream claims, as the kernel counts it (usb_calc_bus_time, ehci-hcd, xhci.h).

Isochronous endpoints reserve time while they stream. A camera chooses its alternate setting itself: at least what an
uncompressed picture takes, for MJPEG commonly its largest. So a claim is a range.
"""

from dataclasses import dataclass

from devices.model.device import Device, DeviceKind
from devices.model.mode_choice import ChosenMode, needed_bps
from devices.usb.descriptors import (
    AUDIO_STREAMING,
    HIGH_SPEED,
    SUPER_SPEED,
    VIDEO_STREAMING,
    Endpoint,
)
from devices.usb.topology import UsbNode

_HIGH_SPEED_US = 100.0
"""Of each microframe of 125 us, what periodic transfers may take."""
_FULL_SPEED_US = 900.0
"""Of each frame of 1000 us."""
_SUPER_SPEED_BYTES = 56_250.0
"""Of the 62,500 bytes that SuperSpeed moves in 125 us."""

_MOST_BPS = {12_000_000: 1023 * 8 * 1000, HIGH_SPEED: 3 * 1024 * 8 * 8000}
"""What one isochronous endpoint carries at most, in bits a second."""
_BULK_BPS = {12_000_000: 19 * 64 * 8 * 1000, HIGH_SPEED: 13 * 512 * 8 * 8000}
"""What bulk transfers carry at most where nothing else runs."""
_SUPER_SPEED_PART = 0.72
"""Eight of ten bits are data, and a tenth goes for packets' heads and for the others."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A device that streams, or is about to: pictures in the mode `chosen`, or sound."""

    device: Device
    chosen: ChosenMode | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it is sound."""
        return self.device.kind is DeviceKind.MICROPHONE

    @property
    def needs_bps(self) -> int | None:
        """The bits a second of its pictures, None where that depends on the picture, and for sound."""
        return needed_bps(self.chosen.mode, self.chosen.rate) if self.chosen is not None else None


type Claim = tuple[float, float]
"""What a stream takes of its bus, as parts of all that may be reserved: at least and at most. Bulk takes none."""


def claim(node: UsbNode, stream: Stream) -> Claim | None:
    """Return what `stream` of the device at `node` claims, None where its descriptors do not say."""
    found = streaming(node, AUDIO_STREAMING if stream.is_sound else VIDEO_STREAMING)
    if not found:
        return None
    isochronous = [endpoint for endpoint in found if endpoint.transfer == "isochronous"]
    if not isochronous:
        return 0.0, 0.0
    needs = stream.needs_bps or 0
    enough = [endpoint for endpoint in isochronous if endpoint.bps >= needs] or isochronous[-1:]
    return share(enough[0], node.link_bps), share(isochronous[-1], node.link_bps)


def streaming(node: UsbNode, kind: tuple[int, int]) -> list[Endpoint]:
    """Return the endpoints of the first interface that brings pictures (or sound) in, the smallest first."""
    found = [
        endpoint
        for endpoint in node.endpoints
        if endpoint.kind == kind
        and endpoint.is_in
        and endpoint.payload > 0
        and endpoint.transfer in ("isochronous", "bulk")
    ]
    first = [endpoint for endpoint in found if endpoint.interface == found[0].interface]
    return sorted(first, key=lambda endpoint: endpoint.bps)


def share(endpoint: Endpoint, link_bps: int) -> float:
    """Return which part of all that may be reserved an isochronous endpoint takes while it streams."""
    bits = 7 * 8 * endpoint.payload // 6  # with the bits that are stuffed in at worst
    if link_bps >= SUPER_SPEED:
        return endpoint.payload / (endpoint.interval_us / 125) / _SUPER_SPEED_BYTES
    if link_bps == HIGH_SPEED:
        time_us = ((38 * 8 * 2083 + 2083 * (3 + bits)) / 1000 + 5) / 1000
        return time_us / (endpoint.interval_us / 125) / _HIGH_SPEED_US
    time_us = (7268 + 1000 + 8354 * (31 + 10 * bits) / 1000) / 1000
    return time_us / (endpoint.interval_us / 1000) / _FULL_SPEED_US


def usable_bps(node: UsbNode) -> int | None:
    """Return the bits a second that pictures of the device at `node` may take; None for a link of unknown speed."""
    found = streaming(node, VIDEO_STREAMING)
    if found and found[-1].transfer == "bulk":
        return bulk_bps(node.link_bps)
    link = most_bps(node.link_bps)
    if not found:
        return link
    return found[-1].bps if link is None else min(found[-1].bps, link)


def most_bps(link_bps: int) -> int | None:
    """Return the bits a second that isochronous pictures may take on a link of `link_bps`."""
    return _MOST_BPS.get(link_bps) if link_bps < SUPER_SPEED else round(link_bps * _SUPER_SPEED_PART)


def bulk_bps(link_bps: int) -> int | None:
    """Return the bits a second that bulk pictures may take on a link of `link_bps` that is else idle."""
    return _BULK_BPS.get(link_bps) if link_bps < SUPER_SPEED else round(link_bps * _SUPER_SPEED_PART)
