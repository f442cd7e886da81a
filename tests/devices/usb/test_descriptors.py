"""Endpoints and capabilities, out of bytes that came from a device."""

import pytest

from devices.usb.descriptors import (
    AUDIO_STREAMING,
    HIGH_SPEED,
    SUPER_SPEED,
    VIDEO_STREAMING,
    Endpoint,
    can_superspeed,
    endpoints,
)
from tests.support.usb_trees import descriptors

STREAM_CAM_BOS = bytes.fromhex("050f160002 07100202000000 0a1003000e00020a0001")


def test_alternate_settings_with_what_each_carries() -> None:
    found = endpoints(descriptors(["1.1 0e02 81 iso 00c0 1", "1.2 0e02 81 iso 1400 1"]), HIGH_SPEED)
    assert [(endpoint.interface, endpoint.setting, endpoint.kind) for endpoint in found] == [
        (1, 1, VIDEO_STREAMING),
        (1, 2, VIDEO_STREAMING),
    ]
    assert [endpoint.payload for endpoint in found] == [192, 3 * 1024]
    assert [endpoint.bps for endpoint in found] == [192 * 8 * 8000, 196_608_000]
    assert all(endpoint.is_in and endpoint.transfer == "isochronous" for endpoint in found)


def test_intervals_are_microframes_or_frames_by_speed() -> None:
    raw = descriptors(["3.1 0102 82 iso 0100 4"])
    (fast,), (slow,) = endpoints(raw, HIGH_SPEED), endpoints(raw, 12_000_000)
    assert (fast.kind, fast.interval_us, fast.bps) == (AUDIO_STREAMING, 1000, 256 * 8 * 1000)
    assert (slow.interval_us, slow.payload) == (8000, 256)


def test_only_high_speed_has_more_than_one_packet_in_an_interval() -> None:
    raw = descriptors(["1.1 0e02 81 iso 13ff 1"])
    assert [endpoints(raw, speed)[0].payload for speed in (HIGH_SPEED, 12_000_000)] == [3 * 1023, 1023]


def test_superspeed_says_in_a_companion_what_it_moves() -> None:
    raw = descriptors(["1.1 0e02 81 iso 0400 1 48640"])
    assert endpoints(raw, SUPER_SPEED)[0].payload == 48_640
    assert endpoints(raw, HIGH_SPEED)[0].payload == 1024


def test_only_the_configuration_in_force_counts() -> None:
    one, two = descriptors(["1.1 0e02 81 iso 0400 1"]), bytearray(descriptors(["1.1 0e02 81 iso 0200 1"])[18:])
    two[5] = 2
    assert [e.payload for e in endpoints(one + two, HIGH_SPEED)] == [1024]
    assert [e.payload for e in endpoints(one + two, HIGH_SPEED, 2)] == [512]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00", b"\x09\x04\x01", b"\x02\x05", b"\x03\x04\x00\x02\x05", bytes(64), b"\x12\x01" + b"\xff" * 7],
)
def test_bytes_that_are_no_descriptors_are_no_endpoints(raw: bytes) -> None:
    assert endpoints(raw, HIGH_SPEED) == ()
    assert can_superspeed(raw) is False


def test_a_cut_off_descriptor_loses_no_others() -> None:
    raw = descriptors(["1.1 0e02 81 iso 00c0 1", "1.2 0e02 81 iso 1400 1"])
    assert [endpoint.payload for endpoint in endpoints(raw[:-3], HIGH_SPEED)] == [192]


def test_a_camera_in_a_usb_2_port_says_that_it_can_do_more() -> None:
    assert can_superspeed(STREAM_CAM_BOS)
    assert not can_superspeed(STREAM_CAM_BOS[:12])


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
