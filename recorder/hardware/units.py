"""The units of an H.264 stream with start codes (ISO/IEC 14496-10, annex B)."""

import re
from collections.abc import Iterator
from itertools import pairwise

SLICE, IDR, SEQUENCE_SET, PICTURE_SET = 1, 5, 7, 8
START = b"\x00\x00\x00\x01"
_STARTS = re.compile(b"\x00\x00\x01")


def units(data: bytes) -> Iterator[bytes]:
    """Give each unit, without its start code and the zeros behind it."""
    begins = [found.end() for found in _STARTS.finditer(data)]
    for begin, following in pairwise([*begins, len(data) + len(START) - 1]):
        if unit := data[begin : following - len(START) + 1].rstrip(b"\x00"):
            yield unit


def kind_of(unit: bytes) -> int:
    """Return its type."""
    return unit[0] & 0x1F


def is_stream(data: bytes) -> bool:
    """Whether it begins with a start code."""
    return data.startswith((START, START[1:]))


def parameter_sets(data: bytes) -> bytes:
    """Return what a decoder must have before the pictures in `data`, as far as it is there."""
    sets = (unit for unit in units(data) if kind_of(unit) in {SEQUENCE_SET, PICTURE_SET})
    return b"".join(START + unit for unit in sets)


def is_keyframe(data: bytes) -> bool:
    """Whether decoding may begin with the picture in `data`."""
    return any(kind_of(unit) == IDR for unit in units(data))
