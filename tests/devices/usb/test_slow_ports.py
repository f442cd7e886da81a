"""USB 3 devices in USB 2 ports: what the listing and the health log say of them."""

from pathlib import Path

import pytest

from devices.health.faults import Fault
from devices.health.line import Kind, Level
from devices.model import Device, DeviceKind, Health, HealthState
from devices.usb.slow_ports import SlowPorts, with_slow_ports
from devices.usb.topology import Topology
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.usb_trees import usb_tree

SLOW = Device(id="046d:0893:S1", kind=DeviceKind.CAMERA, name="StreamCam", port="5-1.4", node="/dev/video0")
SOUND = Device(id="046d:0893:S1+sound", kind=DeviceKind.MICROPHONE, name="StreamCam (sound)", port="5-1.4")
FAST_ENOUGH = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="C270", port="5-1.3.1.3.7", node="/dev/video2")
BUILT_IN = Device(id="pci", kind=DeviceKind.CAMERA, name="Built-in", node="/dev/video4")
WARNING = "StreamCam is made for USB 3 and runs at 480 Mbit/s: the hub at port 5-1 is a USB 2 hub"


@pytest.fixture
def tree(tmp_path: Path) -> Topology:
    return Topology.read(usb_tree("three_cameras", tmp_path))


def test_the_listing_has_it_as_the_health_unless_there_is_worse(tree: Topology) -> None:
    busy = Health(HealthState.BUSY, "busy", None, Fault.BUSY)
    held = Device(id="x", kind=DeviceKind.CAMERA, name="StreamCam", port="5-1.4", node="/dev/video6", health=busy)
    listed = with_slow_ports([SLOW, SOUND, FAST_ENOUGH, BUILT_IN, held], lambda: tree)
    assert [device.health.fault for device in listed] == ["slow-port", None, None, None, "busy"]
    assert (listed[0].health.state, listed[0].health.reason) == (HealthState.DEGRADED, WARNING)


def test_without_a_usb_device_no_tree_is_read() -> None:
    def fail() -> Topology:
        raise AssertionError

    assert with_slow_ports([BUILT_IN], fail) == [BUILT_IN]


def test_it_is_in_the_log_once_and_over_when_the_device_leaves(tree: Topology) -> None:
    clock = SimulatedClock()
    record = Recorded(clock)
    ports = SlowPorts(record, clock, lambda: tree)
    ports.observe([SLOW, SOUND, FAST_ENOUGH])
    ports.observe([SLOW, FAST_ENOUGH])
    (line,) = record.lines
    assert (line.device, line.kind, line.level, line.reason) == (SLOW.id, Kind.DEGRADED, Level.WARN, WARNING)
    assert (line.detail["fault"], line.detail["port"]) == (Fault.SLOW_PORT, "5-1.4")
    assert "USB 3 port" in str(line.detail["hint"])
    ports.observe([FAST_ENOUGH])
    assert [line.kind for line in record.lines] == [Kind.DEGRADED, Kind.RECOVERED]
    ports.observe([])
    ports.observe([SLOW])
    assert [line.kind for line in record.lines] == [Kind.DEGRADED, Kind.RECOVERED, Kind.DEGRADED]
