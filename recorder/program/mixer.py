"""Mutes and gains, too slow to click, and sums of lanes; one lane at 0 dB passes as it is."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import av
import av.filter
import numpy as np
from av.error import BlockingIOError as NothingYet

from capture.source import SAMPLE_RATE, AudioSource, Samples
from capture.sources.worker import Supervision
from recorder.model.status import Loudness
from recorder.program.resampler import Floats


@dataclass(frozen=True, slots=True)
class SoundInput:
    """One input: the `name` people call it by, unique in its session, and where its sound comes from.

    `gain_db` is how much it is turned up (or down, below 0) in the mix. With `own_track` it is also recorded apart,
    as it came, beside the mix; while it is muted both are silent.
    """

    name: str
    source: AudioSource
    supervision: Supervision | None = None
    """Of a device, which may go and come back."""
    gain_db: float = 0.0
    own_track: bool = False
    is_muted: bool = False
    """From its first sample on."""


RAMP = SAMPLE_RATE // 100
"""Samples (10 ms) that a mute takes."""

type Heard = Samples | Floats | None
"""Samples, (n, channels); None where nothing is to be heard."""


@dataclass(slots=True)
class Ramp:
    """A factor that goes where it is told within RAMP samples."""

    target: float
    now: float = field(init=False)

    def __post_init__(self) -> None:
        self.now = self.target

    def apply(self, samples: Heard) -> Heard:
        """Return `samples` by the factor: themselves where that is 1, None where it is 0."""
        target = self.target  # another thread may set it at any moment
        if self.now == target:
            if samples is None or target == 1:
                return samples
            return np.multiply(samples, np.float32(target), dtype=np.float32) if target else None
        before, self.now = self.now, target
        if samples is None:
            return None
        factors = np.full((len(samples), 1), target, np.float32)
        steps = min(RAMP, len(samples))
        factors[:steps, 0] = np.linspace(before, target, RAMP + 1, dtype=np.float32)[1 : steps + 1]
        return np.multiply(samples, factors, dtype=np.float32)


def total_of(parts: Iterable[Heard]) -> Heard:
    """Return the sum of `parts`, which stay as they are; a single one is the sum itself."""
    total: Heard = None
    is_ours = False  # nobody else has the array of the sum: it can be added to in place
    for part in parts:
        if part is None:
            continue
        if total is None:
            total, is_ours = part, False
        elif is_ours:
            total += part
        else:
            total, is_ours = np.add(total, part, dtype=np.float32), True
    return total


def linear(gain_db: float) -> float:
    """Return decibels as a factor."""
    return float(10 ** (gain_db / 20))


CEILING_DBFS = -1.0
CEILING = math.floor(32_768 * 10 ** (CEILING_DBFS / 20))
"""Sample peaks stay below it. AAC makes some of them a little higher: hence not full scale."""
PIECE = 64
AHEAD = 4
"""Pieces: 5.3 ms, over which it is turned down."""
HELD = PIECE * AHEAD
RELEASE_S = 0.15
"""After so long a peak's effect is down to 37 %."""
_RELEASE = float(np.exp(-PIECE / SAMPLE_RATE / RELEASE_S))
_NEARLY_ONE = 0.9999


