"""Decoded pictures of any format (files, H.264 cameras) into limited-range yuv420p of one size and one matrix."""

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from capture.pictures import PicturePool, Planes, plane_views, tagged
from capture.source import Matrix

_HD_ROWS = 720
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray"})
"""8-bit planar formats whose planes need no change but of range and chroma layout."""

_KNOWN = frozenset({Matrix.BT709, Matrix.BT601, Matrix.SMPTE170M})
_RGB = 0
_UNSPECIFIED = (_RGB, Matrix.UNSPECIFIED, 3)


def matrix_of(colorspace: int, height: int) -> Matrix:
    """Return the matrix for pictures that say `colorspace` (FFmpeg's number).

    RGB and those that say nothing get the usual one of their size; BT.2020 and other rare ones become BT.709.
    """
    if colorspace in _UNSPECIFIED:
        return Matrix.BT709 if height >= _HD_ROWS else Matrix.BT601
    return Matrix(colorspace) if colorspace in _KNOWN else Matrix.BT709


class FrameConverter:
    """Converts the decoded pictures of one stream, whatever their size and format is at the moment.

    A frame stays unchanged until the next call but one; it may be the decoder's own, and is not to be written to.
    """

    def __init__(self, width: int, height: int, matrix: Matrix) -> None:
        self.width = width
        self.height = height
        self.matrix = matrix
        self._pool = PicturePool(width, height, matrix)
        self._scaler = VideoReformatter()

    def convert(self, frame: VideoFrame) -> VideoFrame:
        """Return `frame` as limited-range yuv420p."""
        name = frame.format.name
        full_range = name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
        if (
            name not in _PLANAR
            or (frame.width, frame.height) != (self.width, self.height)
            or self._source_matrix(frame) != self.matrix
        ):
            return tagged(self._scale(frame, full_range=full_range), self.matrix)
        if name == "yuv420p" and not full_range:
            return tagged(frame, self.matrix)
        y, *chroma = plane_views(frame)
        u, v = chroma or (None, None)
        return self._pool.store(Planes(y, u, v, full_range))

    def _source_matrix(self, frame: VideoFrame) -> int:
        return self.matrix if frame.colorspace in _UNSPECIFIED else frame.colorspace

    def _scale(self, frame: av.VideoFrame, *, full_range: bool) -> VideoFrame:
        return self._scaler.reformat(
            frame,
            self.width,
            self.height,
            "yuv420p",
            src_colorspace=None if frame.format.is_rgb else self._source_matrix(frame),
            dst_colorspace=self.matrix,
            src_color_range=ColorRange.JPEG if full_range or frame.format.is_rgb else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
            threads=1,
        )
