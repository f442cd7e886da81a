"""The tree of hubs, from records of real ones."""

from pathlib import Path

import pytest

from devices.usb.topology import (
    HIGH_SPEED,
    SUPER_SPEED,
    VIDEO_STREAMING,
    Endpoint,
    UsbNode,
    UsbTopology,
    can_superspeed,
    endpoints,
    parent_of,
)
from tests.support.ports import add_device, descriptors, usb_tree


@pytest.fixture
def cameras(tmp_path: Path) -> UsbTopology:
    return UsbTopology.read(usb_tree("three_cameras", tmp_path))


def test_the_way_to_a_camera_names_each_hub_with_its_speed(cameras: UsbTopology) -> None:
    way = cameras.path("5-1.3.1.3.7")
    assert [node.port for node in way] == ["usb5", "5-1", "5-1.3", "5-1.3.1", "5-1.3.1.3", "5-1.3.1.3.7"]
    assert {node.link_bps for node in way} == {480_000_000}
    assert [node.is_hub for node in way] == [True] * 5 + [False]
    assert [node.port.startswith("usb") for node in way] == [True] + [False] * 5


def test_a_device_is_what_sysfs_says_it_is(cameras: UsbTopology) -> None:
    camera = cameras.node("5-1.4")
    assert camera is not None
    assert (camera.vid, camera.pid, camera.serial, camera.name) == ("046d", "0893", "5079EB25", "Logitech StreamCam")
    assert (camera.superspeed, camera.can_stream) == (True, True)
    nameless = cameras.node("5-1.3.1.3.7")
    assert nameless is not None
    assert (nameless.name, nameless.superspeed) == ("Logitech C270", None)


def test_descriptors_of_a_real_camera_are_read_past_all_that_is_in_between(cameras: UsbTopology) -> None:
    camera = cameras.node("5-1.3.1.3.7")
    assert camera is not None
    sizes = [endpoint.payload for endpoint in camera.endpoints if endpoint.kind == (0x0E, 0x02)]
    assert sizes == [192, 384, 512, 640, 800, 944, 1280, 1600, 1984, 2688, 3060]


def test_what_is_not_there_has_no_way(cameras: UsbTopology, tmp_path: Path) -> None:
    assert cameras.path("5-7") == ()
    assert cameras.path(None) == ()
    assert cameras.node(None) is None
    assert list(UsbTopology.read(tmp_path / "no-usb-here")) == []


def test_a_device_that_is_half_gone_is_left_out(tmp_path: Path) -> None:
    add_device(tmp_path, "1-1", {"idVendor": "046d", "idProduct": "0825"})
    add_device(tmp_path, "1-2", {"idVendor": "046d", "idProduct": "0825", "speed": "unknown"})
    add_device(tmp_path, "1-3:1.0", {"speed": 480})
    add_device(tmp_path, "1-10", {"idVendor": "046D", "idProduct": "0825", "speed": 12, "descriptors": "ff"})
    (node,) = UsbTopology.read(tmp_path)
    assert (node.port, node.vid, node.link_bps) == ("1-10", "046d", 12_000_000)
    assert (node.superspeed, node.endpoints) == (False, ())


def test_ports_and_the_hubs_they_belong_to() -> None:
    assert [parent_of(port) for port in ("1-1.2", "1-1", "12-3", "usb1")] == ["1-1", "usb1", "usb12", None]


def alone(tmp_path: Path, **attributes: object) -> UsbNode:
    add_device(tmp_path, "1-1", {"idVendor": "1d6b", "idProduct": "ffff", "speed": 480} | attributes)
    node = UsbTopology.read(tmp_path).node("1-1")
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("product", "kind", "name"),
    [("", "09", "USB hub"), ("", "ef", "USB device"), ("", "0x09", "USB device"), ("Meeting Owl", "09", "Meeting Owl")],
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
def test_what_could_do_usb_3_says_so(tmp_path: Path, speed: int, version: str, *, superspeed: bool | None) -> None:
    assert alone(tmp_path, speed=speed, version=version).superspeed is superspeed


