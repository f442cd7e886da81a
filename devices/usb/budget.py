"""The bandwidth of USB buses: how much a stream claims, and which streams cannot run at once.

Claims follow the kernel's arithmetic (usb_calc_bus_time, ehci-hcd, xhci.h). Isochronous endpoints reserve time while
they stream. A camera chooses its alternate setting itself: at least the bandwidth of uncompressed frames, for MJPEG
commonly its largest. So a claim is a range.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from devices.model.device import Device, DeviceKind
from devices.model.mode_choice import ChosenMode, PictureRequirements, RunnerUp, needed_bps, rank_modes
from devices.model.quirks import quirk_of
from devices.usb.topology import (
    AUDIO_STREAMING,
    HIGH_SPEED,
    SUPER_SPEED,
    VIDEO_STREAMING,
    Endpoint,
    UsbNode,
    UsbTopology,
)

_HIGH_SPEED_US = 100.0  # the part of each microframe of 125 us that periodic transfers may take
_FULL_SPEED_US = 900.0  # the same of each frame of 1000 us
_SUPER_SPEED_BYTES = 56_250.0  # the same of the 62,500 bytes that SuperSpeed moves in 125 us

_MOST_BPS = {12_000_000: 1023 * 8 * 1000, HIGH_SPEED: 3 * 1024 * 8 * 8000}  # of one isochronous endpoint
_BULK_BPS = {12_000_000: 19 * 64 * 8 * 1000, HIGH_SPEED: 13 * 512 * 8 * 8000}  # of bulk on an idle bus
_SUPER_SPEED_PART = 0.72  # eight of ten bits are data; headers and others take a tenth


@dataclass(frozen=True, slots=True)
class UsbStream:
    """A device that streams or will stream: video in the mode `chosen`, or sound."""

    device: Device
    chosen: ChosenMode | None = None

    @property
    def is_sound(self) -> bool:
        return self.device.kind is DeviceKind.MICROPHONE

    @property
    def needs_bps(self) -> int | None:
        """The bits a second of its frames; None for compressed formats and for sound."""
        return needed_bps(self.chosen.mode, self.chosen.rate) if self.chosen is not None else None


type BandwidthClaim = tuple[float, float]  # the least and the most of the bus's reservable bandwidth; 0 for bulk


def bandwidth_claim(node: UsbNode, stream: UsbStream) -> BandwidthClaim | None:
    """Return the claim of `stream`, from the device at `node`; None if its descriptors do not say."""
    found = streaming_endpoints(node, AUDIO_STREAMING if stream.is_sound else VIDEO_STREAMING)
    if not found:
        return None
    isochronous = [endpoint for endpoint in found if endpoint.transfer == "isochronous"]
    if not isochronous:
        return 0.0, 0.0
    needs = stream.needs_bps or 0
    enough = [endpoint for endpoint in isochronous if endpoint.bps >= needs] or isochronous[-1:]
    return bandwidth_share(enough[0], node.link_bps), bandwidth_share(isochronous[-1], node.link_bps)


def streaming_endpoints(node: UsbNode, kind: tuple[int, int]) -> list[Endpoint]:
    """Return the input endpoints of the first interface of `kind`, the smallest first."""
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


def bandwidth_share(endpoint: Endpoint, link_bps: int) -> float:
    """Return an isochronous endpoint's part of the reservable bandwidth."""
    bits = 7 * 8 * endpoint.payload // 6  # with the worst bit stuffing
    if link_bps >= SUPER_SPEED:
        return endpoint.payload / (endpoint.interval_us / 125) / _SUPER_SPEED_BYTES
    if link_bps == HIGH_SPEED:
        time_us = ((38 * 8 * 2083 + 2083 * (3 + bits)) / 1000 + 5) / 1000
        return time_us / (endpoint.interval_us / 125) / _HIGH_SPEED_US
    time_us = (7268 + 1000 + 8354 * (31 + 10 * bits) / 1000) / 1000
    return time_us / (endpoint.interval_us / 1000) / _FULL_SPEED_US


def usable_bps(node: UsbNode) -> int | None:
    """Return the most bits a second for video of the device at `node`; None on a link of unknown speed."""
    found = streaming_endpoints(node, VIDEO_STREAMING)
    if found and found[-1].transfer == "bulk":
        return bulk_bps(node.link_bps)
    link = isochronous_bps(node.link_bps)
    if not found:
        return link
    return found[-1].bps if link is None else min(found[-1].bps, link)


def isochronous_bps(link_bps: int) -> int | None:
    """Return the most bits a second of isochronous video on a link of `link_bps`."""
    return _MOST_BPS.get(link_bps) if link_bps < SUPER_SPEED else round(link_bps * _SUPER_SPEED_PART)


def bulk_bps(link_bps: int) -> int | None:
    """Return the most bits a second of bulk video on an otherwise idle link of `link_bps`."""
    return _BULK_BPS.get(link_bps) if link_bps < SUPER_SPEED else round(link_bps * _SUPER_SPEED_PART)


def rank_modes_of(
    device: Device, topology: UsbTopology, wanted: PictureRequirements
) -> tuple[ChosenMode | None, list[RunnerUp]]:
    """Rank the modes of `device` within the limits of its link and its model; see `rank_modes`."""
    node = topology.node(device.port)
    usable = usable_bps(node) if node is not None else None
    return rank_modes(device.modes, wanted, usable_bps=usable, quirk=quirk_of(device.vid, device.pid))


BUS_FULL_HINT = "Move one device to another port or use MJPEG."
_ONLY_MOVE = "Move one device to another port."
_PERIODIC = 0.8

