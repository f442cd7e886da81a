"""Samples slides from keyframes some seconds apart, and finds their changes (docs/decisions/0033).

Frames are small copies of luma, compared by blocks. Blocks that keep changing (a film, a speaker) do not count. A new
slide has lost much of the old one, or has other text in its place, even one digit. Added bullet points make no new
slide. A slide counts once it stands still, so a fade is one change. A slide that returns is recognised.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from recorder.package.keyframes import Keyframe, frame_image, image_jpeg
from recorder.package.metadata import FrameArea, SlidesView

type Luma = NDArray[np.uint8]
type Blocks = NDArray[np.bool_]  # a mask of DOWN x ACROSS blocks
WIDTH, HEIGHT = 320, 180  # size of the copies
BLOCK = 10
ACROSS, DOWN = WIDTH // BLOCK, HEIGHT // BLOCK

_LEVELS = 24  # least difference of a pixel: above the noise of compression and capture cards
_PIXELS = 6  # least number of different pixels of a block's 100
_CONTRAST = 32  # luma range of a block with content, at least
_LEAST_LOST = 0.015  # least share of all blocks: the loss of a title's line. A mouse pointer is a fifth of it
_LOST_OF_CONTENT = 0.12  # least share of the blocks with content
_LEAST_ADDED = 0.08  # least share of all blocks, on an empty slide
_REWRITTEN = 6
"""Pixels of four neighbouring blocks: the lesser of those lost and those added. In copies of slides of 720 lines:

    another digit, any for any, in letters of 60 and of 40 pixels   14 - 29, 6 - 13
    a pointer of 20 pixels at rest on letters                                 0 - 4
    added bullet points; noise of a capture card; compression                     0
"""
_CLOCK, _TICKS = (1, 4), 0.55
"""Four changes in a row mark a clock. This many blocks below and above, and left and right, may belong to it."""
_STILL = 0.03  # most different blocks between two frames of one slide, as a share
_SAME = 0.01  # the same for a slide that returns
_LEAST_SEEN = 0.2  # least share of blocks without motion: with fewer nothing is decided
_AROUND = 2  # frames before and after one that show the motion in it
_FORGETS, _LIVELY = 0.2, 0.4
"""A block that changes most of the time is lively: a speaker or a film. A fade ends earlier."""
_KNOWN = 200  # slides in memory, to recognise one that returns


@dataclass(frozen=True, slots=True)
class SlidePosition:
    """A slide's position: file, time in it, area of the frame."""

    file: Path
    at_s: float
    area: FrameArea


@dataclass(frozen=True, slots=True)
class SlideSample:
    """The slides at `at_s` of media time: a small copy, the blocks that count, and their place."""

    at_s: float
    luma: Luma
    counts: Blocks
    place: SlidePosition


@dataclass(frozen=True, slots=True)
class Slide:
    """A slide from `start_s` on; `place` shows it complete. One that `is_back` has its former number."""

    start_s: float
    place: SlidePosition
    number: int
    is_back: bool


type _Shown = tuple[float, SlideSample]  # a slide's start, and the sample that shows it complete


