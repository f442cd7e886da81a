"""Bandwidth of USB streams: the kernel's arithmetic to the nanosecond, and predictions on records of real hubs."""

from pathlib import Path

import pytest

from devices.model.device import Device, DeviceKind, Mode
from devices.model.mode_choice import ChosenMode
from devices.usb.budget import (
    BUS_FULL_HINT,
    UsbStream,
    bandwidth_claim,
    bandwidth_share,
    bulk_bps,
    bus_neighbours,
    bus_of,
    controller_neighbours,
    find_conflicts,
    isochronous_bps,
    streaming_endpoints,
    usable_bps,
)
from devices.usb.topology import (
    AUDIO_STREAMING,
    HIGH_SPEED,
    SUPER_SPEED,
    VIDEO_STREAMING,
    Endpoint,
    Transfer,
    UsbNode,
    UsbTopology,
)
from tests.support.ports import add_device, usb_tree

LOW_SPEED, FULL_SPEED = 1_500_000, 12_000_000
MICROPHONE = UsbStream(Device(id="m", kind=DeviceKind.MICROPHONE, name="Microphone"))


def settings_of(*sizes: int, transfer: Transfer = "isochronous") -> tuple[Endpoint, ...]:
    """Return the alternate settings of a camera: so many bytes in each microframe."""
    return tuple(
        Endpoint(1, setting, VIDEO_STREAMING, transfer, True, size, 125) for setting, size in enumerate(sizes, 1)
    )


def camera_of(width: int, pixel_format: str = "YUYV") -> UsbStream:
    """Return a camera's stream of 125 pictures a second, a single line high: 2000 bits a second for each pixel."""
    mode = Mode(pixel_format, width, 1, (125.0,))
    return UsbStream(Device(id="c", kind=DeviceKind.CAMERA, name="Camera"), ChosenMode(mode, 125.0))


def node(*endpoints: Endpoint, link_bps: int = HIGH_SPEED) -> UsbNode:
    return UsbNode("1-1", "046d", "0825", "Camera", "", None, link_bps, False, False, None, endpoints)


def iso(payload: int, interval_us: int) -> Endpoint:
    return Endpoint(1, 1, VIDEO_STREAMING, "isochronous", True, payload, interval_us)


@pytest.mark.parametrize(
    ("link_bps", "payload", "bus_ns"),
    [
        (HIGH_SPEED, 1024, 20_551.712),  # HS_NSECS_ISO: (38 * 8 * 2083 + 2083 * (3 + 9557)) / 1000 + 5
        (HIGH_SPEED, 3072, 60_368.257),
        (FULL_SPEED, 192, 158_230.654),  # 7268 + 1000 + 8354 * (31 + 10 * 1792) / 1000
        (FULL_SPEED, 1023, 806_166.894),
    ],
)
def test_a_share_is_the_kernels_part_of_the_periodic_time(link_bps: int, payload: int, bus_ns: float) -> None:
    each_us, most_us = (125, 100) if link_bps == HIGH_SPEED else (1000, 900)
    expected = bus_ns / 1000 / most_us
    assert bandwidth_share(iso(payload, each_us), link_bps) == pytest.approx(expected, rel=1e-7)
    assert bandwidth_share(iso(payload, 4 * each_us), link_bps) == pytest.approx(expected / 4, rel=1e-7)


@pytest.mark.parametrize("link_bps", [SUPER_SPEED, 2 * SUPER_SPEED])
def test_a_share_of_superspeed_is_counted_in_bytes(link_bps: int) -> None:
    assert bandwidth_share(iso(56_250, 125), link_bps) == pytest.approx(1.0, rel=1e-7)
    assert bandwidth_share(iso(9_000, 500), link_bps) == pytest.approx(0.04, rel=1e-7)


def test_what_a_link_gives_to_isochronous_and_to_bulk_pictures() -> None:
    assert isochronous_bps(HIGH_SPEED) == 196_608_000
    assert isochronous_bps(FULL_SPEED) == 8_184_000
    assert isochronous_bps(LOW_SPEED) is None
    assert bulk_bps(HIGH_SPEED) == 8 * 53_248_000
    assert bulk_bps(FULL_SPEED) == 8 * 1_216_000
    assert bulk_bps(LOW_SPEED) is None
    assert [isochronous_bps(link) for link in (SUPER_SPEED, 2 * SUPER_SPEED)] == [3_600_000_000, 7_200_000_000]
    assert [bulk_bps(link) for link in (SUPER_SPEED, 2 * SUPER_SPEED)] == [3_600_000_000, 7_200_000_000]


