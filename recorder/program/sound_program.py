"""The program's sound: lanes, mixed, kept below a ceiling, measured, and encoded in AAC frames.

    SourceQueue -> Lane -+-> mute -+-> gain -+-> sum -> Limiter -> meters -> AAC: the program
                              |         +-> the conference's bus, if there is one
                              +-> AAC: a track of its own, if asked

All of it happens on one thread. Lanes are taken from in turn; the mix goes as far as the lane that is furthest behind,
which is behind the clock by its patience at most.
"""

from collections.abc import Callable, Container, Sequence

import numpy as np

from capture.source import SAMPLE_RATE, Samples
from capture.sources.worker import AudioWorker
from capture.timing import CpuStage
from config.errors import UsageError, as_ours
from config.settings.kinds import did_you_mean
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import AAC_FRAME, Encoder
from recorder.model.eventlog import LossReporter
from recorder.model.packet import EncodedPacket, Track, TrackId
from recorder.model.status import Loudness, SoundLine
from recorder.program.mixer import Heard, Limiter, LoudnessMeter, PeakMeter, SoundInput, rounded, total_of
from recorder.program.mixer_input import Lane
from recorder.program.resampler import Floats
from recorder.program.timeline import RunContext

MOST_AHEAD = SAMPLE_RATE
"""Samples that a lane may be ahead of the others before nothing more is taken from it."""

type Inputs = Sequence[tuple[SoundInput, AudioWorker]]


type Bus = Callable[[Sequence[Heard], int], None]
"""A mix of its own for somebody beside the program (recorder/features/conference/bus.py).

Takes so many samples of each input, muted and turned as in the program, not to be written to. Returns at once, and
never raises.
"""


