"""An input's newest picture, on its way from the thread that decodes it to the conference's.

The decoder gives two frames by turns, so a picture is copied: half a millisecond for 1080p, only while it is wanted.
Three copies take turns: one that is written, the newest, and the one that the conference shows. Nobody waits.
"""

import threading
from collections.abc import Callable

import av
import numpy as np

from capture.outage import SourceOutage
from capture.pictures import Plane, plane_views, tagged
from capture.source import Matrix, Size
from devices.clock import NANOSECONDS, Clock
from recorder.video_input import VideoInput

EARLY = 0.9
"""What comes sooner than this part of an interval after the last one is left out."""


class PictureTap:
    """`take` is called by the picture track's thread, everything else by the conference's."""

    def __init__(self, clock: Clock, on_picture: Callable[[], None]) -> None:
        self.size: Size | None = None
        """The size at which it is shown; None while it is not."""
        self.every_s = 0.0
        """At most one picture in this time is copied."""
        self.failure: Exception | None = None
        self._clock = clock
        self._on_picture = on_picture
        self._copies: dict[int, _Copy] = {}
        self._lock = threading.Lock()
        self._newest: int | None = None
        self._shown: int | None = None
        self._taken_ns = 0

    @property
    def wanted(self) -> Size | None:
        """The size at which a picture is wanted now; None while none is: it is not shown, or it is too soon."""
        is_time = self._clock.now_ns() - self._taken_ns >= self.every_s * EARLY * NANOSECONDS
        return self.size if is_time else None

    def take(self, picture: av.VideoFrame) -> None:
        """Copy `picture` if it is wanted; returns at once, and never raises."""
        if self.wanted is None:
            return
        self._taken_ns = self._clock.now_ns()
        try:
            self._keep(picture)
        except Exception as error:  # of whatever kind: a conference is worth no recording
            self.failure = error
            return
        self._on_picture()

    def _keep(self, picture: av.VideoFrame) -> None:
        with self._lock:
            free = next(number for number in range(3) if number not in {self._newest, self._shown})
        copy = self._copies.get(free)
        if copy is None or copy.size != (picture.width, picture.height):
            copy = self._copies[free] = _Copy(picture.width, picture.height)
        copy.fill(picture)
        with self._lock:
            self._newest = free

    def newest(self) -> av.VideoFrame | None:
        """Return the newest picture if there is another one; it stays as it is until this returns the next."""
        with self._lock:
            if self._newest is None:
                return None
            self._shown, self._newest = self._newest, None
            return self._copies[self._shown].frame


class _Copy:
    """A frame of ours."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self.frame = tagged(av.VideoFrame(width, height, "yuv420p"), Matrix.BT601)
        self._planes: tuple[Plane, ...] = plane_views(self.frame)

    def fill(self, picture: av.VideoFrame) -> None:
        for target, source in zip(self._planes, plane_views(picture), strict=True):
            np.copyto(target, source)
        self.frame.colorspace = picture.colorspace


class NearInput:
    """One input as the conference's stage is shown it (recorder.scene.Shown)."""

    def __init__(self, video: VideoInput, tap: PictureTap, whole: Size) -> None:
        """`whole` is the size of the conference's picture."""
        self.name = video.name
        self.picture: av.VideoFrame | None = None
        self.version = 0
        self._video = video
        self._tap = tap
        self._whole = whole

    @property
    def outage(self) -> SourceOutage | None:
        """Why a slate stands in its place."""
        return self._video.outage

    @property
    def within(self) -> Size | None:
        """The size at which it is shown; None for all of the picture."""
        return None if self._tap.size == self._whole else self._tap.size

    @within.setter
    def within(self, size: Size | None) -> None:
        self._tap.size = size or self._whole

    def look(self, *, is_shown: bool, every_s: float) -> None:
        """Take what has come since; one that is not shown is not copied. Raises what went wrong with copying."""
        self._tap.every_s = every_s
        if not is_shown:
            self._tap.size = None
        elif self._tap.size is None:
            self._tap.size = self._whole
        if failure := self._tap.failure:
            self._tap.failure = None
            raise failure
        picture = self._tap.newest()
        if picture is not None:
            self.picture = picture
            self.version += 1