def test_uncompressed_pictures_claim_the_first_setting_that_is_just_enough_and_at_most_the_largest() -> None:
    there = node(*settings_of(1000, 250, 500))  # 64, 16 and 32 Mbit/s
    small, medium, large = (bandwidth_share(endpoint, HIGH_SPEED) for endpoint in settings_of(250, 500, 1000))
    assert bandwidth_claim(there, camera_of(8_000)) == (small, large)
    assert bandwidth_claim(there, camera_of(8_002)) == (medium, large)
    assert bandwidth_claim(there, camera_of(16_002)) == (large, large)
    assert bandwidth_claim(there, camera_of(32_002)) == (large, large)


def test_pictures_of_no_known_size_claim_at_least_the_smallest_setting() -> None:
    there = node(*settings_of(500, 250))
    small, large = (bandwidth_share(endpoint, HIGH_SPEED) for endpoint in settings_of(250, 500))
    assert bandwidth_claim(there, camera_of(16_000, "MJPG")) == (small, large)
    assert bandwidth_claim(there, UsbStream(camera_of(16_000).device)) == (small, large)


def test_bulk_pictures_claim_nothing_beside_isochronous_ones() -> None:
    assert bandwidth_claim(node(*settings_of(512, transfer="bulk")), camera_of(8_000)) == (0.0, 0.0)
    assert bandwidth_claim(node(*settings_of(512)), MICROPHONE) is None
    assert bandwidth_claim(node(), camera_of(8_000)) is None
    both = node(*settings_of(512, transfer="bulk"), *settings_of(250))
    takes = bandwidth_share(settings_of(250)[0], HIGH_SPEED)
    assert bandwidth_claim(both, camera_of(8)) == (takes, takes)


def test_only_endpoints_of_the_first_interface_that_bring_something_in_are_its_streaming() -> None:
    out = Endpoint(1, 1, VIDEO_STREAMING, "isochronous", False, 3072, 125)
    empty = Endpoint(1, 0, VIDEO_STREAMING, "isochronous", True, 0, 125)
    events = Endpoint(1, 1, VIDEO_STREAMING, "interrupt", True, 16, 1000)
    tone = Endpoint(3, 1, AUDIO_STREAMING, "isochronous", True, 192, 1000)
    one_byte = Endpoint(1, 3, VIDEO_STREAMING, "isochronous", True, 1, 125)
    second = Endpoint(2, 1, VIDEO_STREAMING, "isochronous", True, 3072, 125)
    (first,) = settings_of(500)
    there = node(tone, out, empty, events, first, one_byte, second)
    assert streaming_endpoints(there, VIDEO_STREAMING) == [one_byte, first]
    assert streaming_endpoints(there, AUDIO_STREAMING) == [tone]
    assert streaming_endpoints(node(out, empty, events), VIDEO_STREAMING) == []


def test_pictures_may_take_what_the_device_asks_for_and_no_more_than_the_link_gives() -> None:
    assert usable_bps(node(*settings_of(500, 1000))) == 64_000_000
    slow = node(iso(2047, 1000), link_bps=FULL_SPEED)
    assert usable_bps(slow) == 8_184_000
    assert usable_bps(node(iso(8, 1000), link_bps=LOW_SPEED)) == 64_000
    assert usable_bps(node(*settings_of(512, transfer="bulk"))) == bulk_bps(HIGH_SPEED)
    assert usable_bps(node()) == isochronous_bps(HIGH_SPEED)
    assert usable_bps(node(link_bps=LOW_SPEED)) is None


MJPG_720 = ChosenMode(Mode("MJPG", 1280, 720, (30.0,)), 30.0)
YUYV_480 = ChosenMode(Mode("YUYV", 640, 480, (30.0,)), 30.0)
NV12_2160 = ChosenMode(Mode("NV12", 3840, 2160, (29.97,)), 29.97)


def pictures(port: str, chosen: ChosenMode | None = MJPG_720) -> UsbStream:
    return UsbStream(Device(id=f"camera@{port}", kind=DeviceKind.CAMERA, name=f"Camera {port}", port=port), chosen)


def sound(port: str) -> UsbStream:
    return UsbStream(Device(id=f"sound@{port}", kind=DeviceKind.MICROPHONE, name=f"Sound {port}", port=port))


