"""NAL units of an H.264 stream with start codes (ISO/IEC 14496-10, annex B)."""

from collections.abc import Iterator
from itertools import pairwise

SLICE, IDR, SEQUENCE_SET, PICTURE_SET = 1, 5, 7, 8
START = b"\x00\x00\x00\x01"
_SHORT_START = START[1:]
_TYPE = 0x1F


def nal_units(data: bytes) -> Iterator[bytes]:
    """Yield each NAL unit without its start code and trailing zeros."""
    for begin, following in pairwise([*_begins(data), len(data) + len(_SHORT_START)]):
        if unit := data[begin : following - len(_SHORT_START)].rstrip(b"\x00"):
            yield unit


def nal_type(unit: bytes) -> int:
    return unit[0] & _TYPE


def is_annex_b(data: bytes) -> bool:
    """Return whether `data` begins with a start code."""
    return data.startswith((START, _SHORT_START))


def parameter_sets(data: bytes) -> bytes:
    """Return the SPS and PPS units in `data`, with start codes."""
    sets = (unit for unit in nal_units(data) if nal_type(unit) in {SEQUENCE_SET, PICTURE_SET})
    return b"".join(START + unit for unit in sets)


def has_keyframe(data: bytes) -> bool:
    """Return whether an access unit has an IDR slice."""
    # Runs for every camera frame, so it copies nothing.
    return any(begin < len(data) and data[begin] & _TYPE == IDR for begin in _begins(data))


def _begins(data: bytes) -> Iterator[int]:
    """Yield the offset of each unit, after its start code."""
    at = data.find(_SHORT_START)
    while at >= 0:
        begin = at + len(_SHORT_START)
        yield begin
        at = data.find(_SHORT_START, begin)
