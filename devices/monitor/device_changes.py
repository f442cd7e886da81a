"""A look at the plugged-in devices, and the changes between two looks.

A device is followed by its port and the kernel's count of enumerations there. Its id changes when a twin with the same
serial number appears. A device unplugged and plugged in between two looks counts as another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from devices.kernel.udev import UdevDevices, UsbHub
from devices.model.device import Device
from devices.monitor.identity import plug_part

type DeviceKey = tuple[str, int | None, tuple[str, int]]


class ChangeKind(StrEnum):
    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    MOVED = "moved"  # it is back in another port than before; `unplugged` was reported earlier
    CHANGED = "changed"  # it stayed in its port, and its id, node, health or pairing differs


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """One change. `device`: now (`unplugged`: last known); `before`: if known; `devices`: all present."""

    kind: ChangeKind
    device: Device
    before: Device | None
    devices: tuple[Device, ...]

    @property
    def is_of_health_only(self) -> bool:
        """Whether only the health differs, for example `busy`."""
        before = self.before if self.kind is ChangeKind.CHANGED else None
        return before is not None and msgspec.structs.replace(before, health=self.device.health) == self.device


@dataclass(frozen=True, slots=True)
class DeviceSnapshot:
    """The devices at one moment; `devnums` is the kernel's count of enumerations of each port."""

    devices: tuple[Device, ...] = ()
    hubs: tuple[UsbHub, ...] = ()
    devnums: Mapping[str, int | None] = field(default_factory=dict)

    def key(self, device: Device) -> DeviceKey:
        """Return a key that stays the same until the device is unplugged."""
        return device.port or device.id, self.devnums.get(device.port or ""), plug_part(device.id, device.kind)

    def by_key(self) -> dict[DeviceKey, Device]:
        return {self.key(device): device for device in self.devices}

    def plugs(self) -> dict[tuple[str, int | None], Device]:
        """Return one device of each USB plug, by port and enumeration."""
        return {(device.port, self.devnums.get(device.port)): device for device in self.devices if device.port}


def make_snapshot(found: UdevDevices, devices: list[Device]) -> DeviceSnapshot:
    usb = [picture.usb for picture in found.pictures] + [sound.usb for sound in found.sounds]
    return DeviceSnapshot(tuple(devices), found.hubs, {plug.port: plug.devnum for plug in usb if plug is not None})


def hubs_gone(before: DeviceSnapshot, after: DeviceSnapshot, unplugs: Mapping[str, int]) -> list[UsbHub]:
    """Return the hubs of `before` that are missing in `after`, or were away in between (`unplugs`, by port)."""
    there = {(hub.port, hub.vid, hub.pid) for hub in after.hubs}
    return [hub for hub in before.hubs if unplugs.get(hub.port) or (hub.port, hub.vid, hub.pid) not in there]


def keep_health_times(before: DeviceSnapshot, after: DeviceSnapshot) -> DeviceSnapshot:
    """Return `after`, with the time of each unchanged health taken from `before`."""
    old = before.by_key()

    def steady(device: Device) -> Device:
        former = old.get(after.key(device), device).health
        is_same = msgspec.structs.replace(device.health, since=former.since) == former
        return msgspec.structs.replace(device, health=former) if is_same else device

    return DeviceSnapshot(tuple(map(steady, after.devices)), after.hubs, after.devnums)
