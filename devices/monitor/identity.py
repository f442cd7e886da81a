"""Ids of devices, and finding a device by a name from the command line.

An id is vid:pid with the serial number if that is unique, else with the port. /dev/videoN and ALSA's card numbers
change with every plug.
"""

import os.path
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from config.errors import DeviceError, DeviceNotFound, UsageError
from devices.kernel.udev import UsbDevice
from devices.model.device import Device, DeviceKind
from devices.model.quirks import is_own_serial

_TRAITS: tuple[Callable[[Device], Iterable[str | None]], ...] = (
    lambda device: (device.id,),
    lambda device: (device.serial,),
    lambda device: (device.role,),
    lambda device: (device.port,),
    lambda device: (device.node, device.alsa),
)
"""The traits that a name may be, most trusted first."""


def unique_serials(plugs: Iterable[UsbDevice | None]) -> dict[UsbDevice | None, str]:
    """Return the serial number of each plug in `plugs` that no other one shares."""
    there = {usb for usb in plugs if usb is not None}
    seen = Counter((usb.vid, usb.pid, usb.serial) for usb in there)
    return {
        usb: usb.serial
        for usb in there
        if usb.serial and is_own_serial(usb.serial) and seen[usb.vid, usb.pid, usb.serial] == 1
    }


def base_id(usb: UsbDevice | None, serial: str | None, place: str) -> str:
    """Return the id of a plug (`046d:0825:CAM0001`, `534d:2109@1-2`); without a plug, its `place`."""
    if usb is None:
        return place
    return f"{usb.vid}:{usb.pid}:{serial}" if serial else f"{usb.vid}:{usb.pid}@{usb.port}"


_PART = re.compile(r"\+(?:picture|sound)(\d*)$")


def plug_part(device_id: str, kind: DeviceKind) -> tuple[str, int]:
    """Return a device's part of its plug: ("picture", 1), ("sound", 2)."""
    match = _PART.search(device_id)
    return "sound" if kind is DeviceKind.MICROPHONE else "picture", int(match[1] or 1) if match else 1


def find_video(devices: Sequence[Device], name: str) -> Device:
    """Return the video device with an id, serial, role, port or node called `name`.

    The name of its sound device works too. Raises DeviceNotFound (naming the plugged-in devices), DeviceError (no
    video) or UsageError (several match).
    """
    return _find(devices, name, "picture", lambda device: device.node is not None)


def find_sound(devices: Sequence[Device], name: str) -> Device:
    """Return the sound device called `name`; the name of its video device works too. Raises as `find_video`."""
    return _find(devices, name, "sound", lambda device: device.kind is DeviceKind.MICROPHONE)


def _find(devices: Sequence[Device], name: str, what: str, suits: Callable[[Device], bool]) -> Device:
    named = _named(devices, name)
    if not named:
        raise DeviceNotFound(f"no connected device is called {name!r}", hint=_what_there_is(devices, suits), about=name)
    partners = {device.paired_with for device in named}
    suited = [device for device in named if suits(device)]
    suited = suited or [device for device in devices if device.id in partners and suits(device)]
    if not suited:
        message = f"{named[0].name} ({named[0].id}) gives no {what}"
        raise DeviceError(message, hint=_what_there_is(devices, suits), why="unsupported")
    if len(suited) > 1:
        ids = " and ".join(device.id for device in suited)
        raise UsageError(f"{name!r} means more than one device: {ids}", hint="Name one of them by its id.")
    return suited[0]


def _named(devices: Sequence[Device], name: str) -> list[Device]:
    """Return the devices that match `name` in the most trusted trait that matches at all."""
    word = os.path.realpath(name) if name.startswith("/dev/") else name.strip()
    for traits in _TRAITS:
        found = [device for device in devices if word.casefold() in {str(t).casefold() for t in traits(device) if t}]
        if found:
            return found
    return []


def _what_there_is(devices: Sequence[Device], suits: Callable[[Device], bool]) -> str:
    suited = [f"{device.id} ({device.name})" for device in devices if suits(device)]
    return "Plugged in: " + ", ".join(suited) if suited else "Nothing of that kind is plugged in."
