"""What `liput devices --watch` shows: what is plugged in, put together from all who know a part of it."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from config.errors import StateError
from devices.health.summary import with_found
from devices.model.device import Device, Health
from devices.monitor.changes import ChangeKind, DeviceChange
from devices.roles.matching import Missing, resolve_all
from devices.roles.roles import Roles, roles_store, with_roles

HEALTH = "health"
"""The word for a change of a device's health alone; the others are those of devices.monitor.changes.ChangeKind."""


type Change = tuple[str, Device]
"""What happened to one device, and how it is now, or was last."""


def roles_given() -> Roles:
    """Return the roles that people have given; none where these cannot be read."""
    try:
        return roles_store().read()
    except StateError:
        return {}


def missing_roles(roles: Roles, devices: Sequence[Device]) -> list[str]:
    """Return a sentence for each role whose device is not there."""
    resolved = resolve_all(roles, devices)
    return [
        f"{role} is missing: {roles[role].name} ({roles[role].id}): {found.reason}"
        for role, found in resolved.items()
        if isinstance(found, Missing)
    ]


class DeviceBoard:
    """Puts together devices, sound servers' inputs, open faults and roles; each method returns changes."""

    def __init__(self, roles: Callable[[], Roles] = roles_given) -> None:
        """`roles` reads who has which role."""
        self._roles = roles
        self._hardware: tuple[Device, ...] = ()
        self._inputs: tuple[Device, ...] = ()
        self._faults: Mapping[str, Health] = {}
        self.devices: tuple[Device, ...] = ()
        self.missing: list[str] = []
        """A sentence for each role whose device is not there."""

    def begin(self, hardware: Sequence[Device]) -> None:
        """Take `hardware` as what is plugged in at first."""
        self._hardware = tuple(hardware)
        self._update({})

    def hardware(self, change: DeviceChange) -> list[Change]:
        """Take a change that the monitor told."""
        self._hardware = change.devices
        before = change.before if change.kind is ChangeKind.CHANGED else None
        renamed = before.id if before and before.id != change.device.id else None
        # Of one that stayed as what it was, what differs says which change it is: its health, or something else.
        changes = self._update({} if before and not renamed else {change.device.id: str(change.kind)})
        return [(word, device) for word, device in changes if device.id != renamed]

    def inputs(self, inputs: Sequence[Device]) -> list[Change]:
        """Take what the sound servers offer now."""
        self._inputs = tuple(inputs)
        return self._update({})

    def faults(self, faults: Mapping[str, Health]) -> list[Change]:
        """Take the faults, by the ids of their devices, that those who use these have found."""
        self._faults = faults
        return self._update({})

    def roles(self) -> list[Change]:
        """Look anew at who has which role."""
        return self._update({})

    def _update(self, words: Mapping[str, str]) -> list[Change]:
        before = {device.id: device for device in self.devices}
        roles = self._roles()
        devices = with_roles([*self._hardware, *self._inputs], roles)
        self.missing = missing_roles(roles, devices)
        self.devices = tuple(with_found(device, self._faults.get(device.id)) for device in devices)
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
