"""Previews: small frames, shrunk in the pipeline and encoded as JPEG elsewhere."""

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from capture.media.convert import matrix_of
from capture.source import ColorMatrix
from config.errors import MediaError

_JPEG_FORMAT = "yuvj420p"
_QUALITY = 4  # FFmpeg's MJPEG scale, 2 (best) to 31; 4 is about 90 % elsewhere


def shrink(picture: av.VideoFrame, width: int, scaler: VideoReformatter) -> av.VideoFrame:
    """Return a copy in JPEG's format (BT.601, full range, yuvj420p), at most `width` wide; it may be shrunk again."""
    is_shrunk = picture.format.name == _JPEG_FORMAT
    across = max(2, min(width, picture.width) // 2 * 2)
    down = max(2, round(picture.height * across / picture.width / 2) * 2)
    return scaler.reformat(
        picture,
        across,
        down,
        _JPEG_FORMAT,
        src_colorspace=ColorMatrix.BT601 if is_shrunk else matrix_of(picture.colorspace, picture.height),
        dst_colorspace=ColorMatrix.BT601,
        src_color_range=ColorRange.JPEG if is_shrunk else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.AREA,
        threads=1,
    )


def decode_jpeg(jpeg: bytes) -> av.VideoFrame:
    """Decode a JPEG file of any size to limited-range yuv420p; raises MediaError."""
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


class JpegEncoder:
    """Encodes frames of any size as JPEG files; used by one thread."""

    def __init__(self) -> None:
        self._encoder: VideoCodecContext | None = None
        self._written = 0

    def write(self, picture: av.VideoFrame) -> bytes:
        """Return a yuvj420p frame as a JPEG file."""
        encoder = self._encoder
        if encoder is None or (encoder.width, encoder.height) != (picture.width, picture.height):
            encoder = self._encoder = _encoder(picture.width, picture.height)
        # The encoder needs rising timestamps in its own units.
        self._written += 1
        picture.pts, picture.time_base = self._written, encoder.time_base
        return b"".join(bytes(packet) for packet in encoder.encode(picture))


def _encoder(width: int, height: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101 - it is a codec of pictures
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = _JPEG_FORMAT
    encoder.color_range = ColorRange.JPEG
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = _QUALITY
    return encoder
