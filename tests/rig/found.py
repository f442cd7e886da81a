"""The rig's devices as Liput finds them."""

import time
from contextlib import suppress

from config.errors import DeviceNotFound
from devices.model.device import Device
from devices.monitor.snapshot import list_devices
from tests.rig.rig import RigDevice


def current(device_id: str) -> Device:
    """Return the device `device_id` as it is plugged in now (its node may be another); raises DeviceNotFound."""
    for device in list_devices():
        if device.id == device_id:
            return device
    raise DeviceNotFound(f"{device_id} is not plugged in")


def listed(device_id: str) -> Device:
    """Return a device once udev is done with it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(DeviceNotFound):
            return current(device_id)
        time.sleep(0.05)
    raise TimeoutError(device_id)


def device_of(rig: RigDevice) -> Device:
    """Return the picture of a rig device that is plugged in."""
    node = rig.wait_for_video()
    return next(device for device in list_devices() if device.node == node)
