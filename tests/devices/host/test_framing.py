"""Lines and blocks come out whole, however the bytes arrive, and never longer than their bound."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.host.framing import FrameTooLong, ReceiveBuffer, length_prefixed

LENGTH = struct.Struct(">I")
MOST = 64


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return `data` cut at `cuts`."""
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(at)]


@given(st.lists(st.binary(max_size=MOST).filter(lambda line: b"\n" not in line), min_size=1), st.lists(st.integers(0)))
def test_lines_come_out_as_they_went_in(lines: list[bytes], cuts: list[int]) -> None:
    buffer, found = ReceiveBuffer(MOST), []
    for piece in pieces(b"".join(line + b"\n" for line in lines), cuts):
        buffer.add(piece)
        while buffer.has_line:
            found.append(buffer.line())
    assert found == lines
    assert len(buffer) == 0


@given(st.lists(st.binary(max_size=MOST), min_size=1), st.lists(st.integers(0)))
def test_blocks_come_out_as_they_went_in(blocks: list[bytes], cuts: list[int]) -> None:
    buffer, found = ReceiveBuffer(MOST), []
    for piece in pieces(b"".join(length_prefixed(each, LENGTH) for each in blocks), cuts):
        buffer.add(piece)
        while (taken := buffer.block(LENGTH)) is not None:
            found.append(taken)
    assert found == blocks


def test_lines_and_blocks_may_follow_each_other() -> None:
    buffer = ReceiveBuffer(MOST)
    buffer.add(b'{"ok":true}\n' + length_prefixed(b"jpeg", LENGTH) + b"12half")
    assert buffer.peek(1) == b"{"
    assert buffer.line() == b'{"ok":true}'
    assert buffer.block(LENGTH) == b"jpeg"
    assert buffer.take(2) == b"12"
    assert buffer.take(5) is None
    assert buffer.line() is None
    assert buffer.rest() == b"half"
    assert len(buffer) == 0


def test_a_line_at_its_bound_is_taken_and_a_longer_one_refused_before_its_end_comes() -> None:
    buffer = ReceiveBuffer(4)
    buffer.add(b"1234\n")
    assert buffer.line() == b"1234"
    buffer.add(b"12345")
    with pytest.raises(FrameTooLong):
        buffer.line()


def test_a_block_that_says_it_is_longer_than_its_bound_is_refused_at_once() -> None:
    buffer = ReceiveBuffer(4)
    buffer.add(LENGTH.pack(5))
    with pytest.raises(FrameTooLong):
        buffer.block(LENGTH)