class Limiter:
    """Takes whole pieces, and gives them HELD samples later; all channels are turned down together."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._held: Samples | Floats = np.zeros((0, channels), np.int16)
        self._needed: deque[float] = deque()  # the highest gain that each held piece may have
        self._last_needed = 1.0  # of the piece that was given last
        self._gain = 1.0  # at the end of that piece
        self._begins = True

    def process(self, samples: Samples | Floats, *, is_last: bool = False) -> Samples:
        """Take (n, channels), n a multiple of PIECE, and return HELD samples older; with the last ones all of it."""
        self._needed.extend(self._needs(samples))
        whole = np.concatenate([self._held, samples]) if len(self._held) else samples
        count = len(whole) if is_last else max(0, len(whole) - HELD)
        self._held = whole[count:]
        return self._limit(whole[:count])

    def _needs(self, samples: Samples | Floats) -> list[float]:
        pieces = -(-len(samples) // PIECE)
        if peak(samples) <= CEILING:
            return [1.0] * pieces
        peaks = [peak(samples[number * PIECE : (number + 1) * PIECE]) for number in range(pieces)]
        return [min(1.0, CEILING / highest) if highest else 1.0 for highest in peaks]

    def _limit(self, samples: Samples | Floats) -> Samples:
        """Turn down `samples`, the oldest that are held, and round them; drop what was needed for them."""
        pieces = -(-len(samples) // PIECE)
        if self._begins and pieces:
            self._begins, self._gain = False, self._wanted()
        if self._gain == 1 and self._last_needed == 1 and all(needed == 1 for needed in self._needed):
            for _ in range(pieces):
                self._needed.popleft()
            return rounded(samples)
        nodes = [self._gain, *(self._next_gain() for _ in range(pieces))]
        places = np.arange(1, len(samples) + 1) / PIECE
        gains = np.interp(places, np.arange(pieces + 1), nodes).astype(np.float32)
        return rounded(samples * gains[:, None])

    def _next_gain(self) -> float:
        """Return the gain at the end of the oldest piece: as low as it and those after it need, else rising slowly."""
        self._last_needed = self._needed.popleft()
        risen = 1 - (1 - self._gain) * _RELEASE
        self._gain = min(self._wanted(), self._last_needed, risen if risen < _NEARLY_ONE else 1.0)
        return self._gain

    def _wanted(self) -> float:
        """Return the gain before the oldest piece by which all that follow can be reached in a straight line."""
        pieces = zip(range(AHEAD), self._needed, strict=False)
        return min((1 - (1 - needed) * (1 - away / AHEAD) for away, needed in pieces), default=1.0)


def peak(samples: Samples | Floats) -> float:
    """Return the highest absolute value of any sample."""
    return max(float(samples.max()), -float(samples.min())) if samples.size else 0.0


def rounded(samples: Samples | Floats) -> Samples:
    """Return samples as 16-bit numbers; those that are already are not touched."""
    if samples.dtype == np.int16:
        return samples  # type: ignore[return-value] # its dtype says so
    return np.rint(samples).clip(-32_768, 32_767).astype(np.int16)


GATE_LUFS = -70.0
"""What is softer counts as silence; the filter says so for what it could not measure at all."""

STEP = SAMPLE_RATE // 10
"""Samples (0.1 s) for which the filter gives one reading; it is given no less at a time."""


FLOOR_DBFS = -90.0
FALL_DB = 0.5
"""How much the level falls with each AAC frame (about 23 dB a second) after a peak."""


class PeakMeter:
    """The peak level of each channel in dBFS, fed with an AAC frame at a time. Read from any thread."""

    def __init__(self, channels: int) -> None:
        self.levels_dbfs = [FLOOR_DBFS] * channels

    def feed(self, samples: Samples | Floats) -> None:
        """Take a frame, (n, channels)."""
        if not len(samples):
            return
        for channel, level in enumerate(self.levels_dbfs):
            column = samples[:, channel]
            peak = max(float(column.max()), -float(column.min()))
            peak_dbfs = 20 * math.log10(peak / 32768) if peak else FLOOR_DBFS
            self.levels_dbfs[channel] = max(peak_dbfs, level - FALL_DB, FLOOR_DBFS)


class LoudnessMeter:
    """Fed with the program's samples; `reading` is replaced ten times a second, and may be read from any thread."""

    def __init__(self, channels: int) -> None:
        self.reading = Loudness()
        self._layout = "mono" if channels == 1 else "stereo"
        self._samples = 0
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        graph = self._graph = av.filter.Graph()
        self._source = graph.add(
            "abuffer",
            f"sample_rate={SAMPLE_RATE}:sample_fmt=s16:channel_layout={self._layout}:time_base=1/{SAMPLE_RATE}",
        )
        meter = graph.add("ebur128", "metadata=1:framelog=quiet")
        self._sink = graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        graph.configure()

    def feed(self, samples: Samples) -> None:
        """Take (n, channels) samples."""
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        if self._waiting_samples >= STEP:
            self._push(np.concatenate(self._waiting))
            self._waiting, self._waiting_samples = [], 0

    def _push(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate, frame.pts = SAMPLE_RATE, self._samples
        self._samples += len(samples)
        self._source.push(frame)
        while True:
            try:
                measured = self._sink.pull()
            except NothingYet:
                return
            self._read(measured.metadata)

    def _read(self, measured: dict[str, str]) -> None:
        def lufs(letter: str) -> float | None:
            value = float(measured[f"lavfi.r128.{letter}"])
            return round(value, 1) if value > GATE_LUFS else None

        integrated = lufs("I")
        self.reading = Loudness(
            momentary_lufs=lufs("M"),
            short_term_lufs=lufs("S"),
            integrated_lufs=integrated,
            range_lu=round(float(measured["lavfi.r128.LRA"]), 1) if integrated is not None else None,
        )
