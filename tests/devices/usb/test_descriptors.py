"""Endpoints and capabilities, out of bytes that came from a device."""

import pytest

from devices.usb.descriptors import (
    AUDIO_STREAMING,
    HIGH_SPEED,
    SUPER_SPEED,
    VIDEO_STREAMING,
    Transfer,
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
    assert all(endpoint.is_in and endpoint.transfer is Transfer.ISOCHRONOUS for endpoint in found)


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
