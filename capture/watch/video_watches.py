"""All that watches one source of pictures, from its opening to its closing."""

import av

from capture.screen_area import WORD as SCREEN
from capture.source import Frame, VideoFormat
from capture.watch.arrivals import ArrivalWatch
from capture.watch.damage import DamageWatch
from capture.watch.guard import Guard
from capture.watch.patience import NOBODY_ASKED_S, Patience
from capture.watch.picture import PictureWatch
from capture.watch.signal_watch import Driven, SignalWatch
from capture.watch.stillness import StillnessWatch
from devices.clock import NANOSECONDS, Clock
from devices.health.line import Kind, Level
from devices.health.tracker import HealthTracker
from devices.model import Device

SAMPLE_S = 60.0


class VideoWatches:
    """The watches of one source; `read` is for the thread that reads, `decoded` and `damaged` for the one that decodes.

    None of these raises: a part that fails is switched off.
    """

    def __init__(
        self,
        tracker: HealthTracker,
        device: Device,
        patience: Patience,
        opened: VideoFormat,
        clock: Clock,
        driver: Driven | None,
    ) -> None:
        self._tracker = tracker
        self._guard = Guard(tracker.device_id, tracker.name, tracker.record)
        self._clock = clock
        self._driver = driver
        self._opened_ns = clock.now_ns()
        self.frames = 0
        self.damage = DamageWatch(tracker)
        self.pictures = PictureWatch(tracker, patience.black_s)
        is_screen = device.id.startswith(f"{SCREEN}:")
        self._arrivals = ArrivalWatch(tracker, device.kind, opened.rate, self._opened_ns, is_screen=is_screen)
        size = opened.width * opened.height
        predicts = driver is not None and driver.mode is not None and driver.mode.mode.format == "H264"
        self._stillness = StillnessWatch(
            tracker, device.kind, patience.frozen_s, self.pictures, size, predicts=predicts
        )
        self._signal = SignalWatch(tracker, driver)
        self._given_up = driver.damaged if driver else 0
        self._read_ns = self._opened_ns
        self._sample_ns = self._opened_ns
        self._sampled = (0, 0, 0, 0)

    def read(self, frame: Frame | None) -> None:
        """Take note of what one call of the source's `read` has given."""
        guard, now_ns = self._guard, self._clock.now_ns()
        since_ns, self._read_ns = now_ns - self._read_ns, now_ns
        if since_ns > NOBODY_ASKED_S * NANOSECONDS:
            guard("when pictures come", self._arrivals.excuse, since_ns)
        guard("damaged pictures", self._ask_driver, now_ns)
        if frame is not None:
            self.frames += 1
            guard("when pictures come", self._arrivals.arrived, frame.timestamp_ns, now_ns)
            guard("standstill", self._stillness.arrived, frame.payload, frame.timestamp_ns)
            guard("the driver's signal", self._signal.look, now_ns, pictures_come=True)
        elif guard("when pictures come", self._arrivals.is_overdue, now_ns):
            is_explained = guard("the driver's signal", self._signal.look, now_ns, pictures_come=False)
            guard("when pictures come", self._arrivals.nothing_came, now_ns, is_explained=bool(is_explained))
        if now_ns - self._sample_ns >= SAMPLE_S * NANOSECONDS:
            guard("samples", self._sample, now_ns)

    def decoded(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Take note of a picture captured at `at_ns`."""
        self._guard("damaged pictures", self.damage.whole, at_ns)
        self._guard("what pictures show", self.pictures.see, picture, at_ns)

    def damaged(self, frame: Frame, why: str) -> None:
        """Take note of a frame that could not be decoded, because of `why`."""
        self._guard("damaged pictures", self.damage.damaged, frame.payload, why, frame.timestamp_ns)

    def _ask_driver(self, now_ns: int) -> None:
        if self._driver and self._driver.damaged != self._given_up:
            count, self._given_up = self._driver.damaged - self._given_up, self._driver.damaged
            self.damage.gave_up(count, now_ns)

    def _sample(self, now_ns: int) -> None:
        """Tell how the last minute was."""
        counts = self.frames, self._arrivals.missing, self.damage.count, self._stillness.repeats
        frames, missing, damaged, repeats = (now - before for now, before in zip(counts, self._sampled, strict=True))
        seconds = (now_ns - self._sample_ns) / NANOSECONDS
        self._sample_ns, self._sampled = now_ns, counts
        self._tracker.log(
            Kind.SAMPLE,
            level=Level.DEBUG,
            fps=round(frames / seconds, 2),
            frames=frames,
            missing=missing,
            damaged=damaged,
            repeats=repeats,
            luma=round(self.pictures.luma, 1),
            jitter_ms=round(self._arrivals.jitter_s * 1000, 1),
            state=self._tracker.health.state,
        )

    def tell_closed(self) -> None:
        """Tell how it was all the time it was open."""
        seconds = (self._clock.now_ns() - self._opened_ns) / NANOSECONDS
        self._tracker.log(
            Kind.CLOSED,
            open_s=round(seconds, 3),
            frames=self.frames,
            fps=round(self.frames / seconds, 2) if seconds > 0 else 0.0,
            missing=self._arrivals.missing,
            damaged=self.damage.count,
            repeats=self._stillness.repeats,
            state=self._tracker.health.state,
        )
