"""Synthetic video: a slide, a speaker, a clock and marks; a frame depends only on its number and size."""

import math
import threading
from fractions import Fraction
from typing import Final

import av
import cv2
import numpy as np

from capture.media.pictures import Plane, SizeCache, copy_planes, plane_views, split_planes, tag_frame
from capture.pacing import Pace
from capture.source import ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.synthetic.marks import CLOCK, is_lit, write_lamp, write_number
from capture.synthetic.slides import SLIDE_SECONDS, SLIDES, SPEAKER, draw_slide
from capture.synthetic.speaker import Speaker
from config.errors import MediaError
from devices.host.clock import NANOSECONDS

TRACK = "video"  # the track's name for the pace

_NUMBER_BYTES = 8


class SyntheticVideo(VideoSource):
    """Generated video: frame n, eight bytes, at media time n / rate, never skipped; `decode` draws it."""

    name = "synthetic picture"

    def __init__(self, width: int, height: int, rate: Fraction, pace: Pace, stop: threading.Event) -> None:
        self._format = VideoFormat(width, height, rate, ColorMatrix.BT601)
        self._pace = pace
        self._stop = stop
        self._painters: SizeCache[SyntheticPainter] | None = None
        self._number = 0

    def open(self) -> VideoFormat:
        self._painters = SizeCache(
            (self._format.width, self._format.height), lambda shown: SyntheticPainter(*shown, self._format.rate)
        )
        return self._format

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame when it is due, None after `timeout_s` or when stopped."""
        rate = self._format.rate
        media_ns = self._number * rate.denominator * NANOSECONDS // rate.numerator
        if self._stop.is_set() or not self._pace.wait(TRACK, media_ns, timeout_s):
            return None
        frame = Frame(self._pace.start_ns() + media_ns, self._number.to_bytes(_NUMBER_BYTES))
        self._number += 1
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Draw the picture, at most of size `within`; it stays unchanged until the next call but one."""
        if self._painters is None or not isinstance(frame.payload, bytes) or len(frame.payload) != _NUMBER_BYTES:
            raise MediaError("this is not a frame of the synthetic source")
        return self._painters.get(within).draw(int.from_bytes(frame.payload))

    def close(self) -> None:
        self._painters = None
        self._pace.finish(TRACK)


class SyntheticPainter:
    """Draws the frames of one size and rate into two frames in turn."""

    def __init__(self, width: int, height: int, rate: Fraction) -> None:
        self._size = width, height
        self._rate = rate
        self._frames = [av.VideoFrame(width, height, "yuv420p") for _ in range(2)]
        self._views = [plane_views(frame) for frame in self._frames]
        self._shown = [-1, -1]
        self._turn = 0
        self._slides: dict[int, tuple[Plane, ...]] = {}
        rows, columns = SPEAKER.pixels(width, height)
        self._speaker_place = rows, columns
        self._speaker = Speaker(columns.stop - columns.start, rows.stop - rows.start)
        self._clock = ClockFace(width, height)
        self._slide(0)

    def draw(self, number: int) -> av.VideoFrame:
        """Return frame `number`, limited-range BT.601."""
        self._turn = 1 - self._turn
        planes = self._views[self._turn]
        seconds = number / self._rate
        slide = int(seconds / SLIDE_SECONDS) % len(SLIDES)
        if self._shown[self._turn] != slide:
            copy_planes(self._slide(slide), planes)
            self._shown[self._turn] = slide
        self._put_speaker(planes, float(seconds), number)
        self._clock.write(planes[0], int(seconds * 1000), number)
        write_number(planes[0], number)
        write_lamp(planes[0], lit=is_lit(number, self._rate))
        return tag_frame(self._frames[self._turn], ColorMatrix.BT601)

    def _slide(self, slide: int) -> tuple[Plane, ...]:
        if slide not in self._slides:
            width, height = self._size
            i420 = np.empty((height * 3 // 2, width), np.uint8)
            cv2.cvtColor(draw_slide(SLIDES[slide], width, height), cv2.COLOR_BGR2YUV_I420, i420)
            self._slides[slide] = split_planes(i420, width, height)
        return self._slides[slide]

    def _put_speaker(self, planes: tuple[Plane, ...], seconds: float, number: int) -> None:
        rows, columns = self._speaker_place
        half = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
        y, u, v = self._speaker.draw(seconds, number)
        planes[0][rows, columns] = y
        planes[1][half] = u
        planes[2][half] = v


INK, PAPER = 210, 30
_LETTERS = "0123456789:.# "
_COLUMNS = len("00:00:00.000")
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WIDEST = max(cv2.getTextSize(digit, _FONT, 1.0, 1)[0][0] for digit in "0123456789#")
_TALLEST = cv2.getTextSize("0", _FONT, 1.0, 1)[0][1]


def clock_text(milliseconds: int) -> str:
    """Return media time as HH:MM:SS.mmm."""
    seconds, fraction = divmod(milliseconds, 1000)
    return f"{seconds // 3600 % 100:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:03d}"


class ClockFace:
    """Writes media time and number into frames of one size."""

    def __init__(self, width: int, height: int) -> None:
        rows, columns = CLOCK.pixels(width, height)
        across = columns.stop - columns.start
        self._line = (rows.stop - rows.start) // 2
        self._scale = min(across / _COLUMNS / _WIDEST, self._line * 0.68 / _TALLEST)
        self._cell = min(across // _COLUMNS, math.ceil(1.1 * _WIDEST * self._scale))
        self._place = rows, slice(columns.stop - _COLUMNS * self._cell, columns.stop)
        self._glyphs = {letter: self._draw(letter) for letter in _LETTERS}

    def _draw(self, letter: str) -> Plane:
        cell = np.full((self._line, self._cell), PAPER, np.uint8)
        (across, _), _ = cv2.getTextSize(letter, _FONT, self._scale, 1)
        # Dots and colons stand on the base line of the digits.
        corner = ((self._cell - across) // 2, (self._line + round(_TALLEST * self._scale)) // 2)
        cv2.putText(cell, letter, corner, _FONT, self._scale, INK, 1 if self._line < 30 else 2, cv2.LINE_AA)
        return cell

    def write(self, luma: Plane, milliseconds: int, number: int) -> None:
        area = luma[self._place]
        for line, text in enumerate((clock_text(milliseconds), f"#{number:08d}".rjust(_COLUMNS))):
            top = line * self._line
            for column, letter in enumerate(text):
                left = column * self._cell
                area[top : top + self._line, left : left + self._cell] = self._glyphs[letter]
