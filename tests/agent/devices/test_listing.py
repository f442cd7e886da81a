"""What is known of devices besides what is plugged in: which may have been swapped, and what others found of them."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.devices.listing import with_swaps_and_faults
from devices.health.faults import Fault, with_health
from devices.health.log_line import LogKind
from devices.health.log_writer import HealthLog, log_folder
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind
from devices.monitor.known_devices import KnownDevice, known_store

THEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0")
TWIN = msgspec.structs.replace(CAMERA, id="046d:0825:A2")


def now() -> datetime:
    return SystemClock().now()


def swap(device: Device) -> None:
    known = KnownDevice(
        name=device.name, first_seen=THEN, last_seen=THEN, swapped="it may be its twin", swapped_at=THEN
    )
    known_store().change(lambda _: {device.id: known})


def find(device: Device, *faults: Fault) -> None:
    """Say in the health log what this process has found of a device that it has open."""
    with HealthLog(clock=SystemClock(), journal=None) as log:
        log(device.id, LogKind.OPENED)
        for fault in faults:
            log(device.id, LogKind.DEGRADED, f"it is {fault}", fault=fault)


def faults_of(*devices: Device) -> list[str | None]:
    return [device.health.fault for device in with_swaps_and_faults(devices, now())]


def test_the_worst_of_all_that_is_known_is_shown() -> None:
    swap(CAMERA)
    assert faults_of(CAMERA, TWIN) == ["swapped", None]
    find(CAMERA, Fault.SLOW_PORT)
    assert faults_of(CAMERA, TWIN) == ["swapped", None]
    find(CAMERA, Fault.FLAPPING)
    assert faults_of(CAMERA, TWIN) == ["flapping", None]


def test_what_may_not_be_opened_is_shown_as_that_in_whatever_port_it_is() -> None:
    find(CAMERA, Fault.SLOW_PORT)
    assert faults_of(with_health(CAMERA, Fault.DENIED, "denied", THEN)) == ["denied"]
    assert faults_of(with_health(CAMERA, Fault.BUSY, "used by zoom", THEN)) == ["busy"]


def test_one_that_is_in_use_is_as_whoever_has_it_says() -> None:
    find(CAMERA, Fault.FROZEN)
    assert faults_of(with_health(CAMERA, Fault.BUSY, "used by liput", THEN)) == ["frozen"]


@pytest.mark.parametrize("file", ["devices.json", "health"])
def test_what_cannot_be_read_costs_nothing_else(file: str) -> None:
    swap(CAMERA)
    state = known_store().path.parent
    if file == "health":
        (state / file).write_text("no folder")
        assert faults_of(CAMERA) == ["swapped"]
    else:
        find(CAMERA, Fault.HUM)
        Path(state / file).write_text("torn")
        assert faults_of(CAMERA) == ["hum"]
    assert log_folder().parent == state
