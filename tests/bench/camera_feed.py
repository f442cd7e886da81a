"""A camera that two programs can be given: JPEGs with numbers in them, through a pipe, one by one in real time.

    python -m tests.bench.camera_feed FILM ZERO

Writes FILM's pictures as Matroska to standard output, picture n at its time n / RATE, and into the file ZERO the moment
(time.monotonic_ns) that is time 0.
"""

import io
import sys
import time
from collections.abc import Buffer
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from capture.synthetic.video import SyntheticPainter
from devices.host.clock import NANOSECONDS
from tests.bench.material import Clip, write

RATE = 30
WIDTH, HEIGHT = 640, 360
BEFORE_NS = NANOSECONDS // 10
_QUALITY = 85


def film(path: Path, seconds: float) -> None:
    """Make a film for it: the pictures of the synthetic camera, each a JPEG."""
    clip = Clip(path, WIDTH, HEIGHT, RATE, round(seconds * RATE), 0)
    painter = SyntheticPainter(WIDTH, HEIGHT, Fraction(RATE))
    pictures = (painter.draw(number).to_ndarray(format="bgr24") for number in range(clip.pictures))
    write(clip, (bytes(simplejpeg.encode_jpeg(picture, _QUALITY, "BGR", "422")) for picture in pictures))


class Unseekable(io.RawIOBase):
    """Hands to a pipe what a muxer writes, at once."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self._pipe.write(data)
        self._pipe.flush()
        return memoryview(data).nbytes


def main() -> None:
    """Feed until the film ends or nobody reads any more."""
    film_path, zero = map(Path, sys.argv[1:])
    options = {"live": "1", "flush_packets": "1", "cluster_time_limit": "0"}
    with (
        av.open(str(film_path)) as source,
        av.open(Unseekable(sys.stdout.buffer), "w", format="matroska", options=options, buffer_size=1024) as sink,
    ):
        stream = sink.add_stream_from_template(source.streams.video[0], opaque=True)
        began_ns = time.monotonic_ns() + BEFORE_NS
        zero.write_text(str(began_ns))
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                due_ns = began_ns + number * NANOSECONDS // RATE
                time.sleep(max(0, due_ns - time.monotonic_ns()) / NANOSECONDS)
                packet.stream = stream
                sink.mux(packet)


if __name__ == "__main__":
    main()
