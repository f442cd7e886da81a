"""The devices at one moment, and what changed since the look before.

A device is followed by its port and the kernel's count of enumerations there. Its id changes where a twin with the
same serial number comes; one that was pulled out and put back between two looks is another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from devices.kernel.udev import Hub, Plugged
from devices.model.device import Device, Health
from devices.monitor.identity import part

type Key = tuple[str, int | None, tuple[str, int]]


class ChangeKind(StrEnum):
    """What happened to a device."""

    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    MOVED = "moved"
    """It is plugged in again, in another port than the last time; `unplugged` has been told before."""
    CHANGED = "changed"
    """It stayed where it is, and something about it differs: its id, node, health, what it is paired with."""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """One change: the device now (`unplugged`: as it was last), as it was before if known, and all that are there."""

    kind: ChangeKind
    device: Device
    before: Device | None
    devices: tuple[Device, ...]

    @property
    def is_of_health_only(self) -> bool:
        """Whether nothing differs but the device's health: who uses it, for one."""
        before = self.before if self.kind is ChangeKind.CHANGED else None
        return before is not None and msgspec.structs.replace(before, health=self.device.health) == self.device


@dataclass(frozen=True, slots=True)
class Sight:
    """What is plugged in at one moment; `devnums` is the kernel's count of enumerations of each port."""

    devices: tuple[Device, ...] = ()
    hubs: tuple[Hub, ...] = ()
    devnums: Mapping[str, int | None] = field(default_factory=dict)

    def key(self, device: Device) -> Key:
        """Return what stays the same for as long as the device stays plugged in."""
        return device.port or device.id, self.devnums.get(device.port or ""), part(device)

    def by_key(self) -> dict[Key, Device]:
        """Return the devices by their keys."""
        return {self.key(device): device for device in self.devices}

    def plugs(self) -> dict[tuple[str, int | None], Device]:
        """Return the USB plugs that devices are on, by port and enumeration, each with one of its devices."""
        return {(device.port, self.devnums.get(device.port)): device for device in self.devices if device.port}


def sight(found: Plugged, devices: list[Device]) -> Sight:
    """Return the look that `found`, described as `devices`, is."""
    usb = [picture.usb for picture in found.pictures] + [sound.usb for sound in found.sounds]
    return Sight(tuple(devices), found.hubs, {plug.port: plug.devnum for plug in usb if plug is not None})


def hubs_gone(before: Sight, after: Sight, unplugs: Mapping[str, int]) -> list[Hub]:
    """Return the hubs of `before` that are not there any more, or were away between the looks (`unplugs`, by port).

    What a hub is called does not count: udev may not have known that yet.
    """
    there = {(hub.port, hub.vid, hub.pid) for hub in after.hubs}
    return [hub for hub in before.hubs if unplugs.get(hub.port) or (hub.port, hub.vid, hub.pid) not in there]


def steady(before: Sight, after: Sight) -> Sight:
    """Return `after` with the time since when a device's health is what it is taken from `before`, where it is so."""
    old = before.by_key()
    devices = tuple(_steady(old.get(after.key(device)), device) for device in after.devices)
    return Sight(devices, after.hubs, after.devnums)


def _steady(before: Device | None, after: Device) -> Device:
    if before is None or _without_time(before.health) != _without_time(after.health):
        return after
    return msgspec.structs.replace(after, health=before.health)


def _without_time(health: Health) -> Health:
    return msgspec.structs.replace(health, since=None)
