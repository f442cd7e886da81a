"""Pictures of 32-bit pixels (blue, green, red, unused), as screens have them, into limited-range BT.601 yuv420p.

Luma comes from cv2's own conversion; its chroma, which takes every second pixel, is replaced by that of the picture at
half the size: letters in colour keep their edges. A third of what swscale takes for the same.
"""

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from capture.convert import FrameConverter
from capture.pictures import PicturePool, Plane, Planes
from capture.source import Matrix

type Bgra = NDArray[np.uint8]
"""Shape (rows, columns, 4)."""

MATRIX = Matrix.BT601
"""That of cameras, so that a screen beside one needs no other conversion."""
_SCALE = 224 / 255
_OFFSET = 128 * (1 - _SCALE)


class BgraConverter:
    """Converts pictures of one size into frames of another (even) one; one that is given again is not converted again.

    A frame stays valid and unchanged until the next call but one.
    """

    def __init__(self, size: tuple[int, int], width: int, height: int) -> None:
        self._size = size
        self._whole = _Whole(width, height) if size == (width, height) else None
        self._scaler = FrameConverter(width, height, MATRIX)
        self._latest: tuple[bytes, av.VideoFrame] | None = None

    def convert(self, data: bytes) -> av.VideoFrame:
        """Return the picture of `data`, rows of four bytes a pixel without padding."""
        if self._latest is not None and self._latest[0] is data:
            return self._latest[1]
        width, height = self._size
        pixels = np.frombuffer(data, np.uint8, width * height * 4).reshape(height, width, 4)
        if self._whole:
            frame = self._whole.convert(pixels)
        else:
            frame = self._scaler.convert(av.VideoFrame.from_numpy_buffer(pixels, "bgra"))
        self._latest = data, frame
        return frame


class _Whole:
    """The conversion of pictures that keep their even size."""

    def __init__(self, width: int, height: int) -> None:
        self._pool = PicturePool(width, height, MATRIX)
        self._i420 = np.empty((height * 3 // 2, width), np.uint8)
        self._half = np.empty((height // 2, width // 2, 4), np.uint8)
        self._ycc = np.empty((height // 2, width // 2, 3), np.uint8)
        self._u, self._v = (np.empty((height // 2, width // 2), np.uint8) for _ in range(2))

    def convert(self, pixels: Bgra) -> av.VideoFrame:
        """Return the picture."""
        height, width = pixels.shape[:2]
        cv2.cvtColor(pixels, cv2.COLOR_BGRA2YUV_I420, self._i420)
        cv2.resize(pixels, (width // 2, height // 2), self._half, interpolation=cv2.INTER_AREA)
        cv2.cvtColor(self._half, cv2.COLOR_BGR2YCrCb, self._ycc)
        for channel, plane in ((2, self._u), (1, self._v)):
            cv2.extractChannel(self._ycc, channel, plane)
            cv2.convertScaleAbs(plane, plane, _SCALE, _OFFSET)
        luma: Plane = self._i420[:height]
        return self._pool.store(Planes(luma, self._u, self._v, full_range=False))
