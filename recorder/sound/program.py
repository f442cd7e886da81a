"""The program's sound: counted in samples against the session clock, with silence where there is none.

Sample n of the track belongs to media time n / 48000. A device's samples follow each other; where its clock and the
session's drift apart, single samples are squeezed in or out, too few to hear. A real gap (an overflow, a lost
device) becomes silence of its length.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from capture.reader import Reader
from capture.source import SAMPLE_RATE, AudioBlock, Samples
from config.events import Emit
from devices.clock import NANOSECONDS, Clock
from recorder.encoder import AAC_FRAME, Encoder
from recorder.losses import LossReporter
from recorder.packet import EncodedPacket, Track
from recorder.sound.inputs import SoundInput
from recorder.timeline import Timeline

PATIENCE_NS = 300_000_000
"""How long a live source may give nothing before silence is put in its place."""
IDLE_S = 0.05
GAP_SAMPLES = SAMPLE_RATE // 10
"""An offset from the clock of more than this is a gap or an overlap, a smaller one is drift."""
DRIFT_SAMPLES = SAMPLE_RATE // 200
"""Drift up to this (5 ms) is left alone."""
SMOOTHING_SAMPLES = 64 * AAC_FRAME
"""The offset is averaged over so many samples (1.4 s): arrival stamps jitter by milliseconds."""
SHORTEST_TO_SQUEEZE = 16
"""Samples; a block shorter than this is left alone: one sample more or less could be heard in it."""
METER_FLOOR_DBFS = -90.0
METER_FALL_DB = 0.5
"""How much the level falls with each AAC frame (about 23 dB a second) after a peak."""


@dataclass(slots=True)
class AudioCounts:
    """Samples encoded; samples of silence put in; blocks before which samples were lost; samples squeezed for drift."""

    samples: int = 0
    silence: int = 0
    overflows: int = 0
    squeezed: int = 0


type Inputs = Sequence[tuple[SoundInput, Reader[AudioBlock]]]


class ProgramSound:
    """Runs on a thread of its own until the session ends. `channels` is what the encoder was opened with."""

    def __init__(
        self,
        inputs: Inputs,
        encoder: Encoder,
        timeline: Timeline,
        *,
        channels: int,
        clock: Clock,
        put: Callable[[EncodedPacket], None],
        emit: Emit,
    ) -> None:
        ((sound_input, reader),) = inputs
        name = sound_input.name
        self.counts = AudioCounts()
        self.levels_dbfs = [METER_FLOOR_DBFS] * channels
        self._reader = reader
        self._encoder = encoder
        self._timeline = timeline
        self._name = name
        self._channels = channels
        self._put = put
        self._emit = emit
        self._waiting: list[Samples] = []  # not a whole AAC frame yet
        self._waiting_samples = 0
        self._position = 0  # samples taken so far: encoded and waiting
        self._offset = 0.0  # smoothed: how far the device's stamps are ahead of the samples counted
        self._untouched = 0  # samples since one was squeezed in or out
        self._filling = False  # silence stands for a source that gives nothing
        self._adrift = True  # the next samples belong where their stamp says, not behind those before them
        self._dropped_before = reader.dropped  # what was dropped before the session began is not missing
        self._losses = LossReporter(
            "sound-lost",
            name,
            "{name} lost sound {count} times before it reached this program: this PC did not keep up",
            emit=emit,
            clock=clock,
        )

    def report_losses(self, *, final: bool = False) -> None:
        """Tell of what was lost on the way since the last time; for the thread that watches over the session."""
        self._losses.update(self.counts.overflows + self._reader.dropped - self._dropped_before, final=final)

    def run(self) -> None:
        """Take sound from media time 0 until the session ends, then flush the encoder."""
        while not self._has_reached_end():
            block = self._reader.get(self._wait_s())
            if block is not None:
                self._take(block)
            else:
                self._go_without()
        if self._waiting_samples:
            self._encode(self._take_waiting(self._waiting_samples))
        self._hand_on(self._encoder.flush(Track.AUDIO))

    def _end(self) -> int | None:
        end_ns = self._timeline.end_ns
        return None if end_ns is None else end_ns * SAMPLE_RATE // NANOSECONDS

    def _has_reached_end(self) -> bool:
        end = self._end()
        return end is not None and self._position >= end

    def _wait_s(self) -> float:
        if not self._timeline.live:
            return IDLE_S
        missing = self._position - self._due()
        return max(0.0, min(missing / SAMPLE_RATE, IDLE_S))

    def _due(self) -> int:
        """Up to which sample there should be silence now if there is no sound.

        Behind the clock by our patience also while the source is silent: when it gives again, its blocks come
        some time after they were captured, and must not find their places filled.
        """
        has_an_end = self._reader.is_over and self._timeline.end_ns is not None
        patience_ns = PATIENCE_NS if self._timeline.live and not has_an_end else 0
        return (self._timeline.now_ns() - patience_ns) * SAMPLE_RATE // NANOSECONDS

    def _take(self, block: AudioBlock) -> None:
        """Put a block where its time says, or right behind the one before it if that is about the same."""
        samples = block.samples
        start = round(self._timeline.program_ns(block.timestamp_ns) * SAMPLE_RATE / NANOSECONDS)
        self.counts.overflows += block.lost and start > 0  # what was lost before the session began is not missing
        offset = start - self._position
        if self._adrift or abs(offset) > GAP_SAMPLES:
            samples = self._place(samples, offset)
            self._offset = 0.0
            self._adrift = not len(samples)
        else:
            self._offset += (offset - self._offset) * min(1.0, len(samples) / SMOOTHING_SAMPLES)
            samples = self._squeeze(samples)
        if self._filling and len(samples):
            self._filling = False
            self._emit(
                "source-returned", self._name, f"{self._name} gives sound again", at_s=self._position / SAMPLE_RATE
            )
        self._append(samples)

    def _place(self, samples: Samples, offset: int) -> Samples:
        """Fill the gap before `samples`, or cut off what the track has already gone past."""
        if offset < 0:
            return samples[-offset:]
        if offset and self._position and not self._filling:
            self._emit(
                "sound-gap",
                self._name,
                f"{self._name} gave no sound for {offset / SAMPLE_RATE:.2f} s; silence stands there",
                samples=offset,
            )
        self._append_silence(offset)
        return samples

    def _squeeze(self, samples: Samples) -> Samples:
        """Make the block one sample longer or shorter when the device's clock has drifted, at most once a frame."""
        self._untouched += len(samples)
        if abs(self._offset) <= DRIFT_SAMPLES or self._untouched < AAC_FRAME or len(samples) < SHORTEST_TO_SQUEEZE:
            return samples
        change = 1 if self._offset > 0 else -1
        self._offset -= change
        self._untouched = 0
        self.counts.squeezed += 1
        where = np.linspace(0, len(samples) - 1, len(samples) + change)
        source = np.arange(len(samples))
        columns = [np.interp(where, source, samples[:, channel]) for channel in range(samples.shape[1])]
        return np.rint(np.stack(columns, axis=1)).astype(np.int16)

    def _go_without(self) -> None:
        """No sound came: put silence where some is due."""
        if self._reader.is_over:
            self._timeline.advance(Track.AUDIO, self._position * NANOSECONDS // SAMPLE_RATE)
            self._timeline.source_ended(Track.AUDIO)
        if not self._timeline.live and not self._reader.is_over:
            return
        due = self._due()
        if due < self._position:
            return
        if self._timeline.live and not self._filling and not self._reader.is_over:
            self._emit(
                "source-silent",
                self._name,
                f"{self._name} gives no sound; silence stands there until it does",
                since_s=self._position / SAMPLE_RATE,
            )
        self._filling = self._adrift = True
        # In whole AAC frames when the clock leads: this is looked at once for each.
        self._append_silence(due - self._position + (AAC_FRAME if self._timeline.live else 0))

    def _append_silence(self, count: int) -> None:
        while count > 0 and not self._has_reached_end():
            piece, before = min(count, SAMPLE_RATE), self._position
            self._append(np.zeros((piece, self._channels), np.int16))
            self.counts.silence += self._position - before
            count -= piece

    def _append(self, samples: Samples) -> None:
        """Take samples into the track, up to its end, and encode every whole AAC frame."""
        end = self._end()
        if end is not None:
            samples = samples[: max(0, end - self._position)]
        if not len(samples):
            return
        self._waiting.append(self._with_channels(samples))
        self._waiting_samples += len(samples)
        self._position += len(samples)
        while self._waiting_samples >= AAC_FRAME:
            self._encode(self._take_waiting(AAC_FRAME))

    def _with_channels(self, samples: Samples) -> Samples:
        have = samples.shape[1]
        if have == self._channels:
            return samples
        if self._channels == 1:
            return samples.mean(axis=1, keepdims=True).astype(np.int16)
        return np.repeat(samples[:, :1], self._channels, axis=1) if have == 1 else samples[:, : self._channels]

    def _take_waiting(self, count: int) -> Samples:
        whole = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        rest = whole[count:]
        self._waiting = [rest] if len(rest) else []
        self._waiting_samples = len(rest)
        return np.ascontiguousarray(whole[:count])

    def _encode(self, samples: Samples) -> None:
        self._meter(samples)
        self._hand_on(self._encoder.encode_audio(samples, self.counts.samples))
        self.counts.samples += len(samples)
        self._timeline.advance(Track.AUDIO, self.counts.samples * NANOSECONDS // SAMPLE_RATE)

    def _meter(self, samples: Samples) -> None:
        """Peak level of each channel in dBFS, falling slowly so that a line once a second shows it."""
        peaks = np.abs(samples.astype(np.int32)).max(axis=0)
        for channel, peak in enumerate(peaks):
            level = 20 * math.log10(peak / 32768) if peak else METER_FLOOR_DBFS
            self.levels_dbfs[channel] = max(level, self.levels_dbfs[channel] - METER_FALL_DB, METER_FLOOR_DBFS)

    def _hand_on(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            self._put(packet)