class ProgramSound:
    """Runs on a thread of its own until the session ends; all but `run` is thread-safe."""

    def __init__(
        self,
        inputs: Inputs,
        encoder: Encoder,
        run: RunContext,
        *,
        channels: int,
        put: Callable[[EncodedPacket], None],
        bus: Bus | None = None,
    ) -> None:
        """`bus` hears each input too."""
        self.lanes = [Lane(sound_input, worker, run, channels=channels) for sound_input, worker in inputs]
        self.samples = 0
        """How many were encoded."""
        self._encode_audio = run.timing(CpuStage.ENCODE_SOUND, encoder.encode_audio)
        self._flush = run.timing(CpuStage.ENCODE_SOUND, encoder.flush)
        self._timeline = run.timeline
        self._channels = channels
        self._put = put
        self._emit = run.emit
        self._bus = bus
        self._limiter = Limiter(channels)
        self._meter = PeakMeter(channels)
        self._loudness: LoudnessMeter | None = LoudnessMeter(channels)
        self._begins = False  # and the loudness is to be measured anew
        self._waiting: list[Samples] = []  # not a whole AAC frame yet
        self._waiting_samples = 0
        self._mixed = 0  # samples taken from the lanes
        self._losses = [
            LossReporter(
                "sound-lost",
                lane.name,
                "{name} lost sound {count} times before it reached this program: this PC did not keep up",
                emit=run.emit,
                clock=run.clock,
            )
            for lane in self.lanes
        ]

    # What others ask of it

    @property
    def levels_dbfs(self) -> list[float]:
        """The peak level of each channel of the program."""
        return self._meter.levels_dbfs

    def mute(self, name: str | None, *, on: bool) -> None:
        """Mute the input called `name` (None: all), or let it be heard again; raises UsageError for a wrong name."""
        muted = [lane for lane in self.lanes if name is None or lane.name == name]
        if name is not None and not muted:
            names = [lane.name for lane in self.lanes]
            raise UsageError(
                f'there is no sound input "{name}"{did_you_mean(name, names)}',
                hint=f"the inputs are {', '.join(names)}" if names else "this session has no sound",
            )
        for lane in muted:
            lane.mute.target = 0.0 if on else 1.0

    @property
    def loudness(self) -> Loudness:
        """How loud the program is to people, now and in all."""
        return self._loudness.reading if self._loudness else Loudness()

    def lines(self) -> list[SoundLine]:
        """Return how each input is; its levels are those before mute and gain."""
        return [
            SoundLine(
                name=lane.name,
                muted=lane.is_muted,
                levels_dbfs=[round(level, 1) for level in lane.meter.levels_dbfs],
                ppm=None if lane.ppm is None else round(lane.ppm, 1),
            )
            for lane in self.lanes
        ]

    def facts(self) -> dict[str, object]:
        """Return what the event log keeps: loudness in LUFS and LU, the drift of each input in ppm."""
        return {
            "loudness_lufs": self.loudness.integrated_lufs,
            "loudness_range_lu": self.loudness.range_lu,
            "drift_ppm": {line.name: line.ppm for line in self.lines()},
        }

    def look(self, late: Container[str]) -> None:
        """Tell which inputs are not there, those that are `late` among them; before it runs."""
        for lane in self.lanes:
            lane.begin(is_late=lane.name in late)

    def begin(self) -> None:
        """Measure from here on: the recording begins."""
        self._begins = True

    def report_losses(self, *, final: bool = False) -> None:
        """Tell of what was lost on the way since the last time; for the thread that watches over the session."""
        for lane, losses in zip(self.lanes, self._losses, strict=True):
            losses.update(lane.lost, final=final)

    # The run

    def run(self) -> None:
        """Take sound from media time 0 until the session ends, then flush the encoders."""
        ready = 0
        while not all(lane.has_reached_end for lane in self.lanes):
            self._gather()
            while (ready := min(lane.ready for lane in self.lanes)) >= AAC_FRAME:
                self._encode_frames(self._limiter.process(self._mix(AAC_FRAME)))
        self._encode_frames(self._limiter.process(self._mix(ready), is_last=True))
        if self._waiting_samples:
            self._encode(self._take_waiting(self._waiting_samples))
        self._hand_on(self._flush(Track.AUDIO))
        for lane in self.lanes:
            if lane.own_track:
                self._hand_on(self._flush(lane.own_track))

    def _gather(self) -> None:
        """Take what the lanes' sources have given; wait a little for the lane that is furthest behind, if none has."""
        furthest = max(lane.position for lane in self.lanes)
        if all(lane.is_over for lane in self.lanes):
            self._timeline.advance(Track.AUDIO, furthest * NANOSECONDS // SAMPLE_RATE)
            self._timeline.source_ended(Track.AUDIO)
        going = [lane for lane in self.lanes if not lane.has_reached_end]  # what comes after the end is no gap
        if not going:
            return
        last = min(going, key=lambda lane: (lane.is_over, lane.position))
        others = [lane for lane in going if lane is not last and lane.ready < MOST_AHEAD]
        came = [lane.pull(0.0, furthest) for lane in others]
        waits_s = [lane.wait_s() for lane in going if not lane.has_reached_end]
        wait_s = 0.0 if any(came) else min(waits_s, default=0.0)
        last.pull(wait_s, furthest)

    def _mix(self, count: int) -> Samples | Floats:
        """Return the next `count` samples of the sum of all lanes; those with a track of their own are encoded too."""
        unmuted: list[Heard] = []
        for lane in self.lanes:
            samples = lane.take(count)
            lane.meter.feed(samples)
            unmuted.append(lane.mute.apply(samples))
        for lane, heard in zip(self.lanes, unmuted, strict=True):
            if lane.own_track and count:
                self._hand_on(self._encode_own(lane.own_track, heard, count))
        self._mixed += count
        turned = [lane.gain.apply(heard) for lane, heard in zip(self.lanes, unmuted, strict=True)]
        if self._bus and count:
            self._bus(turned, count)
        mixed = total_of(turned)
        return np.zeros((count, self._channels), np.int16) if mixed is None else mixed

    def _encode_own(self, track: TrackId, samples: Heard, count: int) -> list[EncodedPacket]:
        whole = np.zeros((count, self._channels), np.int16) if samples is None else rounded(samples)
        return self._encode_audio(np.ascontiguousarray(whole), self._mixed, track)

    def _encode_frames(self, samples: Samples) -> None:
        if len(samples):
            self._waiting.append(samples)
            self._waiting_samples += len(samples)
        while self._waiting_samples >= AAC_FRAME:
            self._encode(self._take_waiting(AAC_FRAME))

    def _take_waiting(self, count: int) -> Samples:
        whole = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        rest = whole[count:]
        self._waiting = [rest] if len(rest) else []
        self._waiting_samples = len(rest)
        return np.ascontiguousarray(whole[:count])

    def _encode(self, samples: Samples) -> None:
        self._meter.feed(samples)
        self._measure(samples)
        self._hand_on(self._encode_audio(samples, self.samples))
        self.samples += len(samples)
        self._timeline.advance(Track.AUDIO, self.samples * NANOSECONDS // SAMPLE_RATE)

    def _measure(self, samples: Samples) -> None:
        """Measure how loud it is. A meter that fails is switched off: the sound in hand is worth more."""
        try:
            if self._begins:
                self._begins = False
                self._loudness = LoudnessMeter(self._channels)
            if self._loudness:
                self._loudness.feed(samples)
        except Exception as error:  # of whatever kind
            self._loudness = None
            told = as_ours(error, what="the loudness is not measured any more")
            self._emit("meter-failed", "loudness", told.message, hint=told.hint)

    def _hand_on(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            self._put(packet)
