"""What is plugged in now, with all that is known of it besides: sound servers' inputs, roles, faults, swaps."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

from capture.sound.inputs import server_inputs
from config.errors import DeviceError, DeviceNotFound, StateError
from devices.health.log import log_folder
from devices.health.summary import open_faults, with_found
from devices.host.clock import SystemClock
from devices.model.device import Device
from devices.monitor.identity import find_sound, find_video
from devices.monitor.known import known_store, with_swaps
from devices.monitor.snapshot import list_devices
from devices.roles.roles import Roles, with_roles
from devices.usb.ports import with_slow_ports


def known(roles: Roles, there: Sequence[Device] | None = None) -> list[Device]:
    """Return all devices, or those `there`, with `roles` and with the faults that their users found."""
    found = everything() if there is None else there
    return with_roles(with_what_is_known(with_slow_ports(found), SystemClock().now()), roles)


def with_what_is_known(devices: Sequence[Device], now: datetime) -> list[Device]:
    """Return `devices` with swaps and open faults; what cannot be read costs the list nothing else."""
    found = list(devices)
    with suppress(StateError):
        found = with_swaps(found, known_store().read())
    with suppress(StateError):
        faults = open_faults(log_folder(), now=now)
        found = [with_found(device, faults.get(device.id)) for device in found]
    return found


def everything() -> list[Device]:
    """Return what udev knows, then what only PortAudio knows; both are asked at the same time."""
    with ThreadPoolExecutor(1) as pool:
        of_servers = pool.submit(server_inputs)
        return [*list_devices(), *of_servers.result()]


def named(devices: Sequence[Device], name: str) -> Device:
    """Return the device that `name` means, its picture before its sound. Raises DeviceError, UsageError."""
    try:
        return exactly(devices, name) or find_video(devices, name)
    except DeviceNotFound:
        raise
    except DeviceError:  # it gives no picture
        return find_sound(devices, name)


def exactly(devices: Sequence[Device], name: str) -> Device | None:
    """Return the device that has `name` as its id, its node or its ALSA name, which no other has."""
    word = name.strip().casefold()
    for device in devices:
        if word in {trait.casefold() for trait in (device.id, device.node, device.alsa) if trait}:
            return device
    return None
