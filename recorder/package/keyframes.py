"""Keyframes of a recording, read alone, frames as images, and the poster.

A keyframe decodes alone, and the demuxer skips all other frames: about 5 % of a file of 10 GB is read.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from av.container import InputContainer
from av.stream import Discard
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from capture.media.convert import matrix_of
from capture.media.preview import JpegEncoder, shrink
from recorder.package.media import OPEN_SAFELY

if TYPE_CHECKING:
    from PIL import Image

type Advance = Callable[[float], None]  # called with the share done, from 0 to 1

_HALF_A_TICK_S = 0.0005  # seeking rounds file times down

type Keyframe = tuple[float, av.VideoFrame]  # a frame and its time in the file, in seconds


def keyframes(
    path: Path, step_s: float, start_s: float = 0.0, end_s: float | None = None, *, rough: bool = False
) -> Iterator[Keyframe]:
    """Yield the keyframe at or before each `step_s` seconds of the first video track, each once.

    Skips frames that do not decode, and yields none of an unreadable file. `rough` skips H.264's loop filter, a tenth
    of the work: good enough for comparison.
    """
    with suppress(av.error.FFmpegError, ValueError), _opened(path, rough=rough) as (container, stream):
        end_s = (container.duration or 0) / av.time_base if end_s is None else end_s
        last_s, wanted_s = -1.0, start_s
        while wanted_s < end_s:
            found = _at(container, stream, wanted_s)
            if found is not None and found[0] > last_s:
                last_s = found[0]
                yield found
            wanted_s += step_s


def keyframes_at(path: Path, times: Iterable[float]) -> Iterator[av.VideoFrame | None]:
    """Yield the keyframe at or before each of `times`, None if it does not decode; nothing of an unreadable file."""
    with suppress(av.error.FFmpegError, ValueError), _opened(path) as (container, stream):
        for at_s in times:
            found = _at(container, stream, at_s + _HALF_A_TICK_S)
            yield found[1] if found else None


@contextmanager
def _opened(path: Path, *, rough: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video track; raises FFmpegError, or ValueError without one."""
    with av.open(path, options=OPEN_SAFELY) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no video")
        stream = container.streams.video[0]
        for other in container.streams:
            other.discard = Discard.nonkey if other is stream else Discard.all
        if rough:
            stream.codec_context.options = {"skip_loop_filter": "all"}
        stream.codec_context.thread_count = 1  # more threads only cost for single frames
        yield container, stream


def _at(container: InputContainer, stream: VideoStream, at_s: float) -> Keyframe | None:
    base, codec, first = stream.time_base, stream.codec_context, stream.start_time or 0
    try:
        container.seek(first + int(at_s / base), stream=stream)
        for packet in container.demux(stream):
            if packet.size and packet.is_keyframe:
                # Drain at once: the decoder would wait for frames to show before this one.
                pictures = [*packet.decode(), *codec.decode(None)]
                codec.flush_buffers()
                if not pictures or pictures[0].pts is None:
                    return None
                return float((pictures[0].pts - first) * base), pictures[0]
            if packet.dts is None:
                return None
    except av.error.FFmpegError:
        codec.flush_buffers()
    return None


def frame_image(picture: av.VideoFrame) -> "Image.Image":
    """Return a frame as an RGB image."""
    from PIL import Image  # sealing loads this module, and needs no images

    is_full = picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG
    rgb = picture.reformat(
        format="rgb24",
        src_colorspace=None if picture.format.is_rgb else matrix_of(picture.colorspace, picture.height),
        src_color_range=ColorRange.JPEG if is_full or picture.format.is_rgb else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return Image.fromarray(rgb.to_ndarray())


def image_jpeg(image: "Image.Image", quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, optimize=True)
    return content.getvalue()


POSTER_WIDTH = 1280  # pixels, at most

POSTER_MOMENTS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.0)
"""Parts of the session to try in turn until a frame is not black."""
BLACK_LUMA = 10.0  # mean luma (0 is black, 255 white) of a black frame, at most


def poster_of(path: Path) -> bytes | None:
    """Return a JPEG of a frame of the media file, if possible not black; None if no frame decodes."""
    picture: av.VideoFrame | None = None
    try:
        with _opened(path) as (container, stream):
            length_s = (container.duration or 0) / av.time_base
            for part in POSTER_MOMENTS:
                if found := _at(container, stream, length_s * part):
                    picture = found[1]
                    if picture.reformat(width=64, height=36, format="gray").to_ndarray().mean() > BLACK_LUMA:
                        break
        if picture is None:
            return None
        return JpegEncoder().write(shrink(picture, POSTER_WIDTH, VideoReformatter()))
    except Exception:  # any failure: sealing is worth more than a poster
        return None
