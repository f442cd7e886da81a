"""One audio input of the program: its blocks in place on the session clock, with silence in the gaps.

Sample n belongs to media time n / 48000. Drift is resampled; a gap becomes silence of its length. The input always
advances, so it never holds up the mix for longer than its patience.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, AudioBlock, Samples
from capture.sources.worker import AudioWorker
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import AAC_FRAME
from recorder.model.packet import sound_track
from recorder.program.mixer import GainRamp, PeakMeter, SoundInput, db_to_factor
from recorder.program.resampler import FloatSamples, Resampler
from recorder.program.timeline import RunContext, StallDetector

CELL = 2 * SAMPLE_RATE
MAX_CELLS = 150
MIN_CELLS = 10  # with fewer cells (20 s) the slope stays as before; at first it is 0
STEP = SAMPLE_RATE // 125  # a cell farther (8 ms) from the line is an outlier. Two of them are a step
OUTLIERS = 4.0  # times the median distance; the fit ignores farther cells


class DriftMeter:
    """Measures a device clock against the session clock; call `restart` after each gap.

    A line is fitted through five minutes of cells. A cell is the median offset of two seconds, since timestamps jitter
    by milliseconds. The slope is the drift. The line begins anew after a step (lost audio).
    """

    def __init__(self) -> None:
        self.ppm: float | None = None  # speed against the session clock in ppm; None until known
        self._slope = 0.0  # (place - number) / number
        self._level = 0.0  # place - number of sample 0
        self._cells: deque[tuple[float, float]] = deque(maxlen=MAX_CELLS)
        self._outlier: tuple[float, float] | None = None
        self._offsets: list[float] = []
        self._cell_start = 0

    @property
    def rate(self) -> float:
        """Device samples per sample of the session clock."""
        return 1 / (1 + self._slope)

    def restart(self) -> None:
        """Forget the places, keep the slope. The next sample has number 0."""
        self._cells.clear()
        self._offsets = []
        self._outlier = None
        self._cell_start = 0

    def add(self, number: int, belongs: float) -> bool:
        """Take the timestamp of sample `number` as a place in samples; return whether the line changed."""
        self._offsets.append(belongs - number)
        if number - self._cell_start < CELL:
            return False
        cell = (self._cell_start + number) / 2, _median(self._offsets)
        self._offsets, self._cell_start = [], number
        self._add_cell(cell)
        self._fit()
        return True

    def belongs(self, number: int) -> float:
        """Return the place of the device's sample `number`; valid once a cell is complete."""
        return number + self._level + self._slope * number

    def _add_cell(self, cell: tuple[float, float]) -> None:
        number, offset = cell
        if len(self._cells) < MIN_CELLS or abs(offset - self._level - self._slope * number) <= STEP:
            self._cells.append(cell)
            self._outlier = None
        elif self._outlier is None:
            self._outlier = cell
        else:
            self._cells.clear()
            self._cells.extend((self._outlier, cell))
            self._outlier = None

    def _fit(self) -> None:
        numbers, offsets = np.array(self._cells).T
        if len(numbers) < MIN_CELLS:
            self._level = float(np.mean(offsets - self._slope * numbers))
            return
        slope, level = np.polyfit(numbers, offsets, 1)
        distances = np.abs(offsets - level - slope * numbers)
        near = distances <= max(OUTLIERS * _median(distances), 1.0)
        if not near.all() and near.sum() >= MIN_CELLS:
            slope, level = np.polyfit(numbers[near], offsets[near], 1)
        self._slope, self._level = float(slope), float(level)
        self.ppm = (self.rate - 1) * 1e6


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the median. numpy.median loads masked arrays, in every session."""
    ordered, count = np.sort(values), len(values)
    return float((ordered[(count - 1) // 2] + ordered[count // 2]) / 2)


PATIENCE_NS = 300_000_000  # silence fills in for a live source after this time without samples
IDLE_S = 0.05
GAP_SAMPLES = SAMPLE_RATE // 10  # a larger offset from the clock is a gap or an overlap, a smaller one drift
DRIFT_TOLERANCE = SAMPLE_RATE // 200  # offset (5 ms) up to which samples pass unchanged
CORRECTION_SAMPLES = 30 * SAMPLE_RATE  # samples (30 s) in which an offset is corrected, besides the drift
MAX_CORRECTION = 1000e-6
MAX_STEP = 2000e-6  # this pitch change is 3.5 cents; people hear 5


class MixerInput:
    """Blocks of one input in the program's channels. For one thread; `mute.target` and the figures are thread-safe."""

    def __init__(self, sound_input: SoundInput, worker: AudioWorker, run: RunContext, *, channels: int) -> None:
        self.name = sound_input.name
        self.own_track = sound_track(self.name) if sound_input.own_track else None  # its own track; None without one
        self.mute = GainRamp(0.0 if sound_input.is_muted else 1.0)
        self.gain = GainRamp(db_to_factor(sound_input.gain_db))
        self.meter = PeakMeter(channels)
        self.position = 0  # program sample up to which there is audio or silence
        self.silence = 0  # samples of silence filled in so far
        self.resampled = 0
        self.ppm: float | None = None  # speed of the device clock against the session clock in ppm; None until known
        self._worker = worker
        self._queue = worker.queue
        self._timeline = run.timeline
        self._channels = channels
        self._emit = run.emit
        self._is_missing = False
        self._ready_blocks: list[Samples | FloatSamples] = []
        self.ready = 0  # samples ready for `take`
        self._resampler = Resampler(channels)
        self._drift = DriftMeter()
        self._run_samples = 0  # device samples since the last gap
        self._is_filling = False  # silence stands for a quiet source
        self._is_unplaced = True  # the next block goes to the place of its timestamp
        self._stalls = StallDetector()
        self._lost = -worker.queue.dropped  # drops before the session do not count

    @property
    def is_muted(self) -> bool:
        """Whether it is muted, or about to be."""
        return self.mute.target == 0

    @property
    def is_over(self) -> bool:
        """Whether the source has ended."""
        return self._queue.is_over

    @property
    def has_reached_end(self) -> bool:
        """Whether it has reached the end of the session."""
        end = self._end()
        return end is not None and self.position >= end

    @property
    def lost(self) -> int:
        """How often audio was lost before the mix; thread-safe."""
        return self._lost + self._queue.dropped

    def report_missing(self, *, is_late: bool = False) -> None:
        """Report a missing device at once, and with `is_late` also a quiet one: it has used up its patience."""
        if is_late or self._worker.outage:
            self._report_silence()
            self._is_filling = True

    def wait_s(self) -> float:
        """Return the seconds until silence is due, at most IDLE_S."""
        if not self._timeline.live or self._is_excused:
            return IDLE_S
        return max(0.0, min((self.position - self._due()) / SAMPLE_RATE, IDLE_S))

    def pull(self, timeout_s: float, others_at: int = 0) -> bool:
        """Take the next block, or add the silence that is due; return whether a block came within `timeout_s`.

        A source that has ended gives silence up to `others_at`, the position of the furthest other input.
        """
        block = self._queue.get(timeout_s)
        self._stalls.update(self._timeline.now_ns(), came=block is not None)
        if block is not None:
            self._take(block)
        elif not self._is_excused:
            self._fill_silence(others_at)
        return block is not None

    def take(self, count: int) -> Samples | FloatSamples:
        """Return the next `count` samples, (count, channels); `count` is at most `ready`."""
        if not count:
            return np.zeros((0, self._channels), np.int16)
        whole: Samples | FloatSamples = self._ready_blocks[0]
        if len(self._ready_blocks) > 1:
            whole = np.concatenate(self._ready_blocks, dtype=np.result_type(*self._ready_blocks))
        rest = whole[count:]
        self._ready_blocks = [rest] if len(rest) else []
        self.ready -= count
        return whole[:count]

    def _media_s(self) -> float:
        return round(self.position / SAMPLE_RATE - self._timeline.origin_ns / NANOSECONDS, 3)

    def _end(self) -> int | None:
        end_ns = self._timeline.end_ns
        return None if end_ns is None else end_ns * SAMPLE_RATE // NANOSECONDS

    def _due(self) -> int:
        """Return the position up to which silence is due; a returning source needs a free place behind the clock."""
        has_an_end = self._queue.is_over and self._timeline.end_ns is not None
        patience_ns = PATIENCE_NS if self._timeline.live and not has_an_end else 0
        return (self._timeline.now_ns() - patience_ns) * SAMPLE_RATE // NANOSECONDS

    @property
    def _is_excused(self) -> bool:
        """Whether no silence is due yet: after a stall of this PC, captured audio may still arrive."""
        return self._stalls.is_excused and not self._queue.is_over

    # A block came

    def _take(self, block: AudioBlock) -> None:
        belongs = self._timeline.program_ns(block.timestamp_ns) * SAMPLE_RATE / NANOSECONDS
        self._lost += block.lost and belongs > 0  # losses before the session do not count
        offset = round(belongs - self.position - self._resampler.held)
        samples = self._with_channels(block.samples)
        if self._is_unplaced or abs(offset) > GAP_SAMPLES or ((block.lost or block.jumps) and offset > DRIFT_TOLERANCE):
            samples = self._place(samples, belongs)
        elif self._drift.add(self._run_samples, belongs):
            self._adjust_step()
        self._run_samples += len(samples)
        if self._is_filling and len(samples):
            self._is_filling = self._is_missing = False
            self._emit("source-returned", self.name, f"{self.name} gives sound again", at_s=self._media_s())
        made = self._resampler.process(samples)
        if self._resampler.is_active:
            self.resampled += len(made)
        self._append(made)

    def _place(self, samples: Samples, belongs: float) -> Samples:
        """Fill the gap before `samples`, or cut off an overlap; return the rest."""
        self._end_run()
        offset = round(belongs) - self.position
        if offset < 0:
            samples = samples[-offset:]
        elif offset:
            if offset > GAP_SAMPLES and self.position and not self._is_filling:
                self._emit(
                    "sound-gap",
                    self.name,
                    f"{self.name} gave no sound for {offset / SAMPLE_RATE:.2f} s; silence stands there",
                    samples=offset,
                )
            self._append_silence(offset)
        self._is_unplaced = not len(samples)
        return samples

    def _end_run(self) -> None:
        self._append(self._resampler.flush())
        self._drift.restart()
        self._run_samples = 0

    def _adjust_step(self) -> None:
        self.ppm = self._drift.ppm
        # Distance between the place of the next device sample and its position.
        error = self._drift.belongs(self._run_samples) - self.position - self._resampler.held
        if self._resampler.is_active or abs(error) > DRIFT_TOLERANCE:
            back = max(-MAX_CORRECTION, min(MAX_CORRECTION, error / CORRECTION_SAMPLES))
            self._resampler.step = 1 + max(-MAX_STEP, min(MAX_STEP, self._drift.rate - 1 - back))

    def _with_channels(self, samples: Samples) -> Samples:
        have = samples.shape[1]
        if have == self._channels:
            return samples
        if self._channels == 1:
            return samples.mean(axis=1, keepdims=True).astype(np.int16)
        return np.repeat(samples[:, :1], self._channels, axis=1) if have == 1 else samples[:, : self._channels]

    # No block came

    def _fill_silence(self, others_at: int) -> None:
        live, is_over = self._timeline.live, self._queue.is_over
        if not live and not is_over:
            return
        due = self._due() if live else max(self._due(), others_at)
        if due < self.position:
            return
        if live and not is_over:
            self._report_silence()
        self._end_run()
        self._is_filling = self._is_unplaced = True
        # Whole AAC frames if the clock leads: this runs once for each.
        self._append_silence(due - self.position + (AAC_FRAME if live else 0))

    def _report_silence(self) -> None:
        """Report once that silence stands for the input, and why its device is missing."""
        outage = self._worker.outage
        if outage is not None and not self._is_missing:
            self._is_missing = True
            self._emit(
                "source-missing",
                self.name,
                f"Silence stands for {self.name}: {outage.reason}",
                reason=str(outage.kind),
                since_s=self._media_s(),
            )
        elif outage is None and not self._is_filling:
            self._emit(
                "source-silent",
                self.name,
                f"{self.name} gives no sound; silence stands there until it does",
                since_s=self._media_s(),
            )

    def _append_silence(self, count: int) -> None:
        while count > 0 and not self.has_reached_end:
            piece, before = min(count, SAMPLE_RATE), self.position
            self._append(np.zeros((piece, self._channels), np.int16))
            self.silence += self.position - before
            count -= piece

    def _append(self, samples: Samples | FloatSamples) -> None:
        end = self._end()
        if end is not None:
            samples = samples[: max(0, end - self.position)]
        if len(samples):
            self._ready_blocks.append(samples)
            self.ready += len(samples)
            self.position += len(samples)
