"""Converts decoded frames of any format to limited-range yuv420p, and back for V4L2 outputs."""

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from capture.media.pictures import FramePool, Planes, plane_views, tag_frame
from capture.source import ColorMatrix

_HD_ROWS = 720
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray"})
"""8-bit planar formats; only their range and chroma layout may need a conversion."""

_KNOWN = frozenset({ColorMatrix.BT709, ColorMatrix.BT601, ColorMatrix.SMPTE170M})
_RGB = 0
_UNSPECIFIED = (_RGB, ColorMatrix.UNSPECIFIED, 3)


def matrix_of(colorspace: int, height: int) -> ColorMatrix:
    """Return the matrix of frames with FFmpeg's `colorspace`: by height if unspecified or RGB, BT.709 for rare ones."""
    if colorspace in _UNSPECIFIED:
        return ColorMatrix.BT709 if height >= _HD_ROWS else ColorMatrix.BT601
    return ColorMatrix(colorspace) if colorspace in _KNOWN else ColorMatrix.BT709


class FrameConverter:
    """Converts frames of any size and format; a result is read-only and lasts until the next but one."""

    def __init__(self, width: int, height: int, matrix: ColorMatrix) -> None:
        self.width = width
        self.height = height
        self.matrix = matrix
        self._pool = FramePool(width, height, matrix)

    def convert(self, frame: VideoFrame) -> VideoFrame:
        """Return `frame` as limited-range yuv420p."""
        name = frame.format.name
        full_range = name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
        if (
            name not in _PLANAR
            or (frame.width, frame.height) != (self.width, self.height)
            or self._source_matrix(frame) != self.matrix
        ):
            source = None if frame.format.is_rgb else self._source_matrix(frame)
            return self._pool.scale(frame, source, full_range=full_range or frame.format.is_rgb)
        if name == "yuv420p" and not full_range:
            return tag_frame(frame, self.matrix)
        y, *chroma = plane_views(frame)
        u, v = chroma or (None, None)
        return self._pool.store(Planes(y, u, v, full_range))

    def _source_matrix(self, frame: VideoFrame) -> int:
        return self.matrix if frame.colorspace in _UNSPECIFIED else frame.colorspace


_PIXEL_FORMATS = {"YUYV": "yuyv422", "YU12": "yuv420p", "NV12": "nv12"}


class FramePacker:
    """Packs limited-range yuv420p frames of even size as YUYV, YU12 or NV12, without row padding."""

    def __init__(self, fourcc: str) -> None:
        self._format = _PIXEL_FORMATS[fourcc]
        self._scaler = VideoReformatter()

    def pack(self, picture: av.VideoFrame) -> memoryview:
        packed = self._scaler.reformat(picture, format=self._format, threads=1)
        return memoryview(packed.to_ndarray().reshape(-1))
