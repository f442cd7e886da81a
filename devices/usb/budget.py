"""Which streams cannot run at once because they share a USB bus that has no room for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from devices.usb.claims import Claim, Stream, bulk_bps, claim
from devices.usb.descriptors import HIGH_SPEED, SUPER_SPEED
from devices.usb.topology import Topology, UsbNode, parent_of

HINT = "Move one device to another port or use MJPEG."
_ONLY_MOVE = "Move one device to another port."
_PERIODIC = 0.8


type Verdict = Literal["cannot-fit", "may-not-fit"]
"""How sure it is that streams do not run at once."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Streams that get into each other's way: on which bus, by how much (1 is all that may be reserved), in words."""

    verdict: Verdict
    bus: str
    devices: tuple[str, ...]
    least: float
    most: float
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Bus:
    """What shares bandwidth: `key` tells one from another, `name` is for people."""

    key: str
    name: str
    link_bps: int


def bus_of(topology: Topology, port: str | None) -> Bus | None:
    """Return the bus that the device at `port` shares its bandwidth on, None for what is in no tree.

    An xHCI controller gives each of its ports a bandwidth of its own (kernel: xhci_root_port_bw_info), which all that
    hangs off a hub there shares; other controllers have one for all ports. A full-speed device behind a high-speed
    hub shares the hub's transaction translator.
    """
    path = topology.path(port)
    if len(path) < 2:
        return None
    root, first, device = path[0], path[1], path[-1]
    if device.link_bps < HIGH_SPEED:
        for hub in reversed(path[1:-1]):
            if hub.link_bps == HIGH_SPEED:
                key = device.port if hub.is_multi_tt else hub.port
                return Bus(f"{key} full-speed", f"the hub at port {hub.port}", device.link_bps)
    has_own_ports = device.link_bps >= SUPER_SPEED or _is_xhci(root)
    if not has_own_ports:
        return Bus(root.port, f"USB bus {root.port.removeprefix('usb')}", device.link_bps)
    name = f"the hub at port {first.port}" if first.is_hub else f"port {first.port}"
    return Bus(first.port, name, first.link_bps if device.link_bps >= SUPER_SPEED else device.link_bps)


def _is_xhci(root: UsbNode) -> bool:
    """Return whether a controller gives each port its own bandwidth; a virtual one (usbip) sets no limit at all."""
    words = f"{root.manufacturer} {root.product}".casefold()
    return "xhci" in words or "vhci" in words or "usb/ip" in words


def predict(topology: Topology, streams: Sequence[Stream]) -> list[Prediction]:
    """Return which of `streams` cannot, or may not, run at once; a stream whose claim is not known is left out."""
    buses: dict[Bus, list[tuple[Stream, Claim]]] = {}
    for stream in streams:
        node, bus = topology.node(stream.device.port), bus_of(topology, stream.device.port)
        found = claim(node, stream) if node is not None else None
        if found is not None and bus is not None:
            buses.setdefault(bus, []).append((stream, found))
    return [found for bus, claims in buses.items() for found in _predictions(bus, claims)]


def _predictions(bus: Bus, claims: Sequence[tuple[Stream, Claim]]) -> Iterator[Prediction]:
    least, most = (sum(part) for part in zip(*(entry for _, entry in claims), strict=True))
    if most > 1:
        verdict: Verdict = "cannot-fit" if least > 1 else "may-not-fit"
        reserving = [stream for stream, (_, its_most) in claims if its_most > 0]
        if verdict == "cannot-fit":
            says = f"cannot stream at once on {bus.name}: they reserve {least:.0%} of what there is"
        else:
            says = f"may not fit on {bus.name} at once: they may reserve up to {most:.0%} of what there is"
        yield _prediction(verdict, bus, reserving, least, most, says)
    yield from _bulk_predictions(bus, claims, least, most)


def _bulk_predictions(
    bus: Bus, claims: Sequence[tuple[Stream, Claim]], least: float, most: float
) -> Iterator[Prediction]:
    """Yield what bulk streams, which reserve nothing, may not get of what is left."""
    bulk = [stream for stream, (_, its_most) in claims if not its_most and stream.needs_bps]
    room = bulk_bps(bus.link_bps)
    needs = sum(stream.needs_bps or 0 for stream in bulk)
    left = (room or 0) * (1 - _PERIODIC * min(least, 1.0))
    if bulk and len(claims) > 1 and room is not None and needs > left:
        wants = f"they need {needs / 1e6:.0f} Mbit/s and reserve nothing, {left / 1e6:.0f} are left"
        says = f"may not fit on {bus.name} at once: {wants}"
        yield _prediction("may-not-fit", bus, bulk, least, most, says)


def _prediction(
    verdict: Verdict, bus: Bus, streams: Sequence[Stream], least: float, most: float, says: str
) -> Prediction:
    ids = tuple(stream.device.id for stream in streams)
    names = [stream.device.name for stream in streams]
    who = ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
    hint = HINT if any(stream.needs_bps for stream in streams) else _ONLY_MOVE
    return Prediction(verdict, bus.name, ids, round(least, 3), round(most, 3), f"{who} {says}", hint)


def sharing(topology: Topology, port: str | None) -> list[UsbNode]:
    """Return the other devices that share a bus with the one at `port` and could stream pictures or sound on it."""
    bus = bus_of(topology, port)
    return [
        node
        for node in topology
        if bus is not None and node.port != port and node.can_stream and bus_of(topology, node.port) == bus
    ]


def on_controller(topology: Topology, port: str | None) -> list[UsbNode]:
    """Return the other devices of the controller that `port` belongs to, which could stream."""
    root = _root(port)
    return [node for node in topology if node.port != port and node.can_stream and _root(node.port) == root]


def _root(port: str | None) -> str | None:
    at = port
    while at is not None and (above := parent_of(at)) is not None:
        at = above
    return at
