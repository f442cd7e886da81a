"""Finds the device that has a role now. A role never moves to another device silently.

    the role was given to              now it is                                        else
    a device without a USB plug        the one with that id                             missing
    a serial number of its own         that one, in whatever port                       missing
    the same, now shared by twins      the twin in the same port                        missing
    a make without serial numbers      the same make, with the same capabilities,       missing
                                       in the same port

Another device of the same model in the same port (other serial number or capabilities) is offered as a replacement.
Devices of that model in other ports are named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from devices.model.device import Device, DeviceKind
from devices.monitor.identity import plug_part


class RoleBinding(msgspec.Struct, frozen=True, kw_only=True):
    """The device with a role, with all traits that identify it, and the time of assignment."""

    id: str
    name: str
    kind: DeviceKind
    vid: str | None = None
    pid: str | None = None
    serial: str | None = None
    shared_serial: str | None = None
    port: str | None = None
    place: str | None = None
    capabilities: str | None = None
    at: datetime


def binding_of(device: Device, at: datetime) -> RoleBinding:
    traits = {name: getattr(device, name) for name in RoleBinding.__struct_fields__ if name != "at"}
    return RoleBinding(**traits, at=at)


@dataclass(frozen=True, slots=True)
class MissingDevice:
    """The device is missing: the reason, a possible replacement, and devices of its model in other ports."""

    reason: str
    replacement: Device | None = None
    elsewhere: tuple[Device, ...] = ()


type RoleResolution = Device | MissingDevice


def resolve(binding: RoleBinding, devices: Sequence[Device]) -> RoleResolution:
    """Find the device of `binding` among `devices`."""
    if binding.vid is None:
        found = next((device for device in devices if device.id == binding.id), None)
        return found or MissingDevice("it is not there")
    same = [device for device in devices if _is_same_model(binding, device)]
    here = next((device for device in same if _is_same_place(binding, device)), None)
    if binding.serial and (owner := next((device for device in same if device.serial == binding.serial), None)):
        return owner
    if here and not (differs := _difference(binding, here)):
        return here
    others = tuple(device for device in same if device is not here)
    if here:
        return MissingDevice(f"another {here.name} is in its port {here.port}: {differs}", here, others)
    return MissingDevice(_absence(binding, others), None, others)


def _is_same_model(binding: RoleBinding, device: Device) -> bool:
    is_model = (binding.vid, binding.pid) == (device.vid, device.pid)
    return is_model and plug_part(binding.id, binding.kind) == plug_part(device.id, device.kind)


def _is_same_place(binding: RoleBinding, device: Device) -> bool:
    """Return whether a device is in the bound port, also after its bus was renumbered."""
    if binding.place and device.place:
        return binding.place == device.place
    return binding.port is not None and binding.port == device.port


def _difference(binding: RoleBinding, here: Device) -> str:
    bound, said = binding.serial or binding.shared_serial, here.serial or here.shared_serial
    if said != bound:
        known = f"not {bound}" if bound else "and the one before had none"
        return (
            f"its serial number is {said}, {known}"
            if said
            else f"it has no serial number, and the one before had {bound}"
        )
    if binding.serial is None and binding.capabilities and here.capabilities:
        return "" if binding.capabilities == here.capabilities else "it can do other things than the one before"
    return ""


def _absence(binding: RoleBinding, others: Sequence[Device]) -> str:
    twins = [device.port or "?" for device in others if binding.serial and device.shared_serial == binding.serial]
    if twins:
        where = f"in port {' and '.join(twins)}, and none of them in port {binding.port}"
        return f"more than one device has the serial number {binding.serial}, {where}"
    if others and binding.shared_serial:
        return f"it is not in port {binding.port}, and others say its serial number {binding.shared_serial}, too"
    if others and not binding.serial:
        return f"it is not in port {binding.port}, and has no serial number by which it could be known in another"
    return f"it is not plugged in (it was in port {binding.port})"


def resolve_all(roles: Mapping[str, RoleBinding], devices: Sequence[Device]) -> dict[str, RoleResolution]:
    """Resolve all roles, at most one for each device. A port counts more than a serial number, which twins share."""
    alone = {role: resolve(binding, devices) for role, binding in roles.items()}
    found: dict[str, RoleResolution] = {}
    holders: dict[str, str] = {}

    def rank(role: str) -> tuple[bool, datetime, str]:
        resolution, binding = alone[role], roles[role]
        is_here = isinstance(resolution, Device) and _is_same_place(binding, resolution)
        return not is_here, binding.at, role

    for role in sorted(roles, key=rank):
        resolution = alone[role]
        if isinstance(resolution, Device) and (holder := holders.setdefault(resolution.id, role)) != role:
            resolution = MissingDevice(f"{resolution.name} has the role {holder}")
        found[role] = resolution
    return {role: _without(found[role], holders) for role in roles}


def _without(resolution: RoleResolution, holders: Mapping[str, str]) -> RoleResolution:
    if isinstance(resolution, Device):
        return resolution
    replacement = resolution.replacement
    if replacement and replacement.id in holders:
        replacement = None
    return MissingDevice(
        resolution.reason, replacement, tuple(device for device in resolution.elsewhere if device.id not in holders)
    )
