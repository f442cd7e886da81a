"""Pictures in memory that two processes share: as many places for yuv420p pictures without padding as fit into it."""

import mmap

import av
import numpy as np

from capture.pictures import Plane, copy_planes, plane_views, tagged
from capture.source import Matrix


class Pictures:
    """The places, numbered from 0; pictures are copied in and out."""

    def __init__(self, memory: mmap.mmap, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._bytes = width * height * 3 // 2
        self._memory = memory
        self.count = len(memory) // self._bytes

    def fill(self, slot: int, picture: av.VideoFrame) -> None:
        """Copy a yuv420p picture into a place."""
        copy_planes(plane_views(picture), self._planes(slot))

    def frame(self, slot: int, matrix: Matrix) -> av.VideoFrame:
        """Return a copy of the picture in a place."""
        picture = av.VideoFrame(self._width, self._height, "yuv420p")
        copy_planes(self._planes(slot), plane_views(picture))
        return tagged(picture, matrix)

    def _planes(self, slot: int) -> tuple[Plane, ...]:
        samples = np.frombuffer(self._memory, np.uint8, self._bytes, slot * self._bytes)
        luma = self._width * self._height
        y, u, v = np.split(samples, [luma, luma + luma // 4])
        chroma = self._height // 2, self._width // 2
        return y.reshape(self._height, self._width), u.reshape(chroma), v.reshape(chroma)