@pytest.fixture
def cameras(tmp_path: Path) -> UsbTopology:
    return UsbTopology.read(usb_tree("three_cameras", tmp_path))


@pytest.fixture
def grabbers(tmp_path: Path) -> UsbTopology:
    return UsbTopology.read(usb_tree("two_grabbers", tmp_path))


def test_two_sticks_that_always_claim_the_most_cannot_share_a_hub(grabbers: UsbTopology) -> None:
    (found,) = find_conflicts(grabbers, [pictures("3-1.1"), pictures("3-1.2")])
    assert (found.verdict, found.bus) == ("cannot-fit", "the hub at port 3-1")
    assert found.devices == ("camera@3-1.1", "camera@3-1.2")
    assert found.least == found.most == pytest.approx(1.207, abs=0.001)
    assert found.message == (
        "Camera 3-1.1 and Camera 3-1.2 cannot stream at once on the hub at port 3-1: they reserve 121% of its bandwidth"
    )
    assert found.hint == "Move one device to another port."


def test_another_port_of_an_xhci_controller_has_its_own_bandwidth(grabbers: UsbTopology, tmp_path: Path) -> None:
    assert find_conflicts(grabbers, [pictures("3-1.1"), pictures("3-2")]) == []
    virtual = UsbStream(Device(id="virtual", kind=DeviceKind.CAMERA, name="Virtual"), MJPG_720)
    assert find_conflicts(grabbers, [virtual, pictures("9-9"), pictures("3-1.1")]) == [], "no tree knows these"
    desktop = UsbTopology.read(usb_tree("ehci_desktop", tmp_path))
    (found,) = find_conflicts(desktop, [pictures("7-1"), pictures("7-2")])
    assert (found.verdict, found.bus) == ("cannot-fit", "USB bus 7")


def test_mjpeg_cameras_may_not_fit_since_nobody_knows_what_they_claim(cameras: UsbTopology) -> None:
    (found,) = find_conflicts(cameras, [pictures("5-1.4"), pictures("5-1.3.1.3.7")])
    assert found.verdict == "may-not-fit"
    assert found.least < 0.1
    assert found.most == pytest.approx(1.205, abs=0.01)
    assert "may not fit on the hub at port 5-1 at once: they may reserve up to" in found.message


def test_uncompressed_pictures_claim_at_least_what_they_take(cameras: UsbTopology) -> None:
    """640x480 at 30 are 147 Mbit/s: 2688 bytes a microframe are the first setting that is enough, 53 % each."""
    small = ChosenMode(Mode("YUYV", 320, 240, (30.0,)), 30.0)
    assert find_conflicts(cameras, [pictures("5-1.4", small)]) == []
    (found,) = find_conflicts(cameras, [pictures("5-1.4", YUYV_480), pictures("5-1.3.1.3.7", YUYV_480)])
    assert found.verdict == "cannot-fit"
    assert found.least == pytest.approx(2 * 0.529, abs=0.005)
    assert found.hint == BUS_FULL_HINT == "Move one device to another port or use MJPEG."
    (found,) = find_conflicts(cameras, [pictures("5-1.4", YUYV_480), pictures("5-1.3.1.3.7", small)])
    assert found.verdict == "may-not-fit"


def test_sound_counts_too(grabbers: UsbTopology) -> None:
    node = grabbers.node("3-1.1")
    assert node is not None
    found = bandwidth_claim(node, sound("3-1.1"))
    assert found is not None
    assert found[0] == found[1] == pytest.approx(0.0071, abs=0.0003)
    (both,) = find_conflicts(grabbers, [pictures("3-1.1"), sound("3-1.1"), pictures("3-1.2"), sound("3-1.2")])
    assert both.most == pytest.approx(1.207 + 2 * 0.0071, abs=0.002)
    assert both.message.startswith("Camera 3-1.1, Sound 3-1.1, Camera 3-1.2 and Sound 3-1.2 cannot stream at once")


