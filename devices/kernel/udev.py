"""Plugged-in devices according to udev and sysfs: video nodes, sound inputs, USB hubs.

Reading opens no device. devices/monitor/snapshot.py makes `Device` objects of these facts.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyudev

_DEVICE, _CONFIGURATION, _INTERFACE, _ASSOCIATION, _OF_CLASS = 0x01, 0x02, 0x04, 0x0B, 0x24
_VIDEO = 0x0E
_DIGITS = 12
_LEAST = {_DEVICE: 18, _CONFIGURATION: 9, _INTERFACE: 9, _ASSOCIATION: 8, _OF_CLASS: 3}
"""The least bytes of each type of descriptor read here."""


def capabilities_hash(raw: bytes) -> str | None:
    """Return the hash (12 hex digits) of sysfs' file `descriptors`; None without any.

    All units of a make have the same hash, on any port and link. It covers (USB 2.0, chapter 9) class, vendor, product
    and release of the device, and the interfaces' classes. It also covers class-specific descriptors: terminals, units,
    formats, sizes. Indexes of strings, endpoints, alternate settings and power differ between units or link speeds, so
    they are left out. A make that offers other modes on a slow link has another hash there.
    """
    counted = b"".join(bytes((kind, len(part))) + part for kind, whole in _parts(raw) if (part := _of(kind, whole)))
    return hashlib.sha256(counted).hexdigest()[:_DIGITS] if counted else None


def has_video_interface(raw: bytes) -> bool:
    """Return whether sysfs' file `descriptors` has an interface for video."""
    return any(kind == _INTERFACE and part[5] == _VIDEO for kind, part in _parts(raw))


