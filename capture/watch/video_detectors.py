"""The detectors of one source of pictures."""

import av

from capture.screen_area import WORD as SCREEN
from capture.source import Frame, VideoFormat, VideoSource
from capture.watch.arrivals import ArrivalWatch
from capture.watch.damage import DamageWatch
from capture.watch.guard import Guard
from capture.watch.health import Detectors
from capture.watch.patience import NOBODY_ASKED_S, Patience
from capture.watch.picture import PictureWatch
from capture.watch.signal_watch import SignalWatch
from capture.watch.stillness import StillnessWatch
from devices.clock import NANOSECONDS, Clock
from devices.health.line import Kind, Level
from devices.health.tracker import HealthTracker
from devices.model import Device

SAMPLE_S = 60.0


class VideoDetectors(Detectors[Frame]):
    """The detectors of one source; a part that fails is switched off."""

    def __init__(
        self,
        tracker: HealthTracker,
        device: Device,
        patience: Patience,
        opened: VideoFormat,
        clock: Clock,
        source: VideoSource,
    ) -> None:
        self._tracker = tracker
        self._guard = Guard(tracker.device_id, tracker.name, tracker.record)
        self._clock = clock
        self._source = source
        self._opened_ns = clock.now_ns()
        self.frames = 0
        self.damage = DamageWatch(tracker)
        self.pictures = PictureWatch(tracker, patience.black_s)
        is_screen = device.id.startswith(f"{SCREEN}:")
        self._arrivals = ArrivalWatch(tracker, device.kind, opened.rate, self._opened_ns, is_screen=is_screen)
        size = opened.width * opened.height
        predicts = source.coded is not None and source.coded.codec == "h264"
        self.stillness = StillnessWatch(tracker, device.kind, patience.frozen_s, self.pictures, size, predicts=predicts)
        self._signal = SignalWatch(tracker, source)
        self._given_up = source.damaged
        self._read_ns = self._opened_ns
        self._sample_ns = self._opened_ns
        self._sampled = (0, 0, 0, 0)

    def read(self, item: Frame | None) -> None:
        """Take note of what one call of the source's `read` has given."""
        guard, frame, now_ns = self._guard, item, self._clock.now_ns()
        since_ns, self._read_ns = now_ns - self._read_ns, now_ns
        if since_ns > NOBODY_ASKED_S * NANOSECONDS:
            guard("when pictures come", self._arrivals.excuse, since_ns)
        guard("damaged pictures", self._ask_driver, now_ns)
        if frame is not None:
            self.frames += 1
            guard("when pictures come", self._arrivals.arrived, frame.timestamp_ns, now_ns)
            guard("standstill", self.stillness.arrived, frame.payload, frame.timestamp_ns)
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
        if (damaged := self._source.damaged) != self._given_up:
            count, self._given_up = damaged - self._given_up, damaged
            self.damage.gave_up(count, now_ns)

    def _sample(self, now_ns: int) -> None:
        """Tell how the last minute was."""
        counts = self.frames, self._arrivals.missing, self.damage.count, self.stillness.repeats
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
            repeats=self.stillness.repeats,
            state=self._tracker.health.state,
        )
