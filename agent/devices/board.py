"""The devices of `liput devices --watch`, from udev, sound servers, health log and roles."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from config.errors import StateError
from devices.health.summary import with_logged_health
from devices.model.device import Device, Health
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.roles.assignment import Roles, roles_store, with_roles
from devices.roles.matching import MissingDevice, resolve_all

HEALTH = "health"  # a change of health alone; the other words are those of devices.monitor.device_changes.ChangeKind

type Change = tuple[str, Device]  # a word for the change, and the device after it (unplugged: before it)


def read_roles() -> Roles:
    """Return the roles given; none if they cannot be read."""
    try:
        return roles_store().read()
    except StateError:
        return {}


def missing_roles(roles: Roles, devices: Sequence[Device]) -> list[str]:
    """Return a sentence for each role without its device."""
    resolved = resolve_all(roles, devices)
    return [
        f"{role} is missing: {roles[role].name} ({roles[role].id}): {found.reason}"
        for role, found in resolved.items()
        if isinstance(found, MissingDevice)
    ]


class DeviceBoard:
    """Combines devices, inputs of sound servers, open faults and roles. Methods return changes."""

    def __init__(self, roles: Callable[[], Roles] = read_roles) -> None:
        """`roles` returns the roles given."""
        self._roles = roles
        self._hardware: tuple[Device, ...] = ()
        self._inputs: tuple[Device, ...] = ()
        self._faults: Mapping[str, Health] = {}
        self.devices: tuple[Device, ...] = ()
        self.missing: list[str] = []  # a sentence for each role without its device

    def begin(self, hardware: Sequence[Device]) -> None:
        """Take the devices that are plugged in at first."""
        self._hardware = tuple(hardware)
        self._update({})

    def hardware(self, change: DeviceChange) -> list[Change]:
        """Take a change from the monitor."""
        self._hardware = change.devices
        before = change.before if change.kind is ChangeKind.CHANGED else None
        renamed = before.id if before and before.id != change.device.id else None
        # A device that stayed may have changed its health, or more.
        changes = self._update({} if before and not renamed else {change.device.id: str(change.kind)})
        return [(word, device) for word, device in changes if device.id != renamed]

    def inputs(self, inputs: Sequence[Device]) -> list[Change]:
        """Take the inputs of the sound servers."""
        self._inputs = tuple(inputs)
        return self._update({})

    def faults(self, faults: Mapping[str, Health]) -> list[Change]:
        """Take the faults, by ids of devices."""
        self._faults = faults
        return self._update({})

    def roles(self) -> list[Change]:
        """Read the roles again."""
        return self._update({})

    def _update(self, words: Mapping[str, str]) -> list[Change]:
        before = {device.id: device for device in self.devices}
        roles = self._roles()
        devices = with_roles([*self._hardware, *self._inputs], roles)
        self.missing = missing_roles(roles, devices)
        self.devices = tuple(with_logged_health(device, self._faults.get(device.id)) for device in devices)
        after = {device.id: device for device in self.devices}
        gone = [(words.get(key, ChangeKind.UNPLUGGED), before[key]) for key in before.keys() - after.keys()]
        there = [
            (words.get(key) or _word(before.get(key), device), device)
            for key, device in after.items()
            if device != before.get(key)
        ]
        return gone + there


def _word(before: Device | None, after: Device) -> str:
    if before is None:
        return ChangeKind.PLUGGED
    return HEALTH if msgspec.structs.replace(before, health=after.health) == after else ChangeKind.CHANGED