type ConflictVerdict = Literal["cannot-fit", "may-not-fit"]  # how sure a prediction is


@dataclass(frozen=True, slots=True)
class BandwidthConflict:
    """Streams that disturb each other on `bus`. `least` and `most` add up their claims; 1 is all of the bus."""

    verdict: ConflictVerdict
    bus: str
    devices: tuple[str, ...]
    least: float
    most: float
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class UsbBus:
    """A domain of shared bandwidth: `key` identifies it, `name` is for people."""

    key: str
    name: str
    link_bps: int


def bus_of(topology: UsbTopology, port: str | None) -> UsbBus | None:
    """Return the shared bus of the device at `port`; None for an unknown port.

    An xHCI controller gives each port its own bandwidth (kernel: xhci_root_port_bw_info), shared below a hub there.
    Other controllers have one bandwidth for all ports. A full-speed device behind a high-speed hub shares that hub's
    transaction translator.
    """
    path = topology.path(port)
    if len(path) < 2:
        return None
    root, first, device = path[0], path[1], path[-1]
    if device.link_bps < HIGH_SPEED:
        for hub in reversed(path[1:-1]):
            if hub.link_bps == HIGH_SPEED:
                key = device.port if hub.is_multi_tt else hub.port
                return UsbBus(f"{key} full-speed", f"the hub at port {hub.port}", device.link_bps)
    # Each port of an xHCI controller has its own bandwidth; a virtual controller (usbip) sets no limit at all.
    controller = f"{root.manufacturer} {root.product}".casefold()
    if device.link_bps < SUPER_SPEED and not any(word in controller for word in ("xhci", "vhci", "usb/ip")):
        return UsbBus(root.port, f"USB bus {root.port.removeprefix('usb')}", device.link_bps)
    name = f"the hub at port {first.port}" if first.is_hub else f"port {first.port}"
    return UsbBus(first.port, name, first.link_bps if device.link_bps >= SUPER_SPEED else device.link_bps)


def find_conflicts(topology: UsbTopology, streams: Sequence[UsbStream]) -> list[BandwidthConflict]:
    """Predict which of `streams` cannot, or may not, run at once. Streams with an unknown claim are left out."""
    buses: dict[UsbBus, list[tuple[UsbStream, BandwidthClaim]]] = {}
    for stream in streams:
        node, bus = topology.node(stream.device.port), bus_of(topology, stream.device.port)
        found = bandwidth_claim(node, stream) if node is not None else None
        if found is not None and bus is not None:
            buses.setdefault(bus, []).append((stream, found))
    return [found for bus, claims in buses.items() for found in _predictions(bus, claims)]


def _predictions(bus: UsbBus, claims: Sequence[tuple[UsbStream, BandwidthClaim]]) -> Iterator[BandwidthConflict]:
    least, most = (sum(part) for part in zip(*(entry for _, entry in claims), strict=True))
    if most > 1:
        verdict: ConflictVerdict = "cannot-fit" if least > 1 else "may-not-fit"
        reserving = [stream for stream, (_, its_most) in claims if its_most > 0]
        if verdict == "cannot-fit":
            says = f"cannot stream at once on {bus.name}: they reserve {least:.0%} of its bandwidth"
        else:
            says = f"may not fit on {bus.name} at once: they may reserve up to {most:.0%} of its bandwidth"
        yield _prediction(verdict, bus, reserving, least, most, says)
    yield from _bulk_predictions(bus, claims, least, most)


def _bulk_predictions(
    bus: UsbBus, claims: Sequence[tuple[UsbStream, BandwidthClaim]], least: float, most: float
) -> Iterator[BandwidthConflict]:
    """Yield the bulk streams for which the reservations leave too little."""
    bulk = [stream for stream, (_, its_most) in claims if not its_most and stream.needs_bps]
    room = bulk_bps(bus.link_bps)
    needs = sum(stream.needs_bps or 0 for stream in bulk)
    left = (room or 0) * (1 - _PERIODIC * min(least, 1.0))
    if bulk and len(claims) > 1 and room is not None and needs > left:
        wants = f"they need {needs / 1e6:.0f} Mbit/s and reserve nothing, {left / 1e6:.0f} are left"
        yield _prediction("may-not-fit", bus, bulk, least, most, f"may not fit on {bus.name} at once: {wants}")


def _prediction(
    verdict: ConflictVerdict, bus: UsbBus, streams: Sequence[UsbStream], least: float, most: float, says: str
) -> BandwidthConflict:
    ids = tuple(stream.device.id for stream in streams)
    names = [stream.device.name for stream in streams]
    who = ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
    hint = BUS_FULL_HINT if any(stream.needs_bps for stream in streams) else _ONLY_MOVE
    return BandwidthConflict(verdict, bus.name, ids, round(least, 3), round(most, 3), f"{who} {says}", hint)


def bus_neighbours(topology: UsbTopology, port: str | None) -> list[UsbNode]:
    """Return the other devices with video or sound on the bus of `port`."""
    bus = bus_of(topology, port)
    return [
        node
        for node in topology
        if bus is not None and node.port != port and node.can_stream and bus_of(topology, node.port) == bus
    ]


def controller_neighbours(topology: UsbTopology, port: str | None) -> list[UsbNode]:
    """Return the other devices with video or sound on the controller of `port`."""
    root = _root(port)
    return [node for node in topology if node.port != port and node.can_stream and _root(node.port) == root]


def _root(port: str | None) -> str | None:
    return f"usb{port.partition('-')[0]}" if port is not None else None
