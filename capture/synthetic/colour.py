"""From drawn BGR pictures to the planes a source gives: limited-range BT.601 yuv420p."""

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.synthetic.marks import Plane

type Bgr = NDArray[np.uint8]
"""A picture as cv2 draws it, shape (height, width, 3)."""

type Colour = tuple[int, int, int]
"""Blue, green, red, 0-255."""


class PlaneMaker:
    """Converts pictures of one (even) size; the planes it gives are overwritten by the next."""

    def __init__(self, width: int, height: int) -> None:
        self._i420 = np.empty((height * 3 // 2, width), np.uint8)
        luma, chroma = width * height, width * height // 4
        flat = self._i420.reshape(-1)
        self.planes: tuple[Plane, Plane, Plane] = (
            flat[:luma].reshape(height, width),
            flat[luma : luma + chroma].reshape(height // 2, width // 2),
            flat[luma + chroma :].reshape(height // 2, width // 2),
        )

    def convert(self, picture: Bgr) -> tuple[Plane, Plane, Plane]:
        """Return the Y, U and V planes of `picture`."""
        cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420, self._i420)
        return self.planes
