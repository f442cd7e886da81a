"""The program's audio: inputs are mixed, limited, measured, and encoded in AAC frames, on one thread.

    SourceQueue -> Lane -+-> mute -+-> gain -+-> sum -> Limiter -> meters -> AAC: the program
                              |         +-> the buses of features (recorder/session/hooks.py)
                              +-> AAC: a track of its own, if asked

The mix goes as far as the slowest input, which is behind the clock by its patience at most.
"""

from collections.abc import Callable, Container, Sequence

import numpy as np

from capture.cpu_stages import CpuStage
from capture.source import SAMPLE_RATE, Samples
from capture.sources.worker import AudioWorker
from config.errors import UsageError, as_liput_error
from config.settings.value_kinds import did_you_mean
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import AAC_FRAME, Encoder
from recorder.model.eventlog import LossReporter
from recorder.model.packet import EncodedPacket, Track
from recorder.model.status import Loudness, SoundLine
from recorder.program.mixer import (
    Limiter,
    LoudnessMeter,
    PeakMeter,
    SamplesOrSilence,
    SoundInput,
    sum_samples,
    to_int16,
)
from recorder.program.mixer_input import MixerInput
from recorder.program.resampler import FloatSamples
from recorder.program.timeline import RunContext

MAX_AHEAD = SAMPLE_RATE  # samples that an input may be ahead of the others; then it waits

type Inputs = Sequence[tuple[SoundInput, AudioWorker]]

type MixBus = Callable[[Sequence[SamplesOrSilence], int], None]
"""Takes the samples of each input, read-only, muted and with gain, and their number; returns at once, never raises."""


