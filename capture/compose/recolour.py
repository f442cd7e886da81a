"""From the matrix of one piece to that of the program, on planes: BT.601 and BT.709 mean other colours by one sample.

Luma moves by a weighted sum of the two chroma samples, chroma by a two-by-two matrix: a fifth of what swscale takes for
the same. The result is within 2 levels of the exact one.
"""

from functools import cache

import cv2
import numpy as np

from capture.pictures import Plane
from capture.source import Matrix

_WEIGHTS = {Matrix.BT709: (0.2126, 0.0722)}
_BT601_WEIGHTS = 0.299, 0.114
"""What red and blue weigh in luma (ITU-R BT.709 and BT.601)."""
_LUMA, _CHROMA = 219, 224
_MIDDLE = 128


def weights(matrix: int) -> tuple[float, float]:
    """Return what red and blue weigh in luma; those of BT.601 for whatever is not BT.709."""
    return _WEIGHTS.get(Matrix(matrix) if matrix in set(Matrix) else Matrix.UNSPECIFIED, _BT601_WEIGHTS)


def is_same(one: int, other: int) -> bool:
    """Whether two matrices (FFmpeg's numbers) give a colour the same samples."""
    return weights(one) == weights(other)


class Recolourer:
    """Converts pictures of one even size from one matrix to another, into planes of its own."""

    def __init__(self, width: int, height: int, source: int, target: int) -> None:
        self.size = width, height
        self._factors = _factors(source, target)
        self._planes = tuple(np.empty((height // part, width // part), np.uint8) for part in (1, 2, 2))
        self._shift, self._shift_of_all = np.empty_like(self._planes[1]), np.empty_like(self._planes[0])

    def convert(self, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        """Return limited-range 4:2:0 planes in the other matrix; they are overwritten by the next call."""
        y, u, v = planes
        (y_by_u, y_by_v), *chroma = self._factors
        # Luma's shift is never more than 60 levels: it fits into 8 bits around 128.
        cv2.addWeighted(u, y_by_u, v, y_by_v, _MIDDLE * (1 - y_by_u - y_by_v), self._shift)
        rows, columns = y.shape
        cv2.resize(self._shift, (columns, rows), self._shift_of_all, interpolation=cv2.INTER_NEAREST)
        cv2.addWeighted(y, 1.0, self._shift_of_all, 1.0, -_MIDDLE, self._planes[0])
        for target, (by_u, by_v) in zip(self._planes[1:], chroma, strict=True):
            cv2.addWeighted(u, by_u, v, by_v, _MIDDLE * (1 - by_u - by_v), target)
        return self._planes


@cache
def _factors(source: int, target: int) -> tuple[tuple[float, float], ...]:
    """Return by how much U and V, from 128, move luma, and what they make of U and of V."""
    change = _from_rgb(target) @ np.linalg.inv(_from_rgb(source))
    luma, u, v = change[:, 1:].tolist()
    part = _LUMA / _CHROMA
    return (luma[0] * part, luma[1] * part), (u[0], u[1]), (v[0], v[1])


def _from_rgb(matrix: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    red, blue = weights(matrix)
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    v = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    return np.array([luma, u, v])
