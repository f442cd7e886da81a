"""One packet at a time: in order, to the end, and without a byte that stays."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from av.container import InputContainer

from capture.demuxing import next_packet
from tests.support.held import own_mb

PICTURES = 5
TIMES = 40_000
MOST_MB = 1.5
"""Of that many packets PyAV's generators would leave 7.5 MB."""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[InputContainer]:
    path = tmp_path / "pictures.nut"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"
        for number in range(PICTURES):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), number, np.uint8), "gray")
            frame.pts = number
            made.mux(stream.encode(frame))
    with av.open(str(path)) as opened:
        yield opened


def test_packets_come_in_order_and_the_end_is_empty(container: InputContainer) -> None:
    packets = [next_packet(container, container.streams.video[0]) for _ in range(PICTURES + 2)]
    assert [bytes(packet) for packet in packets] == [bytes([number]) * 16 * 16 for number in range(PICTURES)] + [
        b"",
        b"",
    ]


def test_nothing_stays_of_those_that_were_read(container: InputContainer) -> None:
    stream = container.streams.video[0]

    def some(times: int) -> None:
        for number in range(times):
            if number % PICTURES == 0:
                container.seek(0)
            assert next_packet(container, stream).size == 16 * 16

    some(100)
    before = own_mb(psutil.Process())
    some(TIMES)
    assert own_mb(psutil.Process()) - before < MOST_MB
