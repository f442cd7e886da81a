"""Who has which role: found out, given and taken away, by whoever is asked for it."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from agent.devices.gather import named
from capture.sound.inputs import server_inputs
from capture.sources.kind_names import source_names
from config.errors import DeviceNotFound, LiputError
from config.settings.schema import Settings
from devices.health.line import Kind, Record
from devices.health.log import open_health_log
from devices.host.clock import SystemClock
from devices.model.device import Device
from devices.monitor import known
from devices.monitor.identity import find_sound, find_video
from devices.monitor.snapshot import list_devices
from devices.roles import roles
from devices.roles.matching import Binding, Resolution, resolve_all


class RoleState(msgspec.Struct, frozen=True, kw_only=True):
    """A role as `liput devices roles --json` prints it.

    `id` and `name` are of the device that it was given to, `device` has it now, `unclear` why that may be another.
    A missing one has a `reason`, a `replacement` to take, and those of its model `elsewhere`.
    """

    role: str
    state: str
    id: str
    name: str
    device: str | None = None
    port: str | None = None
    reason: str | None = None
    unclear: str | None = None
    replacement: str | None = None
    elsewhere: tuple[str, ...] = ()


def give(
    settings: Settings, role: str, name: str, *, moves: bool = False
) -> tuple[str, Device, Binding | None, list[Device]]:
    """Give `role` to a device, which gives up its role where it `moves`. Raises DeviceError, StateError, UsageError.

    Return the role, the device, its holder before, and all devices.
    """
    role = roles.role_name(role, source_names())
    store = roles.roles_store()
    devices = everything(store.read(), name)
    device, clock = find(devices, role, name), SystemClock()
    with open_health_log(settings, clock) as record:
        before = roles.assign(store, role, device, devices, now=clock.now(), record=record, moves=moves)
        model = [other for other in devices if device.vid and (other.vid, other.pid) == (device.vid, device.pid)]
        confirm_devices(record, model)
    return role, device, before, devices


def take_away(settings: Settings, role: str) -> Binding:
    """Take `role` from whatever device has it, and return that. Raises StateError, UsageError."""
    with open_health_log(settings, SystemClock()) as record:
        return roles.unassign(roles.roles_store(), role, record=record)


def find(devices: Sequence[Device], role: str, name: str) -> Device:
    """Return the device that is meant: of a plug with picture and sound, the one that suits the role."""
    if role.startswith(roles.MICROPHONE):
        return find_sound(devices, name)
    if role.rstrip("0123456789") in roles.VIDEO_ROLES:
        return find_video(devices, name)
    return named(devices, name)


def confirm_devices(record: Record, devices: Sequence[Device]) -> list[str]:
    """Say that `devices` are who they seem to be; return the names of those of which that was not clear."""
    names = {device.id: device.name for device in devices}
    unclear = known.confirm(known.known_store(), list(names))
    for device_id in unclear:
        record(
            device_id,
            Kind.RECOVERED,
            "somebody has looked: it is the right one",
            name=names[device_id],
            fault="swapped",
        )
    return [f"{names[device_id]} ({device_id})" for device_id in unclear]


def everything(given: Mapping[str, Binding], name: str = "") -> list[Device]:
    """Return what is plugged in with its roles; with the sound servers' inputs, which take time, if one is meant."""
    devices = list_devices()
    words = [name, *(binding.id for binding in given.values())]
    if any(word.startswith(roles.SERVER_INPUTS) for word in words) or (name and not _is_plugged_in(devices, name)):
        devices += server_inputs()
    return roles.with_roles(devices, given)


def _is_plugged_in(devices: Sequence[Device], name: str) -> bool:
    try:
        find_video(devices, name)
    except DeviceNotFound:
        return False
    except LiputError:
        return True  # it gives no picture, or is one of several: it is there
    return True


def role_states(given: Mapping[str, Binding], devices: Sequence[Device]) -> Iterator[RoleState]:
    """Yield how each role stands; raises StateError."""
    unclear = known.known_store().read()
    for role, found in resolve_all(given, devices).items():
        yield _state(role, given[role], found, unclear)


def _state(role: str, binding: Binding, found: Resolution, unclear: known.KnownById) -> RoleState:
    if isinstance(found, Device):
        swapped = unclear[found.id].swapped if found.id in unclear else None
        return RoleState(
            role=role, state="present", id=binding.id, name=found.name, device=found.id, port=found.port,
            unclear=swapped,
        )  # fmt: skip
    return RoleState(
        role=role, state="missing", id=binding.id, name=binding.name, port=binding.port, reason=found.reason,
        replacement=found.replacement.id if found.replacement else None,
        elsewhere=tuple(device.id for device in found.elsewhere),
    )  # fmt: skip
