"""What is seen of the slides in a picture: a small copy for judging, and the slide itself for people."""

import io
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from PIL import Image

from capture.media.convert import matrix_of
from recorder.features.slides.changes import ACROSS, DOWN, HEIGHT, WIDTH, Blocks, Luma, Place, Sight, content
from recorder.features.slides.keyframes import Keyframe
from recorder.package.wishes import Area, SlidesView

WIDEST = 1280
"""Pixels of a slide's picture: enough to read what a hall can read."""
_QUALITY = 80
_LUMA_FIRST = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "nv12"})


def sight(keyframe: Keyframe, file: Path, offset_s: float, view: SlidesView) -> Sight | None:
    """Return what is seen of slides in a keyframe of `file`, which begins at `offset_s` of media time.

    None where nothing stands: a black or plain picture is no slide.
    """
    at_s, picture = keyframe
    luma = _small(picture, view.area)
    counts = _uncovered(view)
    if not (content(luma) & counts).any():
        return None
    return Sight(offset_s + at_s, luma, counts, Place(file, at_s, view.area))


def slide_jpeg(picture: av.VideoFrame, area: Area) -> bytes:
    """Return the slide that is in `area` of a picture as a JPEG, at most WIDEST pixels wide."""
    image = to_image(picture).crop(_pixels(picture, area))
    image.thumbnail((WIDEST, WIDEST))
    return jpeg(image, _QUALITY)


def to_image(picture: av.VideoFrame) -> Image.Image:
    """Return a decoded picture for Pillow, as RGB."""
    is_full = picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG
    rgb = picture.reformat(
        format="rgb24",
        src_colorspace=None if picture.format.is_rgb else matrix_of(picture.colorspace, picture.height),
        src_color_range=ColorRange.JPEG if is_full or picture.format.is_rgb else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return Image.fromarray(rgb.to_ndarray())


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return an image as a JPEG."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, optimize=True)
    return content.getvalue()


def _small(picture: av.VideoFrame, area: Area) -> Luma:
    """Return a copy of the luma of `area`, HEIGHT x WIDTH, in which each pixel is a mean."""
    if picture.format.name not in _LUMA_FIRST:
        picture = picture.reformat(format="yuv420p")
    plane = picture.planes[0]
    whole = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: picture.height, : picture.width]
    left, top, right, bottom = _pixels(picture, area)
    part = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole[top:bottom, left:right]), format="gray")
    small = part.reformat(WIDTH, HEIGHT, interpolation=Interpolation.AREA)
    return small.to_ndarray().astype(np.uint8, copy=False)


def _pixels(picture: av.VideoFrame, area: Area) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of an area; at least 16 pixels each way, whatever it says."""
    left = min(max(0, round(area.x * picture.width)), picture.width - 16)
    top = min(max(0, round(area.y * picture.height)), picture.height - 16)
    right = max(left + 16, min(picture.width, round((area.x + area.width) * picture.width)))
    bottom = max(top + 16, min(picture.height, round((area.y + area.height) * picture.height)))
    return left, top, right, bottom


def _uncovered(view: SlidesView) -> Blocks:
    """Return the blocks of the slides that nothing lies over."""
    free = np.ones((DOWN, ACROSS), np.bool_)
    for cover in view.covered:
        left = (cover.x - view.area.x) / view.area.width * ACROSS
        top = (cover.y - view.area.y) / view.area.height * DOWN
        right = left + cover.width / view.area.width * ACROSS
        bottom = top + cover.height / view.area.height * DOWN
        free[max(0, int(top)) : max(0, int(np.ceil(bottom))), max(0, int(left)) : max(0, int(np.ceil(right)))] = False
    return free
