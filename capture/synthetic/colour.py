"""Colours of drawn BGR pictures, and the planes that a source gives: limited-range BT.601 yuv420p."""

import numpy as np
from numpy.typing import NDArray

from capture.synthetic.marks import Plane

type Bgr = NDArray[np.uint8]
"""A picture as cv2 draws it, shape (height, width, 3)."""

type Colour = tuple[int, int, int]
"""Blue, green, red, 0-255."""


def planes_in(i420: Plane) -> tuple[Plane, Plane, Plane]:
    """Return the Y, U and V planes of a picture as cv2 converts it (COLOR_BGR2YUV_I420), sharing its memory."""
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    luma, chroma = width * height, width * height // 4
    flat = i420.reshape(-1)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )
