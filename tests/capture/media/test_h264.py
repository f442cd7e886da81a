"""NAL units of H.264 streams from cameras and encoders."""

import pytest

from capture.media.h264 import (
    IDR,
    PICTURE_SET,
    SEQUENCE_SET,
    SLICE,
    has_keyframe,
    is_annex_b,
    nal_type,
    nal_units,
    parameter_sets,
)

SHORT, LONG = b"\x00\x00\x01", b"\x00\x00\x00\x01"
SPS, PPS = b"\x67\x42\x00\x1f", b"\x68\xce\x3c\x80"
KEY, BETWEEN = b"\x65\x88\x84", b"\x41\x9a\x21"
DELIMITER, MESSAGE = b"\x09\xf0", b"\x06\x05\x01"


def test_each_unit_without_its_start_code_whichever_of_the_two_it_has() -> None:
    assert list(nal_units(LONG + SPS + SHORT + PPS + SHORT + KEY)) == [SPS, PPS, KEY]
    assert list(nal_units(SHORT + SPS + LONG + PPS + LONG + KEY)) == [SPS, PPS, KEY]


def test_zeros_behind_a_unit_are_not_of_it_and_nothing_but_zeros_is_no_unit() -> None:
    assert list(nal_units(LONG + KEY + b"\x00\x00\x00" + SHORT + BETWEEN + b"\x00")) == [KEY, BETWEEN]
    assert list(nal_units(LONG + b"\x00\x00" + LONG + KEY + SHORT)) == [KEY]


def test_what_comes_before_the_first_start_code_is_no_unit() -> None:
    assert list(nal_units(KEY + LONG + BETWEEN)) == [BETWEEN]
    assert list(nal_units(KEY)) == []
    assert list(nal_units(b"")) == []


@pytest.mark.parametrize(
    ("unit", "kind"), [(SPS, SEQUENCE_SET), (PPS, PICTURE_SET), (KEY, IDR), (b"\x25\x88", IDR), (BETWEEN, SLICE)]
)
def test_the_type_of_a_unit_is_told_from_its_importance(unit: bytes, kind: int) -> None:
    assert nal_type(unit) == kind


def test_the_types_that_have_names_have_the_numbers_of_the_standard() -> None:
    assert (SLICE, IDR, SEQUENCE_SET, PICTURE_SET) == (1, 5, 7, 8)


def test_a_stream_begins_with_a_start_code() -> None:
    assert is_annex_b(LONG + KEY)
    assert is_annex_b(SHORT + KEY)
    assert not is_annex_b(KEY + LONG)
    assert not is_annex_b(b"\x00\x00\x00\x00\x01" + KEY)
    assert not is_annex_b(b"\x00\x00")


def test_parameter_sets_are_taken_out_in_their_order_with_long_start_codes() -> None:
    assert parameter_sets(SHORT + DELIMITER + SHORT + SPS + SHORT + MESSAGE + SHORT + PPS + SHORT + KEY) == (
        LONG + SPS + LONG + PPS
    )
    assert parameter_sets(LONG + KEY) == b""


def test_a_keyframe_is_found_behind_what_comes_before_it() -> None:
    assert has_keyframe(LONG + DELIMITER + LONG + SPS + LONG + PPS + SHORT + KEY)
    assert has_keyframe(SHORT + b"\x25")
    assert not has_keyframe(LONG + DELIMITER + LONG + SPS + LONG + PPS + LONG + BETWEEN)
    assert not has_keyframe(KEY)
    assert not has_keyframe(b"")


def test_a_start_code_that_ends_what_there_is_begins_nothing() -> None:
    assert not has_keyframe(LONG + BETWEEN + LONG)
    assert not has_keyframe(SHORT)
