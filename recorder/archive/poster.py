"""The poster: one picture of the session, small enough for a list, taken where there is something to see."""

from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from recorder.archive.media import NOT_DECODED, OPEN_SAFELY

WIDTH = 1280
"""Pixels, at most; a smaller picture stays as it is."""

MOMENTS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.0)
"""Parts of the session that are tried in turn until one is not black."""

BLACK_LUMA = 10.0
"""Mean luma (0 is black, 255 white) up to which a picture counts as black."""


def poster(path: Path) -> bytes | None:
    """Return a JPEG of the media file at `path`, or None when it holds no picture that can be decoded.

    All black from beginning to end, the last one tried is taken.
    """
    picture: av.VideoFrame | None = None
    try:
        with av.open(path, options=OPEN_SAFELY | NOT_DECODED) as container:
            if not container.streams.video:
                return None
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for part in MOMENTS:
                found = _picture_at(container, stream, part)
                picture = found or picture
                if found is not None and _luma(found) > BLACK_LUMA:
                    break
        return None if picture is None else _jpeg(picture)
    except Exception:  # of whatever kind: no picture is worth more than the sealing that asks for it
        return None


def _picture_at(container: InputContainer, stream: VideoStream, part: float) -> av.VideoFrame | None:
    """Return the first picture that decodes from the keyframe before `part` (0 to 1) of the session on.

    Each is asked for at once: else the decoder would take, and keep, some more before it gives the first.
    """
    decoder = stream.codec_context
    try:
        container.seek((container.start_time or 0) + int((container.duration or 0) * part))
        for packet in container.demux(stream):
            if pictures := decoder.decode(packet) or decoder.decode(None):
                return pictures[0]
            decoder.flush_buffers()
    except av.error.FFmpegError:
        pass
    return None


def _luma(picture: av.VideoFrame) -> float:
    """Return the mean luma, from 0 to 255, of a picture made small enough to add up in Python."""
    (plane,) = picture.reformat(width=64, height=36, format="gray").planes
    rows = bytes(plane)
    luma = b"".join(rows[start : start + 64] for start in range(0, plane.line_size * 36, plane.line_size))
    return sum(luma) / len(luma)


def _jpeg(picture: av.VideoFrame) -> bytes:
    width = min(picture.width, WIDTH) // 2 * 2
    height = picture.height * width // picture.width // 2 * 2
    full = picture.reformat(
        width, height, "yuvj420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG,
        interpolation="AREA",
    )  # fmt: skip
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = full.width, full.height, "yuvj420p"
    encoder.time_base = 1
    encoder.options = {"qmin": "3", "qmax": "3"}
    full.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(full), *encoder.encode(None)))
