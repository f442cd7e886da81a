"""The devices of this PC with inputs of sound servers, roles, faults and swaps; roles given and taken."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

import msgspec

from capture.sound.inputs import server_inputs
from capture.sources.source_kind_names import source_names
from config.errors import DeviceError, DeviceNotFound, LiputError, StateError
from config.settings.schema import Settings
from devices.health.log_line import HealthLogger, LogKind
from devices.health.log_writer import log_folder, open_health_log
from devices.health.summary import active_health, with_logged_health
from devices.host.clock import SystemClock
from devices.model.device import Device
from devices.monitor.identity import find_sound, find_video
from devices.monitor.known_devices import KnownById, confirm, known_store, with_swaps
from devices.monitor.snapshot import list_devices
from devices.roles.assignment import (
    MICROPHONE,
    SERVER_INPUTS,
    VIDEO_ROLES,
    Roles,
    assign,
    role_name,
    roles_store,
    unassign,
    with_roles,
)
from devices.roles.matching import RoleBinding, RoleResolution, resolve_all
from devices.usb.slow_ports import with_slow_ports


def known_devices(roles: Roles, there: Sequence[Device] | None = None) -> list[Device]:
    """Return all devices, or those in `there`, with roles and open faults."""
    found = list_all_devices() if there is None else there
    return with_roles(with_swaps_and_faults(with_slow_ports(found), SystemClock().now()), roles)


def with_swaps_and_faults(devices: Sequence[Device], now: datetime) -> list[Device]:
    """Return `devices` with swaps and open faults; unreadable files are ignored."""
    found = list(devices)
    with suppress(StateError):
        found = with_swaps(found, known_store().read())
    with suppress(StateError):
        faults = active_health(log_folder(), now=now)
        found = [with_logged_health(device, faults.get(device.id)) for device in found]
    return found


def list_all_devices() -> list[Device]:
    """Return devices from udev, then PortAudio's; both are asked at once."""
    with ThreadPoolExecutor(1) as pool:
        of_servers = pool.submit(server_inputs)
        return [*list_devices(), *of_servers.result()]


def find_device(devices: Sequence[Device], name: str) -> Device:
    """Return the device of this name, video before audio. Raises DeviceError, UsageError."""
    try:
        return device_by_id(devices, name) or find_video(devices, name)
    except DeviceNotFound as error:
        there = ", ".join(f"{device.id} ({device.name})" for device in devices)
        hint = f"Plugged in: {there}" if there else "Nothing is plugged in."
        raise DeviceNotFound(error.message, hint=hint) from error
    except DeviceError:  # it gives no video
        return find_sound(devices, name)


def device_by_id(devices: Sequence[Device], name: str) -> Device | None:
    """Return the device with this id, node or ALSA name; None if there is none."""
    word = name.strip().casefold()
    for device in devices:
        if word in {trait.casefold() for trait in (device.id, device.node, device.alsa) if trait}:
            return device
    return None


class RoleState(msgspec.Struct, frozen=True, kw_only=True):
    """A role as `liput devices roles --json` prints it.

    `id` and `name` belong to the device of the binding, `device` to the one present. `unclear` says why they may
    differ. A missing role has a `reason`, perhaps a `replacement`, and devices of its model `elsewhere`.
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


def give_role(
    settings: Settings, role: str, name: str, *, moves: bool = False
) -> tuple[str, Device, RoleBinding | None, list[Device]]:
    """Give `role` to a device. With `moves` it gives up its former role. Raises DeviceError, StateError, UsageError.

    Return the role, the device, its former holder, and all devices.
    """
    role = role_name(role, source_names())
    store = roles_store()
    devices = devices_with_roles(store.read(), name)
    device, clock = device_for_role(devices, role, name), SystemClock()
    with open_health_log(settings, clock) as record:
        before = assign(store, role, device, devices, now=clock.now(), record=record, moves=moves)
        model = [other for other in devices if device.vid and (other.vid, other.pid) == (device.vid, device.pid)]
        confirm_devices(record, model)
    return role, device, before, devices


def take_role_away(settings: Settings, role: str) -> RoleBinding:
    """Take `role` from its device; return its binding. Raises StateError, UsageError."""
    with open_health_log(settings, SystemClock()) as record:
        return unassign(roles_store(), role, record=record)


def device_for_role(devices: Sequence[Device], role: str, name: str) -> Device:
    """Return the device of this name that suits the role: video or audio of a plug."""
    if role.startswith(MICROPHONE):
        return find_sound(devices, name)
    if role.rstrip("0123456789") in VIDEO_ROLES:
        return find_video(devices, name)
    return find_device(devices, name)


def confirm_devices(record: HealthLogger, devices: Sequence[Device]) -> list[str]:
    """Confirm the identity of `devices`; return the names of those in doubt."""
    names = {device.id: device.name for device in devices}
    unclear = confirm(known_store(), list(names))
    for device_id in unclear:
        record(
            device_id,
            LogKind.RECOVERED,
            "somebody has looked: it is the right one",
            name=names[device_id],
            fault="swapped",
        )
    return [f"{names[device_id]} ({device_id})" for device_id in unclear]


def devices_with_roles(given: Mapping[str, RoleBinding], name: str = "") -> list[Device]:
    """Return the devices with roles; with the sound servers' inputs, which are slow, if one is named."""
    devices = list_devices()
    words = [name, *(binding.id for binding in given.values())]
    if any(word.startswith(SERVER_INPUTS) for word in words) or (name and not _is_plugged_in(devices, name)):
        devices += server_inputs()
    return with_roles(devices, given)


def _is_plugged_in(devices: Sequence[Device], name: str) -> bool:
    try:
        find_video(devices, name)
    except DeviceNotFound:
        return False
    except LiputError:
        return True  # no video, or one of several
    return True


def role_states(given: Mapping[str, RoleBinding], devices: Sequence[Device]) -> Iterator[RoleState]:
    """Yield the state of each role. Raises StateError."""
    unclear = known_store().read()
    for role, found in resolve_all(given, devices).items():
        yield _state(role, given[role], found, unclear)


def _state(role: str, binding: RoleBinding, found: RoleResolution, unclear: KnownById) -> RoleState:
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
