"""What counts of a device's descriptors, and what does not."""

import pytest

from devices.kernel.udev import capabilities_hash, has_video_interface

DEVICE = bytes.fromhex("1201 0002 ef0201 40 6d04 2508 1200 01 02 03 01")
CONFIGURATION = bytes.fromhex("0902 5000 02 01 00 80 fa")
ASSOCIATION = bytes.fromhex("080b 00 02 0e 03 00 05")
CONTROL = bytes.fromhex("0904 00 00 01 0e 01 00 06")
CAMERA_UNIT = bytes.fromhex("0824 02 01 0102 00 00")
ENDPOINT = bytes.fromhex("0705 81 02 0002 00")
STREAMING = bytes.fromhex("0904 01 00 00 0e 02 00 00")
FRAME = bytes.fromhex("0b24 07 01 00 8002 e001 3333")
OTHER_SETTING = bytes.fromhex("0904 01 01 01 0e 02 00 00")
WHOLE = [DEVICE, CONFIGURATION, ASSOCIATION, CONTROL, CAMERA_UNIT, ENDPOINT, STREAMING, FRAME, OTHER_SETTING, ENDPOINT]


def changed(index: int, at: int, value: int) -> list[bytes]:
    part = bytearray(WHOLE[index])
    part[at] = value
    return [*WHOLE[:index], bytes(part), *WHOLE[index + 1 :]]


HASH = capabilities_hash(b"".join(WHOLE))


def test_it_is_twelve_hex_digits_and_nothing_where_there_is_nothing() -> None:
    assert HASH is not None
    assert len(HASH) == 12
    assert int(HASH, 16)
    assert capabilities_hash(b"") is None


@pytest.mark.parametrize(("index", "at", "value"), [(0, 7, 9), (0, 16, 0), (1, 8, 50), (2, 7, 0), (3, 8, 0), (5, 5, 4)])
def test_units_and_links_of_one_make_do_not_differ(index: int, at: int, value: int) -> None:
    assert capabilities_hash(b"".join(changed(index, at, value))) == HASH


def test_other_settings_for_other_bandwidths_do_not_count() -> None:
    companion = bytes.fromhex("0630 00 00 0000")
    more = [*WHOLE[:6], companion, *WHOLE[6:], OTHER_SETTING, ENDPOINT, companion]
    assert capabilities_hash(b"".join(more)) == HASH
    assert capabilities_hash(b"".join(WHOLE[:8])) == HASH


@pytest.mark.parametrize(
    ("index", "at", "value"), [(0, 12, 0x13), (0, 10, 0x26), (1, 4, 3), (2, 4, 1), (3, 6, 2), (4, 4, 2), (7, 5, 0x81)]
)
def test_another_make_differs(index: int, at: int, value: int) -> None:
    assert capabilities_hash(b"".join(changed(index, at, value))) != HASH


def test_what_is_cut_off_or_nonsense_ends_it() -> None:
    whole = b"".join(WHOLE[:8])
    assert capabilities_hash(whole + FRAME[:5]) == HASH
    assert capabilities_hash(whole + b"\x00\x24" + FRAME) == HASH
    assert capabilities_hash(whole + b"\x04\x04\x00\x00" + FRAME) == HASH


def test_an_interface_for_video_says_that_pictures_belong_to_it() -> None:
    assert has_video_interface(b"".join(WHOLE))
    assert not has_video_interface(DEVICE + CONFIGURATION + ENDPOINT)
    assert not has_video_interface(b"".join([DEVICE, CONFIGURATION, CONTROL[:5]]))  # cut off before it says so
