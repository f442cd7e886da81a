"""The tree of USB hubs and devices from sysfs, with speeds and endpoints.

Descriptors come from the devices, so nothing in them is trusted: an impossible length ends the reading.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from devices.model.quirks import product_name

HIGH_SPEED = 480_000_000
SUPER_SPEED = 5_000_000_000

VIDEO_STREAMING = (0x0E, 0x02)
AUDIO_STREAMING = (0x01, 0x02)  # interface classes with video and sound

_CAPABILITY, _COMPANION_PLUS = 0x10, 0x31
_SUPERSPEED, _SUPERSPEED_PLUS = 0x03, 0x0A
_MICROFRAME_US, _FRAME_US = 125, 1000
_LONGEST_INTERVAL = 16

type Transfer = Literal["control", "isochronous", "bulk", "interrupt"]  # only isochronous ones reserve bandwidth
_TRANSFERS: tuple[Transfer, ...] = ("control", "isochronous", "bulk", "interrupt")  # by bmAttributes, bits 0 and 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint in one alternate setting of an interface: at most `payload` bytes every `interval_us`."""

    interface: int
    setting: int
    kind: tuple[int, int]
    transfer: Transfer
    is_in: bool
    payload: int
    interval_us: int

    @property
    def bps(self) -> int:
        """The bits a second of an isochronous endpoint."""
        return self.payload * 8 * 1_000_000 // self.interval_us


def endpoints(raw: bytes, link_bps: int, configuration: int | None = None) -> tuple[Endpoint, ...]:
    """Return the endpoints in sysfs's `descriptors` for a bConfigurationValue; None takes the first configuration."""
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
    """Return a SuperSpeed endpoint with the bytes per interval of its companion descriptor."""
    if endpoint.transfer != "isochronous":
        return endpoint
    payload = int.from_bytes(item[4:8] if item[1] == _COMPANION_PLUS else item[4:6], "little")
    return replace(endpoint, payload=payload or endpoint.payload)


def can_superspeed(bos: bytes) -> bool:
    """Return whether `bos_descriptors` lists SuperSpeed, on a slower port too."""
    capabilities = {item[2] for item in _descriptors(bos) if len(item) > 2 and item[1] == _CAPABILITY}
    return bool(capabilities & {_SUPERSPEED, _SUPERSPEED_PLUS})


SYSFS = Path("/sys/bus/usb/devices")

_DEVICE = re.compile(r"usb\d+|\d+-\d+(\.\d+)*")
_HUB = 0x09
_MULTI_TT = 2  # bDeviceProtocol of a hub with a transaction translator for each port


@dataclass(frozen=True, slots=True)
class UsbNode:
    """A hub or a device; `port` is its name in sysfs, `usb1` for a controller's root hub.

    `superspeed`: whether it can do USB 3, None if unknown.
    """

    port: str
    vid: str
    pid: str
    product: str
    manufacturer: str
    serial: str | None
    link_bps: int
    is_hub: bool
    is_multi_tt: bool
    superspeed: bool | None
    endpoints: tuple[Endpoint, ...]

    @property
    def name(self) -> str:
        """Its product name, or the name of its make where that is generic."""
        known = product_name(self.vid, self.pid, self.product)
        return known or self.product or ("USB hub" if self.is_hub else "USB device")

    @property
    def can_stream(self) -> bool:
        """Whether it has video or sound inputs."""
        return any(e.kind in (VIDEO_STREAMING, AUDIO_STREAMING) and e.is_in for e in self.endpoints)


class UsbTopology:
    """All hubs and devices on the USB buses at one moment."""

    def __init__(self, nodes: Mapping[str, UsbNode]) -> None:
        self._nodes = dict(nodes)

    @classmethod
    def read(cls, root: Path = SYSFS) -> "UsbTopology":
        """Read sysfs; empty without USB. Devices that vanish meanwhile are left out."""
        try:
            folders = [folder for folder in root.iterdir() if _DEVICE.fullmatch(folder.name)]
        except OSError:
            folders = []
        nodes = (read_node(folder) for folder in folders)
        return cls({node.port: node for node in nodes if node is not None})

    def __iter__(self) -> Iterator[UsbNode]:
        return iter(sorted(self._nodes.values(), key=lambda node: [*map(int, re.findall(r"\d+", node.port))]))

    def node(self, port: str | None) -> UsbNode | None:
        """Return the hub or device at `port`."""
        return self._nodes.get(port or "")

    def path(self, port: str | None) -> tuple[UsbNode, ...]:
        """Return the hubs from the root to `port`, with the device there last; () if unknown."""
        found: list[UsbNode] = []
        at = port
        while at is not None:
            node = self.node(at)
            if node is None:
                return ()
            found.append(node)
            at = parent_of(at)
        return tuple(reversed(found))


def parent_of(port: str) -> str | None:
    """Return the port of the hub above: `1-1` for `1-1.2`, `usb1` for `1-1`, None for `usb1`."""
    if port.startswith("usb"):
        return None
    before, dot, _ = port.rpartition(".")
    return before if dot else f"usb{port.partition('-')[0]}"


def read_node(folder: Path) -> UsbNode | None:
    """Read one sysfs folder of a hub or device; None if it has gone."""
    vid, pid, speed = (_text(folder / name) for name in ("idVendor", "idProduct", "speed"))
    if not vid or not pid or not re.fullmatch(r"[\d.]+", speed):
        return None
    link_bps = round(float(speed) * 1_000_000)
    configuration = _text(folder / "bConfigurationValue")
    return UsbNode(
        port=folder.name,
        vid=vid.lower(),
        pid=pid.lower(),
        product=_text(folder / "product"),
        manufacturer=_text(folder / "manufacturer"),
        serial=_text(folder / "serial") or None,
        link_bps=link_bps,
        is_hub=_hex(folder / "bDeviceClass") == _HUB,
        is_multi_tt=_hex(folder / "bDeviceProtocol") == _MULTI_TT,
        superspeed=_superspeed(folder, link_bps),
        endpoints=endpoints(
            _bytes(folder / "descriptors") or b"", link_bps, int(configuration) if configuration.isdecimal() else None
        ),
    )


def _superspeed(folder: Path, link_bps: int) -> bool | None:
    """Return whether a device can do USB 3, from its speed, its BOS (in sysfs since Linux 6.9) or bcdUSB."""
    if link_bps >= SUPER_SPEED:
        return True
    if bos := _bytes(folder / "bos_descriptors"):
        return can_superspeed(bos)
    version = _text(folder / "version")
    if re.fullmatch(r"\d+\.\d+", version) and float(version) >= 3:
        return True
    return False if link_bps < HIGH_SPEED else None


def _text(path: Path) -> str:
    data = _bytes(path)
    return data.decode("utf-8", "replace").strip() if data is not None else ""


def _hex(path: Path) -> int:
    text = _text(path)
    return int(text, 16) if re.fullmatch(r"[0-9a-fA-F]+", text) else 0


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
