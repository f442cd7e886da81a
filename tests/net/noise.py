"""A film of noise: it takes whatever bit rate it is given, and costs little to encode. Its pictures are numbered."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from capture.media.pictures import plane_views
from capture.synthetic.marks import FOOTER, write_number

RATE = 30
SIZE = 640, 360
PROFILE = "noise"


def settings(bit_rate: str) -> str:
    """Return the settings of a profile for it, called PROFILE."""
    return f"""
[profiles.{PROFILE}]
width = {SIZE[0]}
height = {SIZE[1]}
fps = {RATE}
video_bitrate = "{bit_rate}"
preset = "superfast"
"""


def sources(path: Path) -> tuple[str, ...]:
    """Return what `liput record` is told to record it."""
    return "--video", str(path), "--audio", "synthetic"


def film(path: Path, seconds: float) -> None:
    """Make a film of noise with a number in each picture."""
    width, height = SIZE
    chance = np.random.default_rng(0)
    noise = [chance.integers(60, 190, (height, width), np.uint8) for _ in range(97)]
    picture = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = plane_views(picture)
    for plane in chroma:
        plane[:] = 128
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * RATE)):
            luma[:] = np.roll(noise[number % len(noise)], number % 53, axis=0)
            FOOTER.of(luma)[:] = 16
            write_number(luma, number)
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