def test_alternate_settings_with_what_each_carries() -> None:
    raw = descriptors(["1.1 0e02 81 iso 00c0 1", "1.2 0e02 81 iso 1400 1"])
    found = endpoints(raw, HIGH_SPEED)
    assert endpoints(raw[:-3], HIGH_SPEED) == found[:1], "one that is cut off loses no others"
    assert [(endpoint.interface, endpoint.setting) for endpoint in found] == [(1, 1), (1, 2)]
    assert {endpoint.kind for endpoint in found} == {VIDEO_STREAMING}
    assert [endpoint.payload for endpoint in found] == [192, 3 * 1024]
    assert [endpoint.bps for endpoint in found] == [192 * 8 * 8000, 196_608_000]
    assert all(endpoint.is_in and endpoint.transfer == "isochronous" for endpoint in found)


def test_only_the_configuration_in_force_counts() -> None:
    one, two = descriptors(["1.1 0e02 81 iso 0400 1"]), bytearray(descriptors(["1.1 0e02 81 iso 0200 1"])[18:])
    two[5] = 2
    assert [e.payload for e in endpoints(one + two, HIGH_SPEED)] == [1024]
    assert [e.payload for e in endpoints(one + two, HIGH_SPEED, 2)] == [512]


@pytest.mark.parametrize("raw", [b"", b"\x09\x04\x01", b"\x03\x04\x00\x02\x05", bytes(64), b"\x12\x01" + b"\xff" * 7])
def test_bytes_that_are_no_descriptors_are_no_endpoints(raw: bytes) -> None:
    assert endpoints(raw, HIGH_SPEED) == ()
    assert can_superspeed(raw) is False


# Each field, in descriptors that are no longer than they must be.


def descriptor(kind: int, *body: int) -> bytes:
    return bytes((2 + len(body), kind, *body))


CONFIGURATION = descriptor(0x02, 0, 0, 1, 1)
INTERFACE = descriptor(0x04, 3, 2, 1, *VIDEO_STREAMING)
ENDPOINT = descriptor(0x05, 0x81, 1, 0x00, 0x02, 1)
COMPANION = descriptor(0x30, 0, 0, 0x00, 0x0C)
COMPANION_PLUS = descriptor(0x31, 0, 0, 0x00, 0x00, 0x02, 0x00)
ALL = CONFIGURATION + INTERFACE + ENDPOINT


def endpoint(address: int = 0x81, attributes: int = 1, packet: int = 0x0200, interval: int = 1) -> bytes:
    return CONFIGURATION + INTERFACE + descriptor(0x05, address, attributes, *packet.to_bytes(2, "little"), interval)


def shorter(item: bytes) -> bytes:
    """Return a descriptor without its last byte, which says so itself."""
    return bytes((item[0] - 1, *item[1:-1]))


def test_the_shortest_descriptors_that_say_all_are_read() -> None:
    (found,) = endpoints(ALL + COMPANION, SUPER_SPEED)
    assert found == Endpoint(3, 2, VIDEO_STREAMING, "isochronous", True, 0x0C00, 125)


@pytest.mark.parametrize("missing", [CONFIGURATION, ENDPOINT])
def test_a_configuration_or_an_endpoint_that_is_too_short_is_none(missing: bytes) -> None:
    assert endpoints(ALL.replace(missing, b""), HIGH_SPEED) == ()
    assert endpoints(ALL.replace(missing, shorter(missing)), HIGH_SPEED) == ()


def test_an_interface_or_a_companion_that_is_too_short_says_nothing() -> None:
    (nowhere,) = endpoints(ALL.replace(INTERFACE, shorter(INTERFACE)), HIGH_SPEED)
    assert (nowhere.interface, nowhere.setting, nowhere.kind) == (0, 0, (0, 0))
    (alone,) = endpoints(ALL + shorter(COMPANION), SUPER_SPEED)
    assert alone.payload == 512


@pytest.mark.parametrize(
    ("attributes", "transfer"), [(0, "control"), (5, "isochronous"), (2, "bulk"), (3, "interrupt")]
)
def test_how_an_endpoint_moves_data_and_in_which_direction(attributes: int, transfer: str) -> None:
    found = [endpoints(endpoint(address, attributes), HIGH_SPEED)[0] for address in (0x82, 0x02)]
    assert [one.transfer for one in found] == [transfer] * 2
    assert [one.is_in for one in found] == [True, False]


@pytest.mark.parametrize(("packet", "payload"), [(0x0400, 1024), (0x0C00, 2048), (0x1400, 3072), (0x1C00, 3072)])
def test_a_microframe_has_one_to_three_packets_and_never_four(packet: int, payload: int) -> None:
    assert endpoints(endpoint(packet=packet), HIGH_SPEED)[0].payload == payload
    assert endpoints(endpoint(packet=packet), SUPER_SPEED)[0].payload == 1024


