"""A source of pictures that is watched: whoever reads and decodes it keeps the device's health without knowing it.

The watches need no thread of their own. The thread that reads calls often enough, whether pictures come or not; the
one that decodes has every picture in its hands.
"""

import os
import threading

import av

from capture.source import Coded, Frame, Relocatable, Size, VideoFormat, VideoSource, abandoned_closings, coded_form
from capture.timing import CpuStage, Timing, untimed
from capture.watch.guard import Guard
from capture.watch.patience import Patience
from capture.watch.refusal import clear_refusals, find_refusal
from capture.watch.signal_watch import Driven
from capture.watch.video_watches import VideoWatches
from config.errors import DeviceError, DeviceLost, MediaError
from devices.clock import Clock
from devices.health.faults import Fault
from devices.health.line import Kind, Level, Record
from devices.health.tracker import HealthTracker, OnChange
from devices.model import Device, Health


class WatchedVideo:
    """A VideoSource around `source`, which belongs to `device`; lines go to `record`, changes of health to `on_change`.

    `read` may be called from one thread and `decode` from another, as with any source. While nothing comes, `read` has
    to be called at least every 0.1 s for faults to be found in time. Whatever goes wrong in watching, what the source
    gives or raises goes through as it is.
    """

    def __init__(
        self,
        source: VideoSource,
        device: Device,
        *,
        patience: Patience,
        record: Record,
        clock: Clock,
        on_change: OnChange | None = None,
        timing: Timing = untimed,
    ) -> None:
        self.name = source.name
        self.source = source
        self._device = device
        self._patience = patience
        self._record = record
        self._clock = clock
        self._guard = Guard(device.id, device.name, record)
        told = self._guard.listener(on_change)
        self._tracker = HealthTracker(device.id, device.name, record=record, clock=clock, on_change=told)
        self._driver = source if isinstance(source, Driven) else None
        self._watch: VideoWatches | None = None
        self._is_open = False
        self._closing = threading.Lock()
        self._refused: str | None = None
        self._judge_frame = timing(CpuStage.WATCHES, _judge_frame)
        self._judge_picture = timing(CpuStage.WATCHES, _judge_picture)

    @property
    def health(self) -> Health:
        """How the device is now."""
        return self._tracker.health

    def relocate(self, device: Device) -> None:
        """Open `device` the next time: the same one, with another node or in another port."""
        if isinstance(self.source, Relocatable):
            self.source.relocate(device)

    def open(self) -> VideoFormat:
        """Open the source and begin to watch it; raises what the source raises, after it is in the log."""
        try:
            opened = self.source.open()
        except DeviceError as error:
            self._guard("opening", self._tell_refusal, error)
            raise
        self._is_open = True
        self._guard("opening", self._tell_opened, opened)
        self._watch = self._guard("everything", self._watches, opened)
        return opened

    def _watches(self, opened: VideoFormat) -> VideoWatches | None:
        return VideoWatches(self._tracker, self._device, self._patience, opened, self._clock, self._driver)

    def _tell_refusal(self, error: DeviceError) -> None:
        if error.message != self._refused:  # whoever tries again every second is told of it once
            self._refused = error.message
            self._record(
                self._device.id,
                Kind.REFUSED,
                error.message,
                name=self._device.name,
                level=Level.WARN,
                hint=error.hint,
            )
        find_refusal(self._tracker, error)

    def _tell_opened(self, opened: VideoFormat) -> None:
        self._refused = None
        clear_refusals(self._tracker)
        mode = self._driver.mode.mode if self._driver and self._driver.mode else None
        self._record(
            self._device.id,
            Kind.OPENED,
            name=self._device.name,
            format=mode.format if mode else None,
            width=mode.width if mode else opened.width,
            height=mode.height if mode else opened.height,
            fps=round(float(opened.rate), 3),
            pid=os.getpid(),
        )

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
        try:
            frame = self.source.read(timeout_s)
        except DeviceLost as error:
            if self._is_open:  # else it was closed meanwhile
                self._guard("loss", self._tracker.find, Fault.LOST, error.message)
            raise
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

    def close(self) -> None:
        """Stop watching and let go of the source; idempotent. Faults stay as they were seen last."""
        with self._closing:
            watch, self._watch = self._watch, None
            self._is_open = False
        try:
            self.source.close()
        finally:
            if watch is not None:
                self._guard("closing", watch.tell_closed)


def _judge_frame(watch: VideoWatches, frame: Frame | None) -> None:
    watch.read(frame)


def _judge_picture(watch: VideoWatches, picture: av.VideoFrame, at_ns: int) -> None:
    watch.decoded(picture, at_ns)
