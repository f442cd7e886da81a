"""What is plugged in, as udev and sysfs have it: nodes that give pictures, sound cards that take sound.

Facts only: who a device is (devices/identity.py) and what people see of it (devices/snapshot.py) is worked out from
these. Reading them opens no device.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyudev

_MEGABIT = 1_000_000
_PCM_CAPTURE = re.compile(r"^pcmC(\d+)D(\d+)c$")


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """One USB plug: what it says it is, and where it sits."""

    vid: str
    pid: str
    serial: str | None
    port: str
    product: str
    manufacturer: str
    link_bps: int | None


@dataclass(frozen=True, slots=True)
class PictureNode:
    """A /dev/videoN; `gives_pictures` is None where no udev runs that would have looked at the node."""

    node: str
    name: str
    place: str
    usb: UsbDevice | None
    gives_pictures: bool | None


@dataclass(frozen=True, slots=True)
class SoundInput:
    """A PCM capture device of a sound card: `card` is ALSA's id of the card, `pcm` the device's number in it."""

    node: str
    card: str
    pcm: int
    name: str
    place: str
    usb: UsbDevice | None

    @property
    def alsa(self) -> str:
        """The name ALSA opens it by."""
        return f"hw:CARD={self.card},DEV={self.pcm}"


@dataclass(frozen=True, slots=True)
class Plugged:
    """Everything that is plugged in at one moment, in an order that does not depend on node numbers."""

    pictures: tuple[PictureNode, ...]
    sounds: tuple[SoundInput, ...]


def plugged(context: pyudev.Context | None = None) -> Plugged:
    """Return what is plugged in now. What udev is not done with yet, or what goes away meanwhile, is left out."""
    context = context or pyudev.Context()
    pictures = [found for device in context.list_devices(subsystem="video4linux") for found in _picture_nodes(device)]
    sounds = [found for device in context.list_devices(subsystem="sound") for found in _sound_inputs(device)]
    return Plugged(
        tuple(sorted(pictures, key=lambda found: (found.place, _numbers(found.node)))),
        tuple(sorted(sounds, key=lambda found: (found.place, found.pcm))),
    )


def _numbers(node: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", node)]


def _has_udev() -> bool:
    """Return whether a udev runs, which sets the permissions of a node before anybody should open it."""
    return Path("/run/udev/control").exists()


def _picture_nodes(device: pyudev.Device) -> Iterator[PictureNode]:
    """Yield the node of a video4linux device, if it has one that may give pictures."""
    node = device.device_node
    if not node or not device.sys_name.startswith("video"):
        return
    gives_pictures = None
    if _has_udev():
        gives_pictures = device.is_initialized and ":capture:" in device.properties.get("ID_V4L_CAPABILITIES", "")
    if gives_pictures is False:
        return
    try:
        name = _attribute(device, "name")
        yield PictureNode(node, name, _place(device, name), _usb_device(device), gives_pictures)
    except (OSError, KeyError, pyudev.DeviceNotFoundError):
        return  # unplugged while we looked


def _sound_inputs(device: pyudev.Device) -> Iterator[SoundInput]:
    """Yield the capture side of a PCM device."""
    match = _PCM_CAPTURE.match(device.sys_name)
    card = device.find_parent("sound")
    if match is None or card is None or not device.device_node or (_has_udev() and not device.is_initialized):
        return
    try:
        identifier = _attribute(card, "id")
        if identifier:
            number, pcm = int(match[1]), int(match[2])
            name = _sound_name(number, pcm)
            place = _place(card, identifier)
            yield SoundInput(device.device_node, identifier, pcm, name, place, _usb_device(device))
    except (OSError, KeyError, pyudev.DeviceNotFoundError):
        return


def _attribute(device: pyudev.Device, name: str) -> str:
    """Return a sysfs attribute as text, "" where the device has none."""
    value: bytes | None = device.attributes.get(name)
    return value.decode("utf-8", "replace").strip() if value is not None else ""


def _place(device: pyudev.Device, name: str) -> str:
    """Return where a device sits, in words that no renumbering changes: `pci-0000:00:1f.3`, `virtual-OBS_Camera`."""
    parent = device.parent
    return f"{parent.subsystem}-{parent.sys_name}" if parent is not None else f"virtual-{_clean(name)}"


def _usb_device(device: pyudev.Device) -> UsbDevice | None:
    """Return the USB plug that `device` hangs off, the same for the picture and the sound of one plug."""
    parent = device.find_parent("usb", "usb_device")
    if parent is None:
        return None
    speed = _attribute(parent, "speed")
    return UsbDevice(
        vid=_attribute(parent, "idVendor").lower(),
        pid=_attribute(parent, "idProduct").lower(),
        serial=_clean(_attribute(parent, "serial")) or None,
        port=parent.sys_name,
        product=_attribute(parent, "product"),
        manufacturer=_attribute(parent, "manufacturer"),
        link_bps=round(float(speed) * _MEGABIT) if re.fullmatch(r"[\d.]+", speed) else None,
    )


def _clean(serial: str) -> str:
    """Return a serial number in the form udev prints it (ID_SERIAL_SHORT): nothing that a shell or a path minds."""
    return re.sub(r"[^\w#+\-.:=@]", "_", re.sub(r"\s+", "_", serial), flags=re.ASCII)


def _sound_name(card: int, pcm: int) -> str:
    """Return what ALSA calls a PCM: the card's short name, and the device's where that says more."""
    listing = Path("/proc/asound/cards").read_text()
    line = re.search(rf"^ *{card} \[.*?\]: .*? - (.+)$", listing, re.MULTILINE)
    card_name = line[1].strip() if line else f"card {card}"
    info = Path(f"/proc/asound/card{card}/pcm{pcm}c/info").read_text()
    device = re.search(r"^name: (.+)$", info, re.MULTILINE)
    device_name = device[1].strip() if device else ""
    if not device_name or device_name == "USB Audio":
        return card_name
    return device_name if device_name.startswith(card_name) else f"{card_name} {device_name}"
