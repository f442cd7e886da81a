"""Pictures as V4L2 output nodes take them: the reverse of capture/pictures.py."""

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from capture.pictures import plane_views
from capture.source import Size

_PIXEL_FORMATS = {"YUYV": "yuyv422", "NV12": "nv12"}


class Packer:
    """Packs limited-range yuv420p pictures of one even size as YUYV, YU12 or NV12, rows not padded."""

    def __init__(self, fourcc: str, size: Size) -> None:
        width, height = size
        self._fourcc = fourcc
        self._size = size
        self._scaler = VideoReformatter()
        self._packed: NDArray[np.uint8] = np.empty(width * height * (4 if fourcc == "YUYV" else 3) // 2, np.uint8)

    def pack(self, picture: av.VideoFrame) -> memoryview:
        """Return the bytes of `picture`; they stay as they are until the next call."""
        if self._fourcc == "YU12":
            self._put(list(plane_views(picture)))
        else:
            converted = self._scaler.reformat(picture, *self._size, _PIXEL_FORMATS[self._fourcc], threads=1)
            self._put(self._rows(converted))
        return memoryview(self._packed)

    def _rows(self, picture: av.VideoFrame) -> list[NDArray[np.uint8]]:
        """Return the planes without the padding of their rows, in bytes."""
        width, height = self._size
        across = [2 * width] if self._fourcc == "YUYV" else [width, width]
        return [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: height if number == 0 else height // 2, :most]
            for number, (plane, most) in enumerate(zip(picture.planes, across, strict=True))
        ]

    def _put(self, planes: list[NDArray[np.uint8]]) -> None:
        at = 0
        for plane in planes:
            np.copyto(self._packed[at : at + plane.size].reshape(plane.shape), plane)
            at += plane.size
