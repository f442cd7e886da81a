"""The parts of the mix: gains and mutes without clicks, sums, limiter, meters. One input at 0 dB passes unchanged."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import av
import av.filter
import numpy as np
from av.error import BlockingIOError as NothingYet

from capture.source import SAMPLE_RATE, AudioSource, Samples
from capture.sources.worker import DeviceSupervision
from recorder.model.status import Loudness
from recorder.program.resampler import FloatSamples


@dataclass(frozen=True, slots=True)
class SoundInput:
    """One input of the session; `gain_db` applies in the mix, not in its `own_track`; a mute silences both."""

    name: str
    source: AudioSource
    supervision: DeviceSupervision | None = None  # of a device, which may reconnect
    gain_db: float = 0.0
    own_track: bool = False
    is_muted: bool = False  # whether it begins muted


RAMP = SAMPLE_RATE // 100  # samples (10 ms) of a mute's ramp

type SamplesOrSilence = Samples | FloatSamples | None  # samples, (n, channels); None is silence


@dataclass(slots=True)
class GainRamp:
    """A factor that reaches its target within RAMP samples."""

    target: float
    now: float = field(init=False)

    def __post_init__(self) -> None:
        self.now = self.target

    def apply(self, samples: SamplesOrSilence) -> SamplesOrSilence:
        """Return `samples` times the factor: the same array for 1, None for 0."""
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


def sum_samples(parts: Iterable[SamplesOrSilence]) -> SamplesOrSilence:
    """Return the sum of `parts`, which stay unchanged; a single part is returned itself."""
    total: SamplesOrSilence = None
    is_ours = False  # whether `total` is a new array, which may grow in place
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


def db_to_factor(gain_db: float) -> float:
    return float(10 ** (gain_db / 20))


CEILING_DBFS = -1.0
CEILING = math.floor(32_768 * 10 ** (CEILING_DBFS / 20))
"""Of sample peaks. AAC raises some a little: hence not full scale."""
PIECE = 64
LOOKAHEAD_PIECES = 4  # pieces (5.3 ms) in which the gain falls before a peak
LIMITER_DELAY = PIECE * LOOKAHEAD_PIECES
RELEASE_S = 0.15  # 37 % of a cut is left after this time
_RELEASE = float(np.exp(-PIECE / SAMPLE_RATE / RELEASE_S))
_NEARLY_ONE = 0.9999


class Limiter:
    """Keeps samples below CEILING without distortion; all channels share one gain.

    It works in pieces, looks 5 ms ahead and delays by HELD samples. Samples below the ceiling pass unchanged.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._held: Samples | FloatSamples = np.zeros((0, channels), np.int16)
        self._piece_gains: deque[float] = deque()  # highest gain allowed for each held piece
        self._last_gain = 1.0  # of the last returned piece
        self._gain = 1.0  # at the end of that piece
        self._is_first = True

    def process(self, samples: Samples | FloatSamples, *, is_last: bool = False) -> Samples:
        """Take (n, channels), n a multiple of PIECE; return samples HELD older, with `is_last` all of them."""
        self._piece_gains.extend(self._gains_of(samples))
        whole = np.concatenate([self._held, samples]) if len(self._held) else samples
        count = len(whole) if is_last else max(0, len(whole) - LIMITER_DELAY)
        self._held = whole[count:]
        return self._limit(whole[:count])

    def _gains_of(self, samples: Samples | FloatSamples) -> list[float]:
        pieces = -(-len(samples) // PIECE)
        if peak_level(samples) <= CEILING:
            return [1.0] * pieces
        peaks = [peak_level(samples[number * PIECE : (number + 1) * PIECE]) for number in range(pieces)]
        return [min(1.0, CEILING / highest) if highest else 1.0 for highest in peaks]

    def _limit(self, samples: Samples | FloatSamples) -> Samples:
        """Limit and round `samples`, the oldest held, and drop their entries in `_piece_gains`."""
        pieces = -(-len(samples) // PIECE)
        if self._is_first and pieces:
            self._is_first, self._gain = False, self._gain_ahead()
        if self._gain == 1 and self._last_gain == 1 and all(needed == 1 for needed in self._piece_gains):
            for _ in range(pieces):
                self._piece_gains.popleft()
            return to_int16(samples)
        nodes = [self._gain, *(self._next_gain() for _ in range(pieces))]
        places = np.arange(1, len(samples) + 1) / PIECE
        gains = np.interp(places, np.arange(pieces + 1), nodes).astype(np.float32)
        return to_int16(samples * gains[:, None])

    def _next_gain(self) -> float:
        """Return the gain at the end of the oldest piece: as low as the next pieces need, else slowly rising."""
        self._last_gain = self._piece_gains.popleft()
        risen = 1 - (1 - self._gain) * _RELEASE
        self._gain = min(self._gain_ahead(), self._last_gain, risen if risen < _NEARLY_ONE else 1.0)
        return self._gain

    def _gain_ahead(self) -> float:
        """Return the gain from which a straight line reaches the gains of all next pieces."""
        pieces = zip(range(LOOKAHEAD_PIECES), self._piece_gains, strict=False)
        return min((1 - (1 - needed) * (1 - away / LOOKAHEAD_PIECES) for away, needed in pieces), default=1.0)


def peak_level(samples: Samples | FloatSamples) -> float:
    """Return the highest absolute sample."""
    return max(float(samples.max()), -float(samples.min())) if samples.size else 0.0


def to_int16(samples: Samples | FloatSamples) -> Samples:
    """Return int16 samples; int16 input is returned itself."""
    if samples.dtype == np.int16:
        return samples  # type: ignore[return-value] # its dtype says so
    return np.rint(samples).clip(-32_768, 32_767).astype(np.int16)


GATE_LUFS = -70.0  # anything softer is silence; the filter also gives it before it has measured

STEP = SAMPLE_RATE // 10  # samples (0.1 s) of one reading of the filter; it gets no fewer at a time

FLOOR_DBFS = -90.0
FALL_DB = 0.5  # decay for each AAC frame after a peak, about 23 dB a second


class PeakMeter:
    """The peak level of each channel in dBFS; any thread may read it."""

    def __init__(self, channels: int) -> None:
        self.levels_dbfs = [FLOOR_DBFS] * channels

    def feed(self, samples: Samples | FloatSamples) -> None:
        """Take one AAC frame, (n, channels)."""
        if not len(samples):
            return
        for channel, level in enumerate(self.levels_dbfs):
            peak = peak_level(samples[:, channel])
            peak_dbfs = 20 * math.log10(peak / 32768) if peak else FLOOR_DBFS
            self.levels_dbfs[channel] = max(peak_dbfs, level - FALL_DB, FLOOR_DBFS)


class LoudnessMeter:
    """Loudness (EBU R128) by FFmpeg's filter; `reading` changes ten times a second, and any thread may read it."""

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
        """Take samples, (n, channels)."""
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
