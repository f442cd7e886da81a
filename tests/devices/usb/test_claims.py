"""What one stream claims of its bus: the kernel's arithmetic to the nanosecond, and which endpoints count."""

import pytest

from devices.model.device import Device, DeviceKind, Mode
from devices.model.mode_choice import ChosenMode
from devices.usb.claims import Stream, bulk_bps, claim, most_bps, share, streaming, usable_bps
from devices.usb.descriptors import AUDIO_STREAMING, HIGH_SPEED, SUPER_SPEED, VIDEO_STREAMING, Endpoint, Transfer
from devices.usb.topology import UsbNode

LOW_SPEED, FULL_SPEED = 1_500_000, 12_000_000
MICROPHONE = Stream(Device(id="m", kind=DeviceKind.MICROPHONE, name="Microphone"))


def pictures(*sizes: int, transfer: Transfer = "isochronous") -> tuple[Endpoint, ...]:
    """Return the alternate settings of a camera: so many bytes in each microframe."""
    return tuple(
        Endpoint(1, setting, VIDEO_STREAMING, transfer, True, size, 125) for setting, size in enumerate(sizes, 1)
    )


def camera_of(width: int, pixel_format: str = "YUYV") -> Stream:
    """Return a camera's stream of 125 pictures a second, a single line high: 2000 bits a second for each pixel."""
    mode = Mode(pixel_format, width, 1, (125.0,))
    return Stream(Device(id="c", kind=DeviceKind.CAMERA, name="Camera"), ChosenMode(mode, 125.0))


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
def test_a_share_is_the_kernels_time_on_the_bus_in_what_periodic_transfers_may_take(
    link_bps: int, payload: int, bus_ns: float
) -> None:
    each_us, most_us = (125, 100) if link_bps == HIGH_SPEED else (1000, 900)
    expected = bus_ns / 1000 / most_us
    assert share(iso(payload, each_us), link_bps) == pytest.approx(expected, rel=1e-7)
    assert share(iso(payload, 4 * each_us), link_bps) == pytest.approx(expected / 4, rel=1e-7)


@pytest.mark.parametrize("link_bps", [SUPER_SPEED, 2 * SUPER_SPEED])
def test_a_share_of_superspeed_is_counted_in_bytes(link_bps: int) -> None:
    assert share(iso(56_250, 125), link_bps) == pytest.approx(1.0, rel=1e-7)
    assert share(iso(9_000, 500), link_bps) == pytest.approx(0.04, rel=1e-7)


def test_isochronous_pictures_may_take_three_full_packets_a_microframe_or_one_a_frame() -> None:
    assert most_bps(HIGH_SPEED) == 196_608_000
    assert most_bps(FULL_SPEED) == 8_184_000
    assert most_bps(LOW_SPEED) is None


def test_bulk_pictures_may_take_what_tables_5_9_and_5_10_of_usb_2_say() -> None:
    assert bulk_bps(HIGH_SPEED) == 8 * 53_248_000
    assert bulk_bps(FULL_SPEED) == 8 * 1_216_000
    assert bulk_bps(LOW_SPEED) is None


def test_superspeed_gives_either_the_same_part_of_its_bits() -> None:
    assert [most_bps(link) for link in (SUPER_SPEED, 2 * SUPER_SPEED)] == [3_600_000_000, 7_200_000_000]
    assert [bulk_bps(link) for link in (SUPER_SPEED, 2 * SUPER_SPEED)] == [3_600_000_000, 7_200_000_000]


def test_uncompressed_pictures_claim_the_first_setting_that_is_just_enough_and_at_most_the_largest() -> None:
    there = node(*pictures(1000, 250, 500))  # 64, 16 and 32 Mbit/s
    small, medium, large = (share(endpoint, HIGH_SPEED) for endpoint in pictures(250, 500, 1000))
    assert claim(there, camera_of(8_000)) == (small, large)
    assert claim(there, camera_of(8_002)) == (medium, large)
    assert claim(there, camera_of(16_002)) == (large, large)
    assert claim(there, camera_of(32_002)) == (large, large)


def test_pictures_of_no_known_size_claim_at_least_the_smallest_setting() -> None:
    there = node(*pictures(500, 250))
    small, large = (share(endpoint, HIGH_SPEED) for endpoint in pictures(250, 500))
    assert claim(there, camera_of(16_000, "MJPG")) == (small, large)
    assert claim(there, Stream(camera_of(16_000).device)) == (small, large)


def test_bulk_pictures_claim_nothing_and_a_device_without_such_endpoints_says_nothing() -> None:
    assert claim(node(*pictures(512, transfer="bulk")), camera_of(8_000)) == (0.0, 0.0)
    assert claim(node(*pictures(512)), MICROPHONE) is None
    assert claim(node(), camera_of(8_000)) is None


def test_a_stream_that_has_both_claims_what_its_isochronous_endpoints_take() -> None:
    both = node(*pictures(512, transfer="bulk"), *pictures(250))
    takes = share(pictures(250)[0], HIGH_SPEED)
    assert claim(both, camera_of(8)) == (takes, takes)


def test_only_endpoints_of_the_first_interface_that_bring_something_in_are_its_streaming() -> None:
    out = Endpoint(1, 1, VIDEO_STREAMING, "isochronous", False, 3072, 125)
    empty = Endpoint(1, 0, VIDEO_STREAMING, "isochronous", True, 0, 125)
    events = Endpoint(1, 1, VIDEO_STREAMING, "interrupt", True, 16, 1000)
    tone = Endpoint(3, 1, AUDIO_STREAMING, "isochronous", True, 192, 1000)
    one_byte = Endpoint(1, 3, VIDEO_STREAMING, "isochronous", True, 1, 125)
    second = Endpoint(2, 1, VIDEO_STREAMING, "isochronous", True, 3072, 125)
    (first,) = pictures(500)
    there = node(tone, out, empty, events, first, one_byte, second)
    assert streaming(there, VIDEO_STREAMING) == [one_byte, first]
    assert streaming(there, AUDIO_STREAMING) == [tone]
    assert streaming(node(out, empty, events), VIDEO_STREAMING) == []


def test_pictures_may_take_what_the_device_asks_for_and_no_more_than_the_link_gives() -> None:
    assert usable_bps(node(*pictures(500, 1000))) == 64_000_000
    slow = node(iso(2047, 1000), link_bps=FULL_SPEED)
    assert usable_bps(slow) == 8_184_000
    assert usable_bps(node(iso(8, 1000), link_bps=LOW_SPEED)) == 64_000
    assert usable_bps(node(*pictures(512, transfer="bulk"))) == bulk_bps(HIGH_SPEED)


def test_a_device_whose_descriptors_say_nothing_may_take_what_its_link_gives() -> None:
    assert usable_bps(node()) == most_bps(HIGH_SPEED)
    assert usable_bps(node(link_bps=LOW_SPEED)) is None