@pytest.mark.parametrize(("interval", "steps"), [(0, 1), (1, 1), (2, 2), (16, 32_768), (17, 32_768), (255, 32_768)])
def test_an_interval_is_a_power_of_two_and_no_longer_than_any_may_be(interval: int, steps: int) -> None:
    raw = endpoint(interval=interval)
    found = [endpoints(raw, speed)[0].interval_us for speed in (12_000_000, HIGH_SPEED, SUPER_SPEED)]
    assert found == [1000 * steps, 125 * steps, 125 * steps]


def test_a_companion_is_of_the_isochronous_endpoint_before_it_on_superspeed() -> None:
    assert endpoints(CONFIGURATION + COMPANION + INTERFACE + ENDPOINT, SUPER_SPEED)[0].payload == 512
    assert endpoints(endpoint(attributes=2) + COMPANION, SUPER_SPEED)[0].payload == 512
    assert endpoints(ALL + COMPANION, 2 * SUPER_SPEED)[0].payload == 0x0C00
    assert endpoints(ALL + COMPANION, HIGH_SPEED)[0].payload == 512
    assert endpoints(ALL + descriptor(0x30, 0, 0, 0, 0), SUPER_SPEED)[0].payload == 512
    first, second = endpoints(ALL + COMPANION + ENDPOINT, SUPER_SPEED)
    assert (first.payload, second.payload) == (0x0C00, 512)


def test_a_second_companion_says_what_does_not_go_into_the_first() -> None:
    (found,) = endpoints(ALL + descriptor(0x30, 0, 0x80, 1, 0) + COMPANION_PLUS, 2 * SUPER_SPEED)
    assert (found.payload, found.setting) == (0x2_0000, 2)


@pytest.mark.parametrize(("kind", "payload"), [(0x30, 0x0403), (0x31, 0x0605_0403)])
def test_what_a_companion_has_behind_its_last_field_is_not_of_it(kind: int, payload: int) -> None:
    (found,) = endpoints(ALL + descriptor(kind, 1, 2, 3, 4, 5, 6, 7), SUPER_SPEED)
    assert found.payload == payload


def test_a_companion_of_a_configuration_that_is_not_in_force_changes_nothing() -> None:
    other = descriptor(0x02, 0, 0, 1, 2) + INTERFACE + ENDPOINT + COMPANION
    assert [one.payload for one in endpoints(ALL + other, SUPER_SPEED)] == [512]


def test_where_the_first_configuration_has_no_endpoints_it_is_the_next() -> None:
    assert len(endpoints(CONFIGURATION + INTERFACE + ALL, HIGH_SPEED)) == 1
    assert endpoints(CONFIGURATION + INTERFACE + ALL, HIGH_SPEED, 7) == ()


def test_what_nobody_knows_is_passed_over_and_a_length_of_less_than_a_head_ends_it() -> None:
    assert len(endpoints(CONFIGURATION + descriptor(0x24, 9, 9) + INTERFACE + descriptor(0x25) + ENDPOINT, 480)) == 1
    assert len(endpoints(ALL + b"\x01" + ALL, HIGH_SPEED, 1)) == 1
    assert len(endpoints(ALL + b"\x02\x25" + ALL, HIGH_SPEED, 1)) == 2


@pytest.mark.parametrize("kind", [0x02, 0x04, 0x05, 0x10, 0x30, 0x31])
@pytest.mark.parametrize("length", range(2, 10))
def test_a_descriptor_of_any_length_is_nothing_to_fall_over(kind: int, length: int) -> None:
    item = descriptor(kind, *[1] * (length - 2))
    found = endpoints(ALL + item + ENDPOINT, SUPER_SPEED, 1)
    assert {one.kind for one in found} <= {VIDEO_STREAMING, (1, 1)}
    assert found[0].payload in (512, 0x0101, 0x01_0101, 0x0101_0101)
    assert can_superspeed(item) is False


@pytest.mark.parametrize(("capability", "can"), [(0x02, False), (0x03, True), (0x0A, True), (0x0B, False)])
def test_superspeed_is_one_of_two_capabilities(capability: int, can: bool) -> None:
    assert can_superspeed(descriptor(0x10, 0x02) + descriptor(0x10, capability)) is can
    assert can_superspeed(descriptor(0x0F, capability)) is False
