"""Synthetic pictures: a slide, a speaker, a clock, and marks that tests can read.

A picture depends on nothing but its number and the size: the same session drawn in real time or as fast as
possible shows the same. Only what moves is drawn for each picture; slides are drawn once.
"""

import threading
from fractions import Fraction

import av
import cv2
import numpy as np

from capture.pacing import Pace
from capture.pictures import plane_views, tagged
from capture.sizes import BySize
from capture.source import Frame, Matrix, Size, VideoFormat, VideoSource
from capture.synthetic.clockface import ClockFace
from capture.synthetic.colour import planes_in
from capture.synthetic.marks import Plane, is_lit, write_lamp, write_number
from capture.synthetic.slides import SLIDE_SECONDS, SLIDES, SPEAKER, draw_slide
from capture.synthetic.speaker import Speaker
from config.errors import MediaError
from devices.host.clock import NANOSECONDS

TRACK = "video"
"""What the pace calls this track."""

_NUMBER_BYTES = 8


class SyntheticVideo(VideoSource):
    """Pictures that need no camera. Picture n is captured at media time n / rate, exactly, and never skipped.

    Frames hold only their number (eight bytes); `decode` draws it.
    """

    name = "synthetic picture"

    def __init__(self, width: int, height: int, rate: Fraction, pace: Pace, stop: threading.Event) -> None:
        self._format = VideoFormat(width, height, rate, Matrix.BT601)
        self._pace = pace
        self._stop = stop
        self._painters: BySize[Painter] | None = None
        self._number = 0

    def open(self) -> VideoFormat:
        """Draw the first slide."""
        width, height, rate = self._format.width, self._format.height, self._format.rate
        self._painters = BySize(width, height, lambda wide, high: Painter(wide, high, rate))
        return self._format

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame when its time has come, None when it has not within `timeout_s` or when stopped."""
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
        """End the track."""
        self._painters = None
        self._pace.finish(TRACK)


class Painter:
    """Draws the pictures of one size and rate into two frames that take turns."""

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
        """Return picture `number`, limited-range BT.601."""
        self._turn = 1 - self._turn
        planes = self._views[self._turn]
        seconds = number / self._rate
        self._put_slide(planes, int(seconds / SLIDE_SECONDS) % len(SLIDES))
        self._put_speaker(planes, float(seconds), number)
        self._clock.write(planes[0], int(seconds * 1000), number)
        write_number(planes[0], number)
        write_lamp(planes[0], lit=is_lit(number, self._rate))
        return tagged(self._frames[self._turn], Matrix.BT601)

    def _put_slide(self, planes: tuple[Plane, ...], slide: int) -> None:
        if self._shown[self._turn] != slide:
            for plane, drawn in zip(planes, self._slide(slide), strict=True):
                plane[:] = drawn
            self._shown[self._turn] = slide

    def _slide(self, slide: int) -> tuple[Plane, ...]:
        if slide not in self._slides:
            width, height = self._size
            i420 = np.empty((height * 3 // 2, width), np.uint8)
            cv2.cvtColor(draw_slide(SLIDES[slide], width, height), cv2.COLOR_BGR2YUV_I420, i420)
            self._slides[slide] = planes_in(i420)
        return self._slides[slide]

    def _put_speaker(self, planes: tuple[Plane, ...], seconds: float, number: int) -> None:
        rows, columns = self._speaker_place
        half = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
        y, u, v = self._speaker.draw(seconds, number)
        planes[0][rows, columns] = y
        planes[1][half] = u
        planes[2][half] = v
