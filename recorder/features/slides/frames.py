"""Frames of a recording: keyframes, images of slides, and the thumbnails sheet.

A keyframe decodes alone, and the demuxer skips all other frames: about 5 % of a file of 10 GB is read.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Discard
from av.video.reformatter import ColorRange, Interpolation
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from capture.media.convert import matrix_of
from config.settings.quantities import clock_text
from recorder.features.slides.detector import (
    ACROSS,
    DOWN,
    HEIGHT,
    WIDTH,
    Blocks,
    Luma,
    SlidePosition,
    SlideSample,
    content_blocks,
)
from recorder.package.media import OPEN_SAFELY
from recorder.package.metadata import MediaFile
from recorder.package.seal_options import FrameArea, SlidesView
from recorder.package.work_folder import program_files

_HALF_A_TICK_S = 0.0005  # seeking rounds file times down

type Keyframe = tuple[float, av.VideoFrame]
"""A frame and its time in the file, in seconds."""


def keyframes(
    path: Path, step_s: float, start_s: float = 0.0, end_s: float | None = None, *, rough: bool = False
) -> Iterator[Keyframe]:
    """Yield the keyframe at or before each `step_s` seconds of the first video track, each once.

    Skips frames that do not decode, and yields none of an unreadable file. `rough` skips H.264's loop filter, a tenth
    of the work: good enough for comparison.
    """
    try:
        with _opened(path, rough=rough) as (container, stream):
            end_s = (container.duration or 0) / av.time_base if end_s is None else end_s
            last_s, wanted_s = -1.0, start_s
            while wanted_s < end_s:
                found = _at(container, stream, wanted_s)
                if found is not None and found[0] > last_s:
                    last_s = found[0]
                    yield found
                wanted_s += step_s
    except (av.error.FFmpegError, ValueError):
        return


def keyframes_at(path: Path, times: Iterable[float]) -> Iterator[av.VideoFrame | None]:
    """Yield the keyframe at or before each of `times`, None if it does not decode; nothing of an unreadable file."""
    try:
        with _opened(path) as (container, stream):
            for at_s in times:
                found = _at(container, stream, at_s + _HALF_A_TICK_S)
                yield found[1] if found else None
    except (av.error.FFmpegError, ValueError):
        return


@contextmanager
def _opened(path: Path, *, rough: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video track; raises FFmpegError, or ValueError without one."""
    with av.open(path, options=OPEN_SAFELY) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures")
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


WIDEST = 1280  # pixels of a slide's image: text that a hall can read stays readable
_QUALITY = 80
_LUMA_FIRST = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "nv12"})


def slide_sample(keyframe: Keyframe, file: Path, offset_s: float, view: SlidesView) -> SlideSample | None:
    """Return the slides in a keyframe, None for a plain one; `offset_s` is the file's start in media time."""
    at_s, picture = keyframe
    luma = _small(picture, view.area)
    counts = _uncovered(view)
    if not (content_blocks(luma) & counts).any():
        return None
    return SlideSample(offset_s + at_s, luma, counts, SlidePosition(file, at_s, view.area))


def slide_jpeg(picture: av.VideoFrame, area: FrameArea) -> bytes:
    """Return the slide in `area` of a frame as a JPEG, at most WIDEST pixels wide."""
    image = frame_image(picture).crop(_pixels(picture, area))
    image.thumbnail((WIDEST, WIDEST))
    return image_jpeg(image, _QUALITY)