class SlideDetector:
    """Takes looks in order of time, and returns each slide when it ends."""

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._window: deque[SlideSample] = deque()
        self._changed: deque[Blocks] = deque()  # between neighbours in the window
        self._before = 0  # number of judged looks in the window
        self._shown: _Shown | None = None
        self._still = np.zeros((HEIGHT, WIDTH), np.uint8)  # the present slide without motion
        self._lively = np.zeros((DOWN, ACROSS), np.float32)
        self._next: _Shown | None = None
        self._known: deque[tuple[int, Luma, Blocks]] = deque(maxlen=_KNOWN)
        self._count = 0

    def see(self, sight: SlideSample) -> list[Slide]:
        """Take the next look; return the slide that has ended, if any."""
        if self._window:
            self._changed.append(changed_blocks(self._window[-1].luma, sight.luma))
        self._window.append(sight)
        return self._judge_next() if len(self._window) - self._before > _AROUND else []

    def end(self) -> list[Slide]:
        """Return the remaining slides at the end."""
        ended = []
        while self._before < len(self._window):
            ended += self._judge_next()
        if self._shown is not None:
            ended.append(self._with_number(*self._shown))
        return ended

    def _judge_next(self) -> list[Slide]:
        ended = self._judge(self._window[self._before], self._moving())
        if self._before < _AROUND:
            self._before += 1
        else:
            self._window.popleft()
            self._changed.popleft()
        return ended

    def _moving(self) -> Blocks:
        """Return the blocks that change more than once around the judged look."""
        if self._before:
            self._lively += _FORGETS * (self._changed[self._before - 1] - self._lively)
        around = list(self._changed)[: self._before + _AROUND]
        return np.sum(around, axis=0) > 1 if around else np.zeros((DOWN, ACROSS), np.bool_)

    def _judge(self, sight: SlideSample, moving: Blocks) -> list[Slide]:
        counts = sight.counts & ~moving
        if counts.mean() < _LEAST_SEEN:
            self._next = None
            return []
        if self._shown is None:
            self._show(sight.at_s, sight)
            return []
        start_s, best = self._shown
        both = counts & best.counts
        if not is_new_slide(self._still, sight.luma, both) and not self._is_rewritten(self._still, sight.luma, both):
            self._next = None
            self._shown = start_s, sight
            # Take over added content, except in the middle of a fade, which would hide it later.
            stands = np.kron(~moving | (self._lively > _TICKS), np.ones((BLOCK, BLOCK), np.bool_))
            np.copyto(self._still, sight.luma, where=stands)
            return []
        if self._next is None or not self._is_same(self._next[1].luma, sight.luma, counts, _STILL):
            self._next = sight.at_s, sight
            return []
        next_s = self._next[0]
        self._next = next_s, sight
        if sight.at_s - next_s < self._least_s - 1:
            return []
        ended = self._with_number(start_s, best)
        self._show(next_s, sight)
        return [ended]

    def _is_same(self, before: Luma, now: Luma, counts: Blocks, most: float) -> bool:
        """Return whether two copies show one slide at rest, with a share of `most` different blocks."""
        seen = int(counts.sum())
        share = float((changed_blocks(before, now) & counts).sum()) / seen if seen else 0.0
        return share <= most and not self._is_rewritten(before, now, counts)

    def _is_rewritten(self, before: Luma, now: Luma, counts: Blocks) -> bool:
        """Return whether other content stands in the place of the former, clocks apart."""
        down, across = _CLOCK
        around = np.pad(self._lively, ((down, down), (across, across)))
        clock = sliding_window_view(around, (2 * down + 1, 2 * across + 1)).max(axis=(2, 3)) > _TICKS
        paper = np.median(before.reshape(DOWN, BLOCK, ACROSS, BLOCK), axis=(1, 3)).repeat(BLOCK, 0).repeat(BLOCK, 1)
        more, seen = np.abs(now - paper) - np.abs(before - paper), counts & ~clock
        come, gone = (_of_corners(_of_blocks(pixels) * seen) for pixels in (more > _LEVELS, more < -_LEVELS))
        return bool(np.minimum(come, gone).max() >= _REWRITTEN)

    def _show(self, start_s: float, sight: SlideSample) -> None:
        self._shown, self._next = (start_s, sight), None
        self._still = sight.luma.copy()

    def _with_number(self, start_s: float, best: SlideSample) -> Slide:
        """Return a slide that has ended, with its former number if it was shown before."""
        luma, counts = best.luma, best.counts & (self._lively <= _LIVELY)
        for number, known, counted in reversed(self._known):
            both = counts & counted
            if both.mean() >= _LEAST_SEEN and self._is_same(known, luma, both, _SAME):
                return Slide(start_s, best.place, number, is_back=True)
        self._count += 1
        self._known.append((self._count, luma, counts))
        return Slide(start_s, best.place, self._count, is_back=False)


def changed_blocks(one: Luma, other: Luma) -> Blocks:
    """Return the blocks in which two copies differ."""
    return _of_blocks(np.abs(one.astype(np.int16) - other) > _LEVELS) >= _PIXELS


def content_blocks(luma: Luma) -> Blocks:
    blocks = luma.reshape(DOWN, BLOCK, ACROSS, BLOCK)
    return blocks.max(axis=(1, 3)).astype(np.int16) - blocks.min(axis=(1, 3)) >= _CONTRAST


def is_new_slide(before: Luma, now: Luma, counts: Blocks) -> bool:
    """Return whether another slide is shown, not the same one with more on it."""
    seen = int(counts.sum())
    if seen < _LEAST_SEEN * counts.size:
        return False
    changed = changed_blocks(before, now) & counts
    stood = content_blocks(before) & counts
    lost = int((changed & stood).sum())
    if lost >= _LEAST_LOST * seen and lost >= _LOST_OF_CONTENT * stood.sum():
        return True
    return bool(stood.sum() < _LEAST_LOST * seen and changed.sum() >= _LEAST_ADDED * seen)


def _of_blocks(pixels: NDArray[np.bool_]) -> NDArray[np.int_]:
    return pixels.reshape(DOWN, BLOCK, ACROSS, BLOCK).sum(axis=(1, 3))


def _of_corners(blocks: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return the sums of each four blocks that meet at a corner."""
    return blocks[:-1, :-1] + blocks[1:, :-1] + blocks[:-1, 1:] + blocks[1:, 1:]


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
    return part.reformat(WIDTH, HEIGHT, interpolation=Interpolation.AREA).to_ndarray().astype(np.uint8, copy=False)


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