def _parts(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(raw):
        length, kind = raw[at], raw[at + 1]
        if length < _LEAST.get(kind, 2) or at + length > len(raw):
            return
        yield kind, raw[at : at + length]
        at += length


def _of(kind: int, part: bytes) -> bytes:
    if kind == _DEVICE:
        return part[4:7] + part[8:14]
    if kind == _CONFIGURATION:
        return part[4:5]
    if kind == _INTERFACE:
        return b"" if part[3] else part[2:3] + part[5:8]
    if kind == _ASSOCIATION:
        return part[2:7]
    return part[2:] if kind == _OF_CLASS else b""


_MEGABIT = 1_000_000
_HUB_CLASS = "09"
_VIRTUAL = "virtual-"  # begins the place of a device without a parent
_PCM_CAPTURE = re.compile(r"^pcmC(\d+)D(\d+)c$")


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """One USB plug.

    `place` is the port with its controller's address, which stays when buses are renumbered. `devnum` is the kernel's
    count of enumerations on the bus: it changes with each plug. `has_video`: it has video interfaces, even before their
    nodes appear.
    """

    vid: str
    pid: str
    serial: str | None
    port: str
    product: str
    manufacturer: str
    link_bps: int | None
    place: str | None = None
    capabilities: str | None = None
    devnum: int | None = None
    has_video: bool = False


@dataclass(frozen=True, slots=True)
class UsbHub:
    """A USB hub with `ports` sockets; a controller's root hub has the port "usb1"."""

    port: str
    vid: str
    pid: str
    name: str
    link_bps: int | None
    ports: int

    def carries(self, port: str | None) -> bool:
        """Return whether `port` is below this hub, at any depth."""
        below = f"{self.port.removeprefix('usb')}-" if self.port.startswith("usb") else f"{self.port}."
        return port is not None and port.startswith(below)


@dataclass(frozen=True, slots=True)
class VideoNode:
    """A /dev/videoN; `gives_pictures` is None where no udev runs to ask the node."""

    node: str
    name: str
    place: str
    usb: UsbDevice | None
    gives_pictures: bool | None

    @property
    def is_loopback(self) -> bool:
        """Whether a program feeds it, not hardware (v4l2loopback)."""
        return self.place.startswith(_VIRTUAL)


@dataclass(frozen=True, slots=True)
class SoundInput:
    """A PCM capture device: `card` is ALSA's id of its card, `pcm` its number in the card."""

    node: str
    card: str
    pcm: int
    name: str
    place: str
    usb: UsbDevice | None

    @property
    def alsa(self) -> str:
        """ALSA's name of the device."""
        return f"hw:CARD={self.card},DEV={self.pcm}"


@dataclass(frozen=True, slots=True)
class UdevDevices:
    """All that is plugged in at one moment. The order does not depend on node numbers."""

    pictures: tuple[VideoNode, ...]
    sounds: tuple[SoundInput, ...]
    hubs: tuple[UsbHub, ...] = ()


type PlugCache = dict[tuple[str, int], UsbDevice]  # plugs by port and devnum


def read_udev_devices(known: PlugCache | None = None) -> UdevDevices:
    """Return the devices that are plugged in and ready in udev.

    Callers that repeat this pass the same `known` each time, so that each plug is read once: the kernel blocks readers
    of a serial number while it is busy with the device.
    """
    context = pyudev.Context()
    plugs: PlugCache = {} if known is None else known
    pictures = _there(lambda one: _picture_node(one, plugs), context.list_devices(subsystem="video4linux"))
    sounds = _there(lambda one: _sound_input(one, plugs), context.list_devices(subsystem="sound"))
    hubs = _there(_hub, context.list_devices(subsystem="usb", DEVTYPE="usb_device"))
    found = UdevDevices(
        tuple(sorted(pictures, key=lambda found: (found.place, _numbers(found.node)))),
        tuple(sorted(sounds, key=lambda found: (found.place, found.pcm))),
        tuple(sorted(hubs, key=lambda hub: _numbers(hub.port))),
    )
    there = {picture.usb for picture in found.pictures} | {sound.usb for sound in found.sounds}
    for key in [key for key, usb in plugs.items() if usb not in there]:
        del plugs[key]
    return found


def _there[T](read: Callable[[pyudev.Device], T | None], devices: Iterable[pyudev.Device]) -> Iterator[T]:
    """Yield the facts that `read` finds about `devices`, except those that are unplugged meanwhile."""
    for device in devices:
        with suppress(OSError, KeyError, pyudev.DeviceNotFoundError):
            if (found := read(device)) is not None:
                yield found


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]


def has_udev() -> bool:
    """Return whether udev runs; it sets a node's permissions, so nodes must wait for it."""
    return Path("/run/udev/control").exists()


def _picture_node(device: pyudev.Device, known: PlugCache) -> VideoNode | None:
    node = device.device_node
    if not node or not device.sys_name.startswith("video"):
        return None
    gives_pictures = None
    if has_udev():
        gives_pictures = device.is_initialized and ":capture:" in device.properties.get("ID_V4L_CAPABILITIES", "")
    if gives_pictures is False:
        return None
    name = _attribute(device, "name")
    return VideoNode(node, name, _place(device, name), _usb_device(device, known), gives_pictures)


def _sound_input(device: pyudev.Device, known: PlugCache) -> SoundInput | None:
    match = _PCM_CAPTURE.match(device.sys_name)
    card = device.find_parent("sound")
    if match is None or card is None or not device.device_node or (has_udev() and not device.is_initialized):
        return None
    identifier = _attribute(card, "id")
    if not identifier:
        return None
    name, place = _sound_name(int(match[1]), int(match[2])), _place(card, identifier)
    return SoundInput(device.device_node, identifier, int(match[2]), name, place, _usb_device(device, known))


def _attribute(device: pyudev.Device, name: str) -> str:
    value: bytes | None = device.attributes.get(name)
    return value.decode("utf-8", "replace").strip() if value is not None else ""


def _place(device: pyudev.Device, name: str) -> str:
    """Return a place that survives renumbering: `pci-0000:00:1f.3`, `virtual-OBS_Camera`."""
    parent = device.parent
    return f"{parent.subsystem}-{parent.sys_name}" if parent is not None else f"{_VIRTUAL}{_clean(name)}"