def frame_image(picture: av.VideoFrame) -> Image.Image:
    """Return a frame as an RGB image."""
    is_full = picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG
    rgb = picture.reformat(
        format="rgb24",
        src_colorspace=None if picture.format.is_rgb else matrix_of(picture.colorspace, picture.height),
        src_color_range=ColorRange.JPEG if is_full or picture.format.is_rgb else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return Image.fromarray(rgb.to_ndarray())


def image_jpeg(image: Image.Image, quality: int) -> bytes:
    """Return an image as a JPEG."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, optimize=True)
    return content.getvalue()


def _small(picture: av.VideoFrame, area: FrameArea) -> Luma:
    """Return a copy of the luma of `area`, HEIGHT x WIDTH; each pixel is a mean."""
    if picture.format.name not in _LUMA_FIRST:
        picture = picture.reformat(format="yuv420p")
    plane = picture.planes[0]
    whole = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: picture.height, : picture.width]
    left, top, right, bottom = _pixels(picture, area)
    part = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole[top:bottom, left:right]), format="gray")
    small = part.reformat(WIDTH, HEIGHT, interpolation=Interpolation.AREA)
    return small.to_ndarray().astype(np.uint8, copy=False)


def _pixels(picture: av.VideoFrame, area: FrameArea) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of an area, at least 16 pixels each way."""
    left = min(max(0, round(area.x * picture.width)), picture.width - 16)
    top = min(max(0, round(area.y * picture.height)), picture.height - 16)
    right = max(left + 16, min(picture.width, round((area.x + area.width) * picture.width)))
    bottom = max(top + 16, min(picture.height, round((area.y + area.height) * picture.height)))
    return left, top, right, bottom


def _uncovered(view: SlidesView) -> Blocks:
    free = np.ones((DOWN, ACROSS), np.bool_)
    for cover in view.covered:
        left = (cover.x - view.area.x) / view.area.width * ACROSS
        top = (cover.y - view.area.y) / view.area.height * DOWN
        right = left + cover.width / view.area.width * ACROSS
        bottom = top + cover.height / view.area.height * DOWN
        free[max(0, int(top)) : max(0, int(np.ceil(bottom))), max(0, int(left)) : max(0, int(np.ceil(right)))] = False
    return free


type Advance = Callable[[float], None]
"""Called with the share done, from 0 to 1."""
COLUMNS, ROWS = 5, 6
MOST_THUMBNAILS = COLUMNS * ROWS
CELL = 320, 180
_GAP = 8
_LINE = 24
_LEAST_STEP_S = 1.0
_SHEET_QUALITY = 82


def thumbnails_sheet(root: Path, media: Sequence[MediaFile], advance: Advance) -> bytes | None:
    """Return a JPEG of at most MOST_THUMBNAILS frames, spread evenly over the program; None if no frame decodes."""
    found = list(_thumbnails(root, media, advance))
    if not found:
        return None
    rows = -(-len(found) // COLUMNS)
    across, down = CELL[0] + _GAP, CELL[1] + _LINE + _GAP
    sheet = Image.new("RGB", (min(len(found), COLUMNS) * across + _GAP, rows * down + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (at_s, image) in enumerate(found):
        x, y = _GAP + number % COLUMNS * across, _GAP + number // COLUMNS * down
        sheet.paste("black", (x, y, x + CELL[0], y + CELL[1]))
        sheet.paste(image, (x + (CELL[0] - image.width) // 2, y + (CELL[1] - image.height) // 2))
        draw.text((x, y + CELL[1] + 3), clock_text(at_s), fill="black", font=font)
    return image_jpeg(sheet, _SHEET_QUALITY)


def _thumbnails(root: Path, media: Sequence[MediaFile], advance: Advance) -> list[tuple[float, Image.Image]]:
    files = program_files(media) or list(media[:1])
    step_s = max(_LEAST_STEP_S, sum(file.duration_s for file in files) / MOST_THUMBNAILS)
    found: list[tuple[float, Image.Image]] = []
    for file in files:
        for at_s, picture in keyframes(root / file.file, step_s, end_s=file.duration_s):
            if len(found) == MOST_THUMBNAILS:
                break
            image = frame_image(picture)
            image.thumbnail(CELL)
            found.append((file.offset_s + at_s, image))
            advance(len(found) / MOST_THUMBNAILS)
    return found
