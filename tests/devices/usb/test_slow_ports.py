"""A device that is faster than its port, and what else is where a node is."""

from pathlib import Path

import pytest

from devices.health.faults import Fault
from devices.health.log_line import LogKind, LogLevel
from devices.model.device import Device, DeviceKind, Health, HealthState
from devices.usb import slow_ports
from devices.usb.budget import bus_neighbours
from devices.usb.slow_ports import (
    SlowPortTracker,
    port_of,
    port_warning,
    streaming_neighbours,
    usable_bps,
    with_slow_ports,
)
from devices.usb.topology import UsbTopology
from tests.support.health import Recorded
from tests.support.ports import add_device, usb_tree
from tests.support.simulated import SimulatedClock

HUB = {"idVendor": "2109", "idProduct": "2813", "speed": 480, "bDeviceClass": "09", "version": " 2.10"}
SUPERSPEED = "050f0f0001 0a1003000e00020a0001"
NO_SUPERSPEED = "050f0c0001 07100202000000"


def device(port: str | None, name: str = "Camera") -> Device:
    return Device(id="camera", kind=DeviceKind.CAMERA, name=name, port=port)


def test_a_usb_3_camera_behind_a_usb_2_hub_is_told_which_hub(tmp_path: Path) -> None:
    cameras = UsbTopology.read(usb_tree("three_cameras", tmp_path))
    assert port_warning(cameras, device("5-1.4", "Logitech StreamCam")) == (
        "Logitech StreamCam is made for USB 3 and runs at 480 Mbit/s: the hub at port 5-1 is a USB 2 hub"
    )
    assert port_warning(cameras, device("5-1.3.1.3.7")) is None
    links = UsbTopology.read(usb_tree("two_cam_links", tmp_path))
    assert port_warning(links, device("2-1.1")) is None
    assert port_warning(links, device(None)) is None
    assert port_warning(links, device("9-9")) is None


@pytest.mark.parametrize(
    ("attributes", "warned"),
    [
        ({"idVendor": "1234", "idProduct": "0001", "bos_descriptors": SUPERSPEED, "version": " 2.10"}, True),
        ({"idVendor": "1234", "idProduct": "0001", "bos_descriptors": NO_SUPERSPEED, "version": " 2.10"}, False),
        ({"idVendor": "1234", "idProduct": "0001", "version": " 3.20"}, True),
        ({"idVendor": "1234", "idProduct": "0001", "version": " 2.10"}, False),
        ({"idVendor": "2935", "idProduct": "0006", "version": " 2.10"}, True),
        ({"idVendor": "2935", "idProduct": "0006", "version": " 2.10", "bos_descriptors": NO_SUPERSPEED}, False),
    ],
)
def test_who_could_do_usb_3_is_told_by_itself_else_by_the_table(
    tmp_path: Path, attributes: dict[str, str], warned: bool
) -> None:
    add_device(tmp_path, "usb1", HUB)
    add_device(tmp_path, "1-2", attributes | {"speed": "480"})
    found = port_warning(UsbTopology.read(tmp_path), device("1-2"))
    assert (found is not None) is warned
    if found:
        assert found == "Camera is made for USB 3 and runs at 480 Mbit/s: port 1-2 or the cable is USB 2"


def test_behind_a_usb_3_hub_it_is_the_cable_or_the_port(tmp_path: Path) -> None:
    add_device(tmp_path, "usb1", HUB)
    add_device(tmp_path, "1-1", HUB | {"bos_descriptors": SUPERSPEED})
    add_device(tmp_path, "1-1.3", {"idVendor": "2935", "idProduct": "0006", "speed": "480"})
    found = port_warning(UsbTopology.read(tmp_path), device("1-1.3"))
    assert (found or "").endswith("port 1-1.3 or the cable is USB 2")


def test_what_a_camera_may_take_is_read_from_its_own_folder(tmp_path: Path) -> None:
    root = usb_tree("three_cameras", tmp_path)
    assert usable_bps(device("5-1.3.1.3.7"), root) == 3 * 1020 * 8 * 8000
    assert usable_bps(device("5-9"), root) is None
    assert usable_bps(device(None), root) is None