def _usb_device(device: pyudev.Device, known: PlugCache) -> UsbDevice | None:
    """Return the USB plug of `device`, the same object for the video and sound of one plug."""
    parent = device.find_parent("usb", "usb_device")
    if parent is None:
        return None
    devnum = _attribute(parent, "devnum")
    key = (parent.sys_name, int(devnum) if devnum.isdigit() else 0)
    if key not in known:
        descriptors = _descriptors(parent)
        known[key] = UsbDevice(
            vid=_attribute(parent, "idVendor").lower(),
            pid=_attribute(parent, "idProduct").lower(),
            serial=_clean(_attribute(parent, "serial")) or None,
            port=parent.sys_name,
            product=_attribute(parent, "product"),
            manufacturer=_attribute(parent, "manufacturer"),
            link_bps=_link_bps(parent),
            place=_usb_place(parent),
            capabilities=capabilities_hash(descriptors),
            devnum=key[1] or None,
            has_video=has_video_interface(descriptors),
        )
    return known[key]


def _descriptors(device: pyudev.Device) -> bytes:
    """Read the descriptors from sysfs: libudev would treat them as text."""
    try:
        return Path(device.sys_path, "descriptors").read_bytes()
    except OSError:
        return b""


def _link_bps(device: pyudev.Device) -> int | None:
    speed = _attribute(device, "speed")
    return round(float(speed) * _MEGABIT) if re.fullmatch(r"[\d.]+", speed) else None


def _usb_place(device: pyudev.Device) -> str | None:
    """Return the port without its bus number, with its USB version: `pci-0000:00:14.0-usb2-1.4`."""
    chain = device.sys_name.partition("-")[2]
    root = device
    while root is not None and not re.fullmatch(r"usb\d+", root.sys_name):
        root = root.find_parent("usb", "usb_device")
    if not chain or root is None or root.parent is None:
        return None
    version = _attribute(root, "version").partition(".")[0]
    return f"{root.parent.subsystem}-{root.parent.sys_name}-usb{version}-{chain}"


def _hub(device: pyudev.Device) -> UsbHub | None:
    """Return a USB device if it is a hub. Its name is udev's: reading the hub waits for a sick device on it."""
    if _attribute(device, "bDeviceClass") != _HUB_CLASS:
        return None
    ports = _attribute(device, "maxchild")
    words = (device.properties.get("ID_VENDOR", ""), device.properties.get("ID_MODEL", ""))
    return UsbHub(
        port=device.sys_name,
        vid=_attribute(device, "idVendor").lower(),
        pid=_attribute(device, "idProduct").lower(),
        name=" ".join(word.replace("_", " ") for word in words if word) or "USB hub",
        link_bps=_link_bps(device),
        ports=int(ports) if ports.isdigit() else 0,
    )


def _clean(serial: str) -> str:
    """Return a serial number in udev's spelling (ID_SERIAL_SHORT), safe for shells and paths."""
    return re.sub(r"[^\w#+\-.:=@]", "_", re.sub(r"\s+", "_", serial), flags=re.ASCII)


def _sound_name(card: int, pcm: int) -> str:
    """Return ALSA's name of a PCM: the card's short name, or the device's where it says more."""
    listing = Path("/proc/asound/cards").read_text()
    line = re.search(rf"^ *{card} \[.*?\]: .*? - (.+)$", listing, re.MULTILINE)
    card_name = line[1].strip() if line else f"card {card}"
    info = Path(f"/proc/asound/card{card}/pcm{pcm}c/info").read_text()
    device = re.search(r"^name: (.+)$", info, re.MULTILINE)
    device_name = device[1].strip() if device else ""
    if not device_name or device_name == "USB Audio":
        return card_name
    return device_name if device_name.startswith(card_name) else f"{card_name} {device_name}"
