"""Small pictures for people who look: shrunk where the pictures are, made JPEG elsewhere."""

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from capture.media.convert import matrix_of
from capture.source import Matrix
from config.errors import MediaError

_QUALITY = 4
"""Of FFmpeg's MJPEG, 2 the best and 31 the worst; 4 is about 90 of others' 100."""


class Shrinker:
    """Makes small copies of pictures; used by one thread."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def shrink(self, picture: av.VideoFrame, width: int) -> av.VideoFrame:
        """Return a copy of a picture as JPEG has it (BT.601, full range, yuvj420p), at most `width` wide."""
        return self._scale(picture, width, matrix_of(picture.colorspace, picture.height), ColorRange.MPEG)

    def again(self, small: av.VideoFrame, width: int) -> av.VideoFrame:
        """Return the same of what `shrink` has returned."""
        return self._scale(small, width, Matrix.BT601, ColorRange.JPEG)

    def _scale(self, picture: av.VideoFrame, width: int, matrix: Matrix, of_range: ColorRange) -> av.VideoFrame:
        across = max(2, min(width, picture.width) // 2 * 2)
        down = max(2, round(picture.height * across / picture.width / 2) * 2)
        return self._scaler.reformat(
            picture,
            across,
            down,
            "yuvj420p",
            src_colorspace=matrix,
            dst_colorspace=Matrix.BT601,
            src_color_range=of_range,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA,
            threads=1,
        )


def picture_of(jpeg: bytes) -> av.VideoFrame:
    """Return the picture of a JPEG file of any size as limited-range yuv420p; raises MediaError where it holds none."""
    context = av.CodecContext.create("mjpeg", "r")
    try:
        frames = context.decode(av.Packet(jpeg))
    except av.FFmpegError as error:
        raise MediaError(f"a damaged JPEG picture: {error.strerror}") from error
    if not frames:
        raise MediaError("a damaged JPEG picture: it holds no whole picture")
    return frames[0].reformat(
        format="yuv420p", src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG
    )  # fmt: skip


class JpegWriter:
    """Makes JPEG files of pictures, whatever size each is; used by one thread."""

    def __init__(self) -> None:
        self._encoder: VideoCodecContext | None = None
        self._written = 0

    def write(self, picture: av.VideoFrame) -> bytes:
        """Return `picture` (yuvj420p) as the content of a JPEG file."""
        encoder = self._encoder
        if encoder is None or (encoder.width, encoder.height) != (picture.width, picture.height):
            encoder = self._encoder = _encoder(picture.width, picture.height)
        # Whatever time it was taken at: the encoder wants time to go on, and in its own units.
        self._written += 1
        picture.pts, picture.time_base = self._written, encoder.time_base
        return b"".join(bytes(packet) for packet in encoder.encode(picture))


def _encoder(width: int, height: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101 - it is a codec of pictures
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuvj420p"
    encoder.color_range = ColorRange.JPEG
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = _QUALITY
    return encoder
