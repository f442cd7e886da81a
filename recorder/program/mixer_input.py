"""One input of the program's sound: counted in samples against the session clock, with silence where there is none.

Sample n belongs to media time n / 48000. Clocks that drift apart are resampled, a gap becomes silence of its length.
A lane always advances, so it never holds up the mix for longer than its patience.
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
from recorder.program.mixer import PeakMeter, Ramp, SoundInput, linear
from recorder.program.resampler import Floats, Resampler
from recorder.program.timeline import RunContext, StallDetector

CELL = 2 * SAMPLE_RATE
MOST_CELLS = 150
CELLS_FOR_A_SLOPE = 10
"""Before there are so many (20 s) the slope is that of before, and 0 at first."""
STEP = SAMPLE_RATE // 125
"""A cell this far (8 ms) from the line is not on it: one is left out, two are a step."""
OUTLIERS = 4.0
"""Cells farther from the line than so many times the median distance do not count."""


class DriftMeter:
    """The clock of one device that gives samples without a gap; `restart` after each gap."""

    def __init__(self) -> None:
        self.ppm: float | None = None
        """How much faster than the session clock it runs, in millionths; None until that is known."""
        self._slope = 0.0  # of (where a sample belongs, minus its number) over its number
        self._level = 0.0  # of the same, at sample number 0
        self._cells: deque[tuple[float, float]] = deque(maxlen=MOST_CELLS)
        self._stray: tuple[float, float] | None = None
        self._offsets: list[float] = []
        self._cell_start = 0

    @property
    def rate(self) -> float:
        """Samples that the device gives while the session clock counts one."""
        return 1 / (1 + self._slope)

    def restart(self) -> None:
        """Forget where samples belonged, and keep how fast the clock runs. The next sample has number 0."""
        self._cells.clear()
        self._offsets = []
        self._stray = None
        self._cell_start = 0

    def add(self, number: int, belongs: float) -> bool:
        """Take the stamp of sample `number`, as a place in samples; return whether the line is another one now."""
        self._offsets.append(belongs - number)
        if number - self._cell_start < CELL:
            return False
        cell = (self._cell_start + number) / 2, _median(self._offsets)
        self._offsets, self._cell_start = [], number
        self._keep(cell)
        self._fit()
        return True

    def belongs(self, number: int) -> float:
        """Return where in the program the device's sample `number` belongs; of use once a cell is complete."""
        return number + self._level + self._slope * number

    def _keep(self, cell: tuple[float, float]) -> None:
        number, offset = cell
        if len(self._cells) < CELLS_FOR_A_SLOPE or abs(offset - self._level - self._slope * number) <= STEP:
            self._cells.append(cell)
            self._stray = None
        elif self._stray is None:
            self._stray = cell
        else:
            self._cells.clear()
            self._cells.extend((self._stray, cell))
            self._stray = None

    def _fit(self) -> None:
        numbers, offsets = np.array(self._cells).T
        if len(numbers) < CELLS_FOR_A_SLOPE:
            self._level = float(np.mean(offsets - self._slope * numbers))
            return
        slope, level = np.polyfit(numbers, offsets, 1)
        distances = np.abs(offsets - level - slope * numbers)
        near = distances <= max(OUTLIERS * _median(distances), 1.0)
        if not near.all() and near.sum() >= CELLS_FOR_A_SLOPE:
            slope, level = np.polyfit(numbers[near], offsets[near], 1)
        self._slope, self._level = float(slope), float(level)
        self.ppm = (self.rate - 1) * 1e6


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the median, as numpy's would; that one loads masked arrays first, in every session."""
    ordered, count = np.sort(values), len(values)
    return float((ordered[(count - 1) // 2] + ordered[count // 2]) / 2)


PATIENCE_NS = 300_000_000
"""How long a live source may give nothing before silence is put in its place."""
IDLE_S = 0.05
GAP_SAMPLES = SAMPLE_RATE // 10
"""An offset from the clock of more than this is a gap or an overlap, a smaller one is drift."""
LEFT_ALONE = SAMPLE_RATE // 200
"""As long as a device is no more than this (5 ms) from where it belongs, its samples are not touched."""
RETURN_SAMPLES = 30 * SAMPLE_RATE
"""Over how many samples (30 s) an offset is taken back, beside the drift itself."""
MOST_RETURN = 1000e-6
MOST_STEP = 2000e-6
"""A pitch that is off by this is off by 3.5 cents; people hear 5."""


class Lane:
    """One input's blocks, ready in the program's channels. One thread; `mute.target` and the figures are for any."""

    def __init__(self, sound_input: SoundInput, worker: AudioWorker, run: RunContext, *, channels: int) -> None:
        self.name = sound_input.name
        self.own_track = sound_track(self.name) if sound_input.own_track else None
        """The track in which it is recorded apart."""
        self.mute = Ramp(0.0 if sound_input.is_muted else 1.0)
        self.gain = Ramp(linear(sound_input.gain_db))
        self.meter = PeakMeter(channels)
        self.position = 0
        """Up to which sample of the program there is sound or silence."""
        self.silence = 0
        """How many of these samples are silence put in."""
        self.resampled = 0
        self.ppm: float | None = None
        """How much faster than the session clock the device's clock runs, in millionths; None until that is known."""
        self._worker = worker
        self._queue = worker.queue
        self._timeline = run.timeline
        self._channels = channels
        self._emit = run.emit
        self._is_missing = False
        self._ready: list[Samples | Floats] = []
        self.ready = 0
        """How many samples can be taken."""
        self._resampler = Resampler(channels)
        self._drift = DriftMeter()
        self._given = 0  # samples of the device since the last gap
        self._filling = False  # silence stands for a source that gives nothing
        self._adrift = True  # the next samples belong where their stamp says, not behind those before them
        self._standstill = StallDetector()
        self._lost = -worker.queue.dropped  # what was dropped before the session began is not missing

    @property
    def is_muted(self) -> bool:
        """Whether it is, or is about to be, silent."""
        return self.mute.target == 0

    @property
    def is_over(self) -> bool:
        """Whether the source gives nothing more."""
        return self._queue.is_over

    @property
    def has_reached_end(self) -> bool:
        """Whether it has come to the end of the session."""
        end = self._end()
        return end is not None and self.position >= end

    @property
    def lost(self) -> int:
        """How often sound was lost on the way; may be asked from any thread."""
        return self._lost + self._queue.dropped

    def begin(self, *, is_late: bool = False) -> None:
        """Tell at once what is not there, or `is_late`: it was waited for in vain. All else has its patience."""
        if is_late or self._worker.outage:
            self._tell_silence()
            self._filling = True

    def wait_s(self) -> float:
        """Return how long to wait for the source before silence is due, at most IDLE_S."""
        if not self._timeline.live or self._is_excused:
            return IDLE_S
        return max(0.0, min((self.position - self._due()) / SAMPLE_RATE, IDLE_S))

    def pull(self, timeout_s: float, others_at: int = 0) -> bool:
        """Take the next block, or put in the silence that is due; return whether a block came within `timeout_s`.

        `others_at` is how far the furthest other lane is: that far a source that is over has given silence.
        """
        block = self._queue.get(timeout_s)
        self._standstill.look(self._timeline.now_ns(), came=block is not None)
        if block is not None:
            self._take(block)
        elif not self._is_excused:
            self._go_without(others_at)
        return block is not None

    def take(self, count: int) -> Samples | Floats:
        """Return the next `count` samples, (count, channels); `count` is not more than `ready`."""
        if not count:
            return np.zeros((0, self._channels), np.int16)
        whole: Samples | Floats = self._ready[0]
        if len(self._ready) > 1:
            whole = np.concatenate(self._ready, dtype=np.result_type(*self._ready))
        rest = whole[count:]
        self._ready = [rest] if len(rest) else []
        self.ready -= count
        return whole[:count]

    def _media_s(self) -> float:
        return round(self.position / SAMPLE_RATE - self._timeline.origin_ns / NANOSECONDS, 3)

    def _end(self) -> int | None:
        end_ns = self._timeline.end_ns
        return None if end_ns is None else end_ns * SAMPLE_RATE // NANOSECONDS

    def _due(self) -> int:
        """Return up to which sample silence is due: behind the clock, for a returning source to find its place."""
        has_an_end = self._queue.is_over and self._timeline.end_ns is not None
        patience_ns = PATIENCE_NS if self._timeline.live and not has_an_end else 0
        return (self._timeline.now_ns() - patience_ns) * SAMPLE_RATE // NANOSECONDS

    @property
    def _is_excused(self) -> bool:
        """Whether no silence is due yet: sound of while this PC stood still may be on its way."""
        return self._standstill.is_excused and not self._queue.is_over

    # A block came

    def _take(self, block: AudioBlock) -> None:
        belongs = self._timeline.program_ns(block.timestamp_ns) * SAMPLE_RATE / NANOSECONDS
        self._lost += block.lost and belongs > 0  # what was lost before the session began is not missing
        offset = round(belongs - self.position - self._resampler.held)
        samples = self._with_channels(block.samples)
        if self._adrift or abs(offset) > GAP_SAMPLES or ((block.lost or block.jumps) and offset > LEFT_ALONE):
            samples = self._place(samples, belongs)
        elif self._drift.add(self._given, belongs):
            self._steer()
        self._given += len(samples)
        if self._filling and len(samples):
            self._filling = self._is_missing = False
            self._emit("source-returned", self.name, f"{self.name} gives sound again", at_s=self._media_s())
        made = self._resampler.process(samples)
        if self._resampler.is_active:
            self.resampled += len(made)
        self._append(made)

    def _place(self, samples: Samples, belongs: float) -> Samples:
        """Fill the gap before `samples`, or cut off what the lane has already gone past; return what is left."""
        self._end_run()
        offset = round(belongs) - self.position
        if offset < 0:
            samples = samples[-offset:]
        elif offset:
            if offset > GAP_SAMPLES and self.position and not self._filling:
                self._emit(
                    "sound-gap",
                    self.name,
                    f"{self.name} gave no sound for {offset / SAMPLE_RATE:.2f} s; silence stands there",
                    samples=offset,
                )
            self._append_silence(offset)
        self._adrift = not len(samples)
        return samples

    def _end_run(self) -> None:
        self._append(self._resampler.flush())
        self._drift.restart()
        self._given = 0

    def _steer(self) -> None:
        self.ppm = self._drift.ppm
        # Where the device's next sample belongs, and where it would come to stand.
        error = self._drift.belongs(self._given) - self.position - self._resampler.held
        if self._resampler.is_active or abs(error) > LEFT_ALONE:
            back = max(-MOST_RETURN, min(MOST_RETURN, error / RETURN_SAMPLES))
            self._resampler.step = 1 + max(-MOST_STEP, min(MOST_STEP, self._drift.rate - 1 - back))

    def _with_channels(self, samples: Samples) -> Samples:
        have = samples.shape[1]
        if have == self._channels:
            return samples
        if self._channels == 1:
            return samples.mean(axis=1, keepdims=True).astype(np.int16)
        return np.repeat(samples[:, :1], self._channels, axis=1) if have == 1 else samples[:, : self._channels]

    # No block came

    def _go_without(self, others_at: int) -> None:
        live, is_over = self._timeline.live, self._queue.is_over
        if not live and not is_over:
            return
        due = self._due() if live else max(self._due(), others_at)
        if due < self.position:
            return
        if live and not is_over:
            self._tell_silence()
        self._end_run()
        self._filling = self._adrift = True
        # In whole AAC frames when the clock leads: this is looked at once for each.
        self._append_silence(due - self.position + (AAC_FRAME if live else 0))

    def _tell_silence(self) -> None:
        """Tell once that silence stands for it, and why, where its device is not there."""
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
        elif outage is None and not self._filling:
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

    def _append(self, samples: Samples | Floats) -> None:
        end = self._end()
        if end is not None:
            samples = samples[: max(0, end - self.position)]
        if len(samples):
            self._ready.append(samples)
            self.ready += len(samples)
            self.position += len(samples)