class ProgramAudio:
    """Runs on its own thread until the session ends; all but `run` is thread-safe."""

    def __init__(
        self,
        inputs: Inputs,
        encoder: Encoder,
        run: RunContext,
        *,
        channels: int,
        put: Callable[[EncodedPacket], None],
        bus: MixBus | None = None,
    ) -> None:
        """`bus` also gets the samples of each input."""
        self.lanes = [MixerInput(sound_input, worker, run, channels=channels) for sound_input, worker in inputs]
        self.muted = {lane.name for lane in self.lanes if lane.is_muted}  # by people
        self._covered: set[str] = set()  # muted by a card
        self.samples = 0  # number of encoded samples
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
        self._restarts_loudness = False  # whether to restart the loudness meter
        self._waiting: list[Samples] = []  # less than an AAC frame
        self._waiting_samples = 0
        self._mixed = 0  # samples taken from the inputs
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

    # Requests and status

    @property
    def levels_dbfs(self) -> list[float]:
        """The peak level of each channel of the program."""
        return self._meter.levels_dbfs

    def mute(self, name: str | None, *, on: bool) -> None:
        """Mute or unmute the input called `name`, None for all. Raises UsageError for an unknown name."""
        muted = [lane for lane in self.lanes if name is None or lane.name == name]
        if name is not None and not muted:
            names = [lane.name for lane in self.lanes]
            raise UsageError(
                f'there is no sound input "{name}"{did_you_mean(name, names)}',
                hint=f"the inputs are {', '.join(names)}" if names else "this session has no sound",
            )
        changed = {lane.name for lane in muted}
        self.muted = self.muted | changed if on else self.muted - changed
        self._set_mutes(self._covered if on else self._covered - changed)

    def cover(self, *, on: bool) -> None:
        """Mute all inputs while a card stands for the picture; people may unmute one. Those of `muted` stay so."""
        self._set_mutes({lane.name for lane in self.lanes} if on else set())

    def _set_mutes(self, covered: set[str]) -> None:
        self._covered = covered
        for lane in self.lanes:
            lane.mute.target = 0.0 if lane.name in self.muted | covered else 1.0

    @property
    def loudness(self) -> Loudness:
        """Loudness of the program, now and in all."""
        return self._loudness.reading if self._loudness else Loudness()

    def lines(self) -> list[SoundLine]:
        """Return the status of each input; levels are before mute and gain."""
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
        """Return fields for the event log: loudness in LUFS and LU, drift of each input in ppm."""
        return {
            "loudness_lufs": self.loudness.integrated_lufs,
            "loudness_range_lu": self.loudness.range_lu,
            "drift_ppm": {line.name: line.ppm for line in self.lines()},
        }

    def report_missing(self, late: Container[str]) -> None:
        """Report missing inputs, with the `late` ones; call it before `run`."""
        for lane in self.lanes:
            lane.report_missing(is_late=lane.name in late)

    def begin(self) -> None:
        """Restart the loudness meter: the recording begins."""
        self._restarts_loudness = True

    def report_losses(self, *, final: bool = False) -> None:
        """Report audio lost since the last call, from the session's thread."""
        for lane, losses in zip(self.lanes, self._losses, strict=True):
            losses.update(lane.lost, final=final)

    # The audio thread

    def run(self) -> None:
        """Encode from media time 0 until the session ends, then flush."""
        ready = 0
        while not all(lane.has_reached_end for lane in self.lanes):
            self._pull_inputs()
            while (ready := min(lane.ready for lane in self.lanes)) >= AAC_FRAME:
                self._encode_frames(self._limiter.process(self._mix(AAC_FRAME)))
        self._encode_frames(self._limiter.process(self._mix(ready), is_last=True))
        if self._waiting_samples:
            self._encode(self._take_waiting(self._waiting_samples))
        self._put_all(self._flush(Track.AUDIO))
        for lane in self.lanes:
            if lane.own_track:
                self._put_all(self._flush(lane.own_track))

    def _pull_inputs(self) -> None:
        """Pull from all inputs; if none had a block, wait a little for the slowest."""
        furthest = max(lane.position for lane in self.lanes)
        if all(lane.is_over for lane in self.lanes):
            self._timeline.advance(Track.AUDIO, furthest * NANOSECONDS // SAMPLE_RATE)
            self._timeline.source_ended(Track.AUDIO)
        going = [lane for lane in self.lanes if not lane.has_reached_end]  # audio after the end is no gap
        if not going:
            return
        last = min(going, key=lambda lane: (lane.is_over, lane.position))
        others = [lane for lane in going if lane is not last and lane.ready < MAX_AHEAD]
        came = [lane.pull(0.0, furthest) for lane in others]
        waits_s = [lane.wait_s() for lane in going if not lane.has_reached_end]
        wait_s = 0.0 if any(came) else min(waits_s, default=0.0)
        last.pull(wait_s, furthest)

    def _mix(self, count: int) -> Samples | FloatSamples:
        """Return the next `count` samples of the sum, and encode the inputs with their own track."""
        unmuted: list[SamplesOrSilence] = []
        for lane in self.lanes:
            samples = lane.take(count)
            lane.meter.feed(samples)
            unmuted.append(lane.mute.apply(samples))
        for lane, heard in zip(self.lanes, unmuted, strict=True):
            if lane.own_track and count:
                whole = np.zeros((count, self._channels), np.int16) if heard is None else to_int16(heard)
                self._put_all(self._encode_audio(np.ascontiguousarray(whole), self._mixed, lane.own_track))
        self._mixed += count
        turned = [lane.gain.apply(heard) for lane, heard in zip(self.lanes, unmuted, strict=True)]
        if self._bus and count:
            self._bus(turned, count)
        mixed = sum_samples(turned)
        return np.zeros((count, self._channels), np.int16) if mixed is None else mixed

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
        self._put_all(self._encode_audio(samples, self.samples))
        self.samples += len(samples)
        self._timeline.advance(Track.AUDIO, self.samples * NANOSECONDS // SAMPLE_RATE)

    def _measure(self, samples: Samples) -> None:
        """Measure the loudness. A failing meter is switched off; the audio goes on."""
        try:
            if self._restarts_loudness:
                self._restarts_loudness = False
                self._loudness = LoudnessMeter(self._channels)
            if self._loudness:
                self._loudness.feed(samples)
        except Exception as error:  # any error
            self._loudness = None
            told = as_liput_error(error, what="the loudness is not measured any more")
            self._emit("meter-failed", "loudness", told.message, hint=told.hint)

    def _put_all(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            self._put(packet)
