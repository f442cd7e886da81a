"""Samples and images of slides, from the keyframes of a recording."""

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation

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
from recorder.package.keyframes import Keyframe, frame_image, image_jpeg
from recorder.package.seal_options import FrameArea, SlidesView

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
