"""A source of pictures that is watched: whoever reads and decodes it keeps the device's health without knowing it.

The watches need no thread of their own. The thread that reads calls often enough, whether pictures come or not; the
one that decodes has every picture in its hands.
"""

import os
from collections.abc import Callable
from typing import Any

import av

from capture.source import Coded, Frame, Size, VideoFormat, VideoSource, abandoned_closings, coded_form
from capture.timing import CpuStage, Timing, untimed
from capture.watch.patience import Patience
from capture.watch.signal_watch import Driven
from capture.watch.video_watches import VideoWatches
from capture.watch.watched import WatchedSource
from config.errors import MediaError
from devices.clock import Clock
from devices.health.line import Record
from devices.health.tracker import OnChange
from devices.model import Device


class WatchedVideo(WatchedSource[VideoSource, VideoFormat, VideoWatches]):
    """Implements VideoSource (capture/source.py): passes `source` on as it is, and judges what comes.

    `read` may be called from one thread and `decode` from another, as with any source. While nothing comes, `read` has
    to be called at least every 0.1 s for faults to be found in time.
    """

    def __init__(
        self,
        source: VideoSource,
        device: Device,
        *,
        patience_of: Callable[[Device], Patience],
        record: Record,
        clock: Clock,
        on_change: OnChange | None = None,
        timing: Timing = untimed,
    ) -> None:
        super().__init__(source, device, patience_of=patience_of, record=record, clock=clock, on_change=on_change)
        self._driver = source if isinstance(source, Driven) else None
        self._judge_frame = timing(CpuStage.WATCHES, _judge_frame)
        self._judge_picture = timing(CpuStage.WATCHES, _judge_picture)

    def open(self) -> VideoFormat:
        """Open the source and begin to watch it; raises what the source raises, after it is in the log."""
        return self._open(self.source.open)

    def _facts(self, opened: VideoFormat) -> dict[str, Any]:
        """Return what the device was asked for, and the process that reads it."""
        mode = self._driver.mode.mode if self._driver and self._driver.mode else None
        return {
            "format": mode.format if mode else None,
            "width": mode.width if mode else opened.width,
            "height": mode.height if mode else opened.height,
            "fps": round(float(opened.rate), 3),
            "pid": os.getpid(),
        }

    def _new_watch(self, opened: VideoFormat) -> VideoWatches:
        return VideoWatches(self._tracker, self._device, self._patience, opened, self._clock, self._driver)

    @property
    def abandoned(self) -> int:
        """How many closings of its device have not come to an end yet."""
        return abandoned_closings(self.source)

    @property
    def coded(self) -> Coded | None:
        """In which form its payloads can be stored as they are."""
        return coded_form(self.source)

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None when none came within `timeout_s` seconds; raises DeviceLost."""
        frame = self._read(self.source.read, timeout_s)
        watch = self._watch
        if watch is not None:
            self._judge_frame(watch, frame)
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture as the source decodes it, at most of size `within`; raises MediaError on a damaged one."""
        watch = self._watch
        try:
            picture = self.source.decode(frame, within)
        except MediaError as error:
            if watch is not None:
                watch.damaged(frame, error.message)
            raise
        if watch is not None:
            self._judge_picture(watch, picture, frame.timestamp_ns)
        return picture

    def _tell_closed(self, watch: VideoWatches) -> None:
        watch.tell_closed()


def _judge_frame(watch: VideoWatches, frame: Frame | None) -> None:
    watch.read(frame)


def _judge_picture(watch: VideoWatches, picture: av.VideoFrame, at_ns: int) -> None:
    watch.decoded(picture, at_ns)
