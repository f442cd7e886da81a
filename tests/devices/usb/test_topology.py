"""The tree of hubs, from records of real ones."""

from pathlib import Path

import pytest

from devices.usb.topology import Topology, UsbNode, parent_of
from tests.support.usb_trees import add_device, usb_tree


@pytest.fixture
def cameras(tmp_path: Path) -> Topology:
    return Topology.read(usb_tree("three_cameras", tmp_path))


def test_the_way_to_a_camera_names_each_hub_with_its_speed(cameras: Topology) -> None:
    way = cameras.path("5-1.3.1.3.7")
    assert [node.port for node in way] == ["usb5", "5-1", "5-1.3", "5-1.3.1", "5-1.3.1.3", "5-1.3.1.3.7"]
    assert {node.link_bps for node in way} == {480_000_000}
    assert [node.is_hub for node in way] == [True] * 5 + [False]
    assert [node.is_root for node in way] == [True] + [False] * 5


def test_a_device_is_what_sysfs_says_it_is(cameras: Topology) -> None:
    camera = cameras.node("5-1.4")
    assert camera is not None
    assert (camera.vid, camera.pid, camera.serial, camera.name) == ("046d", "0893", "5079EB25", "Logitech StreamCam")
    assert (camera.superspeed, camera.can_stream) == (True, True)
    nameless = cameras.node("5-1.3.1.3.7")
    assert nameless is not None
    assert (nameless.name, nameless.superspeed) == ("Logitech C270", None)


def test_descriptors_of_a_real_camera_are_read_past_all_that_is_in_between(cameras: Topology) -> None:
    camera = cameras.node("5-1.3.1.3.7")
    assert camera is not None
    sizes = [endpoint.payload for endpoint in camera.endpoints if endpoint.kind == (0x0E, 0x02)]
    assert sizes == [192, 384, 512, 640, 800, 944, 1280, 1600, 1984, 2688, 3060]


def test_a_whole_record_of_sysfs(tmp_path: Path) -> None:
    rig = Topology.read(usb_tree("rig", tmp_path))
    assert [node.port for node in rig] == ["usb1", "1-1", "1-2", "usb2"]
    assert [node.superspeed for node in rig] == [None, None, None, True]
    camera, stick = rig.node("1-1"), rig.node("1-2")
    assert camera is not None
    assert stick is not None
    assert [(e.kind, e.transfer, e.payload) for e in camera.endpoints] == [((0x0E, 0x02), "bulk", 512)]
    assert (stick.name, stick.serial) == ("MS2109 HDMI capture stick", None)
    assert [e.transfer for e in stick.endpoints] == ["bulk", "isochronous"]


def test_what_is_not_there_has_no_way(cameras: Topology, tmp_path: Path) -> None:
    assert cameras.path("5-7") == ()
    assert cameras.path(None) == ()
    assert cameras.node(None) is None
    assert list(Topology.read(tmp_path / "no-usb-here")) == []


def test_a_device_that_is_half_gone_is_left_out(tmp_path: Path) -> None:
    add_device(tmp_path, "1-1", {"idVendor": "046d", "idProduct": "0825"})
    add_device(tmp_path, "1-2", {"idVendor": "046d", "idProduct": "0825", "speed": "unknown"})
    add_device(tmp_path, "1-3:1.0", {"speed": 480})
    add_device(tmp_path, "1-10", {"idVendor": "046D", "idProduct": "0825", "speed": 12, "descriptors": "ff"})
    (node,) = Topology.read(tmp_path)
    assert (node.port, node.vid, node.link_bps, node.superspeed, node.endpoints) == (
        "1-10",
        "046d",
        12_000_000,
        False,
        (),
    )


def test_ports_and_the_hubs_they_belong_to() -> None:
    assert [parent_of(port) for port in ("1-1.2", "1-1", "12-3", "usb1")] == ["1-1", "usb1", "usb12", None]


def alone(tmp_path: Path, **attributes: object) -> UsbNode:
    """Return a device of which sysfs says that much."""
    add_device(tmp_path, "1-1", {"idVendor": "1d6b", "idProduct": "ffff", "speed": 480} | attributes)
    node = Topology.read(tmp_path).node("1-1")
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("product", "kind", "name"),
    [("", "09", "USB hub"), ("", "ef", "USB device"), ("Meeting Owl", "09", "Meeting Owl")],
)
def test_what_has_no_name_is_called_what_it_is(tmp_path: Path, product: str, kind: str, name: str) -> None:
    assert alone(tmp_path, product=product, bDeviceClass=kind).name == name


@pytest.mark.parametrize(
    ("endpoint", "can_stream"),
    [
        ("1.1 0e02 81 iso 0c00 1", True),
        ("1.1 0102 82 iso 00c4 1", True),
        ("1.1 0102 02 iso 00c4 1", False),
        ("1.1 0301 81 int 0008 1", False),
        ("1.1 0806 81 bulk 0200 0", False),
    ],
    ids=["camera", "microphone", "loudspeaker", "keyboard", "disk"],
)
def test_what_streams_has_pictures_or_sound_to_give(tmp_path: Path, endpoint: str, *, can_stream: bool) -> None:
    assert alone(tmp_path, endpoints=[endpoint]).can_stream is can_stream


@pytest.mark.parametrize(
    ("speed", "version", "superspeed"),
    [(5000, " 2.10", True), (480, " 3.00", True), (480, " 2.10", None), (12, " 2.00", False), (12, "nonsense", False)],
)
def test_what_could_do_usb_3_does_it_or_says_so(
    tmp_path: Path, speed: int, version: str, *, superspeed: bool | None
) -> None:
    assert alone(tmp_path, speed=speed, version=version).superspeed is superspeed


@pytest.mark.parametrize("kind", ["", "zz", "0x09", "1g"])
def test_a_class_that_is_no_number_is_that_of_no_hub(tmp_path: Path, kind: str) -> None:
    assert not alone(tmp_path, bDeviceClass=kind).is_hub
