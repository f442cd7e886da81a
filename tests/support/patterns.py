"""Pictures for tests of compositions and encoders: plain, noise without repetition, and a moving pattern."""

import av
import numpy as np
from numpy.typing import NDArray

from capture.compose.layout import Rect
from capture.media.pictures import plane_views, tag_frame
from capture.source import ColorMatrix

type Samples = tuple[NDArray[np.uint8], ...]


def plain(width: int, height: int, level: int, matrix: ColorMatrix = ColorMatrix.BT601) -> av.VideoFrame:
    """Return a picture of one colour: luma `level`, chroma a little off it."""
    frame = tag_frame(av.VideoFrame(width, height, "yuv420p"), matrix)
    for plane, sample in zip(plane_views(frame), (level, 100, 150), strict=True):
        plane[:] = sample
    return frame


def noise(width: int, height: int, seed: int, matrix: ColorMatrix = ColorMatrix.BT601) -> av.VideoFrame:
    """Return a picture in which each sample is another."""
    frame = tag_frame(av.VideoFrame(width, height, "yuv420p"), matrix)
    random = np.random.default_rng(seed)
    for plane in plane_views(frame):
        plane[:] = random.integers(16, 236, plane.shape)
    return frame


def samples(frame: av.VideoFrame, place: Rect | None = None) -> Samples:
    """Return copies of the planes, or of what of them is in `place`."""
    place = place or Rect(0, 0, frame.width, frame.height)
    return tuple(plane[place.plane_slices(number)].copy() for number, plane in enumerate(plane_views(frame)))


def equal(one: Samples, other: Samples) -> bool:
    """Whether all samples are the same."""
    return all(np.array_equal(mine, yours) for mine, yours in zip(one, other, strict=True))


def is_plain(shown: Samples, *levels: int) -> bool:
    """Whether each plane is of one level, and of which."""
    return all(bool((plane == level).all()) for plane, level in zip(shown, levels, strict=True))


class Moving:
    """`picture(n)` is always the same for the same n."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        random = np.random.default_rng(1)
        blocks = random.integers(0, 255, (height // 8 + 60, width // 8 + 60), dtype=np.uint8)
        self._pattern = np.kron(blocks, np.ones((8, 8), np.uint8))
        self._noise = [random.integers(0, 24, (height, width), dtype=np.uint8) for _ in range(7)]

    def picture(self, number: int) -> av.VideoFrame:
        x, y = (number * 5) % 200, (number * 3) % 200
        luma = self._pattern[y : y + self.height, x : x + self.width] // 2 + self._noise[number % 7]
        planes = np.full((self.height * 3 // 2, self.width), 128, np.uint8)
        planes[: self.height] = 255 - luma if number // 150 % 2 else luma
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