def test_bulk_cameras_reserve_nothing_and_share_what_there_is(tmp_path: Path) -> None:
    links = UsbTopology.read(usb_tree("two_cam_links", tmp_path))
    hd = ChosenMode(Mode("YUYV", 1920, 1080, (25.0,)), 25.0)
    assert find_conflicts(links, [pictures("2-1.1", hd), pictures("2-1.2", hd)]) == []
    (found,) = find_conflicts(links, [pictures("2-1.1", NV12_2160), pictures("2-1.2", NV12_2160)])
    assert (found.verdict, found.least, found.most) == ("may-not-fit", 0.0, 0.0)
    assert found.message.endswith("they need 5966 Mbit/s and reserve nothing, 3600 are left")
    for lines, conflicts in ((2500, []), (2502, ["Camera 2-1.1"])):  # 3600 Mbit/s, and more
        alone = ChosenMode(Mode("YUYV", 3000, lines, (30.0,)), 30.0)
        told = find_conflicts(links, [pictures("2-1.1", alone), pictures("2-1.2")])
        assert [one.message.partition(" may not")[0] for one in told] == conflicts
    (tmp_path / "two_cam_links/2-1/speed").write_text("10000\n")
    faster = UsbTopology.read(tmp_path / "two_cam_links")
    assert find_conflicts(faster, [pictures("2-1.1", NV12_2160), pictures("2-1.2", NV12_2160)]) == []


def test_a_bulk_camera_has_what_reservations_leave_and_is_to_blame_for_none(tmp_path: Path) -> None:
    root = usb_tree("two_grabbers", tmp_path)
    camera = {"idVendor": "0bda", "idProduct": "5842", "speed": 480, "endpoints": ["1.0 0e02 81 bulk 0200 0"]}
    add_device(root, "3-1.3", camera)
    wide = pictures("3-1.3", ChosenMode(Mode("YUYV", 1024, 600, (30.0,)), 30.0))  # 295 Mbit/s
    grabbers = [pictures("3-1.1"), pictures("3-1.2")]
    (found,) = find_conflicts(UsbTopology.read(root), [grabbers[0], wide])
    assert (found.verdict, found.devices) == ("may-not-fit", ("camera@3-1.3",))
    both, bulk = find_conflicts(UsbTopology.read(root), [*grabbers, wide])
    assert (both.verdict, both.devices) == ("cannot-fit", ("camera@3-1.1", "camera@3-1.2"))
    assert bulk.devices == ("camera@3-1.3",)


@pytest.mark.parametrize(("protocol", "shared"), [("01", True), ("02", False)])
def test_full_speed_devices_share_the_translator_of_their_hub(tmp_path: Path, protocol: str, shared: bool) -> None:
    root = usb_tree("two_grabbers", tmp_path)
    hub = {"idVendor": "05e3", "idProduct": "0608", "speed": 480, "bDeviceClass": "09", "bDeviceProtocol": protocol}
    add_device(root, "3-5", hub)
    microphone = {"idVendor": "0d8c", "idProduct": "0014", "speed": 12, "endpoints": ["1.1 0102 82 iso 0240 1"]}
    for port in ("3-5.1", "3-5.2"):
        add_device(root, port, microphone)
    found = find_conflicts(UsbTopology.read(root), [sound("3-5.1"), sound("3-5.2")])
    assert [entry.verdict for entry in found] == ["cannot-fit"] * shared


def test_what_a_headset_plays_is_not_what_it_records(tmp_path: Path) -> None:
    lines = ["1.1 0102 01 iso 0240 1", "2.1 0102 82 iso 0064 1"]
    add_device(tmp_path, "usb1", {"idVendor": "1d6b", "idProduct": "0002", "speed": 480, "bDeviceClass": "09"})
    add_device(tmp_path, "1-1", {"idVendor": "0d8c", "idProduct": "0014", "speed": 12, "endpoints": lines})
    node = UsbTopology.read(tmp_path).node("1-1")
    assert node is not None
    found = bandwidth_claim(node, sound("1-1"))
    assert found is not None
    assert found[1] == pytest.approx(bandwidth_share(iso(100, 1000), FULL_SPEED))


def test_who_shares_a_bus(grabbers: UsbTopology, tmp_path: Path) -> None:
    assert [node.port for node in bus_neighbours(grabbers, "3-1.1")] == ["3-1.2"]
    assert bus_neighbours(grabbers, "3-2") == []
    assert [node.port for node in controller_neighbours(grabbers, "3-2")] == ["3-1.1", "3-1.2"]
    assert bus_of(grabbers, "usb3") is None
    add_device(
        tmp_path / "two_grabbers",
        "4-1",
        {"idVendor": "0bda", "idProduct": "1", "speed": 480, "endpoints": ["1.1 0102 82 iso 64 1"]},
    )
    two = UsbTopology.read(tmp_path / "two_grabbers")
    assert [node.port for node in controller_neighbours(two, "3-2")] == ["3-1.1", "3-1.2"], "each on its own controller"
