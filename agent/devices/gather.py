"""What is plugged in now, with all that is known of it besides: sound servers' inputs, roles, faults, swaps."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.devices.board import with_fault
from capture.sound.inputs import server_inputs
from config.errors import StateError
from devices.clock import SystemClock
from devices.health.log import log_folder
from devices.health.present import open_faults
from devices.model import Device
from devices.monitor.known import known_store, with_swaps
from devices.roles.roles import Roles, with_roles
from devices.snapshot import list_devices
from devices.usb.slow_ports import with_slow_ports


def known(roles: Roles, there: Sequence[Device] | None = None) -> list[Device]:
    """Return everything, with the roles in `roles`, and with what those who use it have found wrong.

    `there` is what is plugged in, for whoever has watched it; None: that is looked for.
    """
    found = everything() if there is None else there
    return with_roles(_with_faults(with_slow_ports(_with_swaps(found))), roles)


def everything() -> list[Device]:
    """Return what udev knows, then what only PortAudio knows; both are asked at the same time."""
    with ThreadPoolExecutor(1) as pool:
        of_servers = pool.submit(server_inputs)
        return [*list_devices(), *of_servers.result()]


def exactly(devices: Sequence[Device], name: str) -> Device | None:
    """Return the device that has `name` as its id, its node or its ALSA name, which no other has."""
    word = name.strip().casefold()
    for device in devices:
        if word in {trait.casefold() for trait in (device.id, device.node, device.alsa) if trait}:
            return device
    return None


def _with_faults(devices: Sequence[Device]) -> list[Device]:
    """Return `devices` with what those who use them have found wrong: a device that is in use cannot be asked."""
    try:
        faults = open_faults(log_folder(), now=SystemClock().now())
    except StateError:
        return list(devices)
    return [with_fault(device, faults.get(device.id)) for device in devices]


def _with_swaps(devices: Sequence[Device]) -> list[Device]:
    """Return `devices`, with those that may have changed places with a twin, as whoever watched them has kept it."""
    try:
        return with_swaps(devices, known_store().read())
    except StateError:
        return list(devices)