def test_a_node_without_a_usb_plug_has_no_neighbours() -> None:
    assert port_of("/dev/full") is None
    assert streaming_neighbours("/dev/full") == []
    assert streaming_neighbours("/dev/is-not-there") == []


@pytest.mark.parametrize(
    ("port", "others"),
    [("5-1.4", ["H264 USB Camera (port 5-1.3.1.3.6)", "Logitech C270 (port 5-1.3.1.3.7)"]), (None, [])],
)
def test_neighbours_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str | None, others: list[str]
) -> None:
    monkeypatch.setattr(slow_ports, "port_of", lambda _: port)
    assert streaming_neighbours("/dev/video0", usb_tree("three_cameras", tmp_path)) == others


def test_one_alone_on_its_bus_has_its_controllers_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = {"idVendor": "1234", "idProduct": "0001", "endpoints": ["1.1 0e02 81 iso 0c00 1"]}
    add_device(tmp_path, "usb1", HUB)
    add_device(tmp_path, "1-1", HUB)
    add_device(tmp_path, "1-1.2", camera | {"speed": 12, "product": "Slow camera"})
    add_device(tmp_path, "1-2", camera | {"speed": 480, "product": "Camera"})
    assert bus_neighbours(UsbTopology.read(tmp_path), "1-2") == []
    monkeypatch.setattr(slow_ports, "port_of", lambda _: "1-2")
    assert streaming_neighbours("/dev/video0", tmp_path) == ["Slow camera (port 1-1.2)"]


SLOW = Device(id="046d:0893:S1", kind=DeviceKind.CAMERA, name="StreamCam", port="5-1.4", node="/dev/video0")
SOUND = Device(id="046d:0893:S1+sound", kind=DeviceKind.MICROPHONE, name="StreamCam (sound)", port="5-1.4")
FAST_ENOUGH = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="C270", port="5-1.3.1.3.7", node="/dev/video2")
BUILT_IN = Device(id="pci", kind=DeviceKind.CAMERA, name="Built-in", node="/dev/video4")
WARNING = "StreamCam is made for USB 3 and runs at 480 Mbit/s: the hub at port 5-1 is a USB 2 hub"


@pytest.fixture
def tree(tmp_path: Path) -> UsbTopology:
    return UsbTopology.read(usb_tree("three_cameras", tmp_path))


def test_the_listing_has_it_as_the_health_unless_there_is_worse(tree: UsbTopology) -> None:
    busy = Health(HealthState.BUSY, "busy", None, Fault.BUSY)
    held = Device(id="x", kind=DeviceKind.CAMERA, name="StreamCam", port="5-1.4", node="/dev/video6", health=busy)
    listed = with_slow_ports([SLOW, SOUND, FAST_ENOUGH, BUILT_IN, held], lambda: tree)
    assert [device.health.fault for device in listed] == ["slow-port", None, None, None, "busy"]
    assert (listed[0].health.state, listed[0].health.reason) == (HealthState.DEGRADED, WARNING)


def test_without_a_usb_device_no_tree_is_read() -> None:
    def fail() -> UsbTopology:
        raise AssertionError

    assert with_slow_ports([BUILT_IN], fail) == [BUILT_IN]


def test_it_is_in_the_log_once_and_over_when_the_device_leaves(tree: UsbTopology) -> None:
    clock = SimulatedClock()
    record = Recorded(clock)
    ports = SlowPortTracker(record, clock, lambda: tree)
    ports.observe([SLOW, SOUND, FAST_ENOUGH])
    ports.observe([SLOW, FAST_ENOUGH])
    (line,) = record.lines
    assert (line.device, line.kind, line.level, line.reason) == (SLOW.id, LogKind.DEGRADED, LogLevel.WARN, WARNING)
    assert (line.detail["fault"], line.detail["port"]) == (Fault.SLOW_PORT, "5-1.4")
    assert "USB 3 port" in str(line.detail["hint"])
    ports.observe([FAST_ENOUGH])
    assert [line.kind for line in record.lines] == [LogKind.DEGRADED, LogKind.RECOVERED]
    ports.observe([])
    ports.observe([SLOW])
    assert [line.kind for line in record.lines] == [LogKind.DEGRADED, LogKind.RECOVERED, LogKind.DEGRADED]
