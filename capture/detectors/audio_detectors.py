"""The detectors of audio: judge every half second of an open input, and report faults to its tracker.

    no-data        no block for 0.7 s
    silence        nothing above -80 dBFS for the input's patience, or above -60 dBFS for four times as long
    dead-channel   one of two channels that carried sound is 40 dB and more below the other in 5 s of sound
    clipping       runs of samples at full scale in 5 half seconds of 10 s
    hum            steady lines at the mains frequency and its multiples for 5 s (audio_measures.py)

Each ends on a stricter condition than it begins, so that a borderline input does not flap. Time is counted in samples;
only `no-data` uses the clock.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.detectors.audio_measures import HUM_SECONDS, PIECE, PIECE_S, HalfSecond, HumMeter, measure, to_dbfs
from capture.detectors.source_health import READER_STALLED_S, DetectorGuard, Detectors, FaultHysteresis
from capture.source import SAMPLE_RATE, AudioBlock, Samples
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS

SILENT_DBFS, HEARD_DBFS = -60.0, -55.0  # silence begins below the first level, and ends above the second
NOTHING_DBFS = -80.0
QUIET_FACTOR = 4
"""A live microphone gives more than NOTHING_DBFS even in a quiet room. Then it may be silent for so many times the
patience: people pause, and a ceremony's minute of silence takes a little longer.
"""


class SilenceDetector:
    """Detects silence of one input; used by the thread that reads."""

    def __init__(self, tracker: HealthTracker, silence_s: float) -> None:
        self._tracker = tracker
        self._silence_s = silence_s
        self._below_s = {SILENT_DBFS: 0.0, NOTHING_DBFS: 0.0}
        self._since_ns: dict[float, int] = {}  # duration and start of the time at or below each level
        self._nothing_s = 0.0

    def judge(self, piece: HalfSecond, level_dbfs: float, end_ns: int) -> None:
        """Take the half second that ended at `end_ns`, with the level of its loudest channel."""
        if level_dbfs > HEARD_DBFS:
            self._tracker.clear(Fault.SILENCE)
        for dbfs in self._below_s:
            if level_dbfs > dbfs:
                self._below_s[dbfs], self._since_ns[dbfs] = 0.0, end_ns
            else:
                self._since_ns.setdefault(dbfs, end_ns - NANOSECONDS // 2)
                self._below_s[dbfs] += PIECE_S
        self._nothing_s = self._nothing_s + PIECE_S if piece.is_nothing else 0.0
        if self._below_s[NOTHING_DBFS] >= self._silence_s:
            # The half second in which it fell silent is not all equal samples.
            is_nothing = self._nothing_s > self._below_s[NOTHING_DBFS] - 2 * PIECE_S
            self._find(NOTHING_DBFS, self._silence_s, is_nothing=is_nothing)
        elif self._below_s[SILENT_DBFS] >= QUIET_FACTOR * self._silence_s:
            self._find(SILENT_DBFS, QUIET_FACTOR * self._silence_s, is_nothing=False)

    def _find(self, dbfs: float, for_s: float, *, is_nothing: bool) -> None:
        reason = (
            f"{self._tracker.name} has been silent for {for_s:g} s, below {dbfs:g} dBFS: too far away, turned down or"
            " switched off"
        )
        if is_nothing:
            reason = f"{self._tracker.name} has given exactly nothing for {for_s:g} s: muted or not plugged in"
        self._tracker.find(Fault.SILENCE, reason, began_ns=self._since_ns[dbfs], exactly_nothing=is_nothing)


_FLOOR_PERCENTILE = 10


class SoundStatistics:
    """Statistics over half seconds."""

    def __init__(self, channels: int) -> None:
        self.overflows = 0
        self.lost_ns = 0
        self.peaks = np.zeros(channels)
        self.clipped = np.zeros(channels, np.int64)
        self._levels: list[NDArray[np.float32]] = []

    @property
    def pieces(self) -> int:
        """The number of half seconds."""
        return len(self._levels)

    def lose(self, lost_ns: int) -> None:
        """Count a loss between two blocks, of `lost_ns` by their timestamps."""
        self.overflows += 1
        self.lost_ns += lost_ns

    def add(self, piece: HalfSecond) -> None:
        self._levels.append(piece.levels)
        np.maximum(self.peaks, piece.peaks, out=self.peaks)
        self.clipped += piece.clipped

    def join(self, other: "SoundStatistics") -> None:
        """Add the sums of `other`, but not its levels."""
        self.overflows += other.overflows
        self.lost_ns += other.lost_ns
        np.maximum(self.peaks, other.peaks, out=self.peaks)
        self.clipped += other.clipped

    def totals(self) -> dict[str, Any]:
        """Return the sums as JSON values."""
        return {
            "overflows": self.overflows,
            "lost_s": round(self.lost_ns / NANOSECONDS, 3),
            "clipped_samples": self.clipped.tolist(),
            "peak_dbfs": _rounded(self.peaks),
        }

    def detail(self) -> dict[str, Any]:
        """Return the sums and the levels in dBFS; the noise floor is the 10th percentile of windows of 50 ms."""
        detail = self.totals() | {"seconds": len(self._levels) * PIECE_S}
        if self._levels:
            levels = np.concatenate(self._levels, axis=1)
            detail["rms_dbfs"] = _rounded(np.sqrt(np.mean(levels.astype(np.float64) ** 2, axis=1)))
            detail["noise_floor_dbfs"] = _rounded(np.percentile(levels, _FLOOR_PERCENTILE, axis=1))
        return detail


def _rounded(levels: NDArray[Any]) -> list[float]:
    return [round(to_dbfs(float(level)), 1) for level in levels]


NO_DATA_S = 0.7
SPEAKS_DBFS = -50.0  # above this level a channel carries speech, and the other one can be compared with it
DEAD_DB, ALIVE_DB = 40.0, 34.0
DEAD_S, ALIVE_S = 5.0, 1.0
CLIPPED_PIECES, CLIPPING_S = 5, 10.0
"""Half seconds with clipped samples, within so many seconds: a single shout is shorter."""
SAMPLE_EVERY_S = 60
HUM_DBFS, NO_HUM_DBFS = -60.0, -66.0


def mains_hz(power_line_frequency: str) -> int:
    """Return 50 or 60 for the setting `devices.power_line_frequency`; all but "60 Hz" means 50."""
    return 60 if power_line_frequency == "60 Hz" else 50


class AudioDetectors(Detectors[AudioBlock]):
    """The detectors of one open input; used by one thread. A detector that raises is switched off."""

    def __init__(self, tracker: HealthTracker, channels: int, *, silence_s: float, mains_hz: int = 50) -> None:
        self.sample = SoundStatistics(channels)  # the half seconds since the last sample in the health log
        self._totals = SoundStatistics(channels)
        self._channels = channels
        self._tracker = tracker
        self.guard = DetectorGuard(tracker)
        self._clock = clock = tracker.clock
        self._last_block_ns = self._last_read_ns = self._opened_ns = self._sampled_ns = clock.now_ns()
        self._blocks = 0
        self._end_ns = 0  # of the last block, by its timestamp
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        self._no_data = FaultHysteresis(tracker, Fault.NO_DATA)
        self._silence = SilenceDetector(tracker, silence_s)
        self._dead = _DeadChannel(tracker)
        self._clipped: deque[int] = deque(maxlen=round(CLIPPING_S / PIECE_S))
        self._mains_hz = mains_hz
        self._hum = HumMeter(channels, mains_hz)
        self._hum_dbfs: float | None = None

    def read(self, item: AudioBlock | None) -> None:
        """Take the result of one read; log a sample once a minute."""
        now_ns = self._clock.now_ns()
        if item is None:
            self._check_timeout(now_ns)
        else:
            self._blocks += 1
            self._last_block_ns = self._last_read_ns = now_ns
            self.guard("no data", self._no_data.good, now_ns)
            self.guard("sound", self._take, item)
        if now_ns - self._sampled_ns >= SAMPLE_EVERY_S * NANOSECONDS:
            self._sampled_ns = now_ns
            self.guard("samples", self._log_sample)

    def _log_sample(self) -> None:
        self._tracker.log(LogKind.SAMPLE, level=LogLevel.DEBUG, **self.take_sample())

    def take_sample(self) -> dict[str, Any]:
        """Return the statistics since the last call as JSON values, and begin anew."""
        detail = self.sample.detail()
        if self._hum_dbfs is not None:
            detail["hum_dbfs"] = round(self._hum_dbfs, 1)
        self._totals.join(self.sample)
        self.sample = SoundStatistics(self._channels)
        return detail

    def log_closed(self) -> None:
        """Log the totals of the opening."""
        open_s = round((self._clock.now_ns() - self._opened_ns) / NANOSECONDS, 3)
        self._totals.join(self.sample)
        self._tracker.log(LogKind.CLOSED, open_s=open_s, blocks=self._blocks, **self._totals.totals())

    def _check_timeout(self, now_ns: int) -> None:
        since_ns, self._last_read_ns = now_ns - self._last_read_ns, now_ns
        if since_ns > READER_STALLED_S * NANOSECONDS:
            self._last_block_ns += since_ns
        if now_ns - self._last_block_ns >= NO_DATA_S * NANOSECONDS:
            self.guard("no data", self._report_no_data)

    def _report_no_data(self) -> None:
        reason = f"{self._tracker.name} gives no sound: nothing has come for {NO_DATA_S:g} s"
        self._no_data.bad(reason, began_ns=self._last_block_ns)
        self._hum.reset()

    def _take(self, block: AudioBlock) -> None:
        if block.lost:
            self.sample.lose(max(0, block.timestamp_ns - self._end_ns) if self._end_ns else 0)
            self._hum.reset()
        self._end_ns = block.timestamp_ns + len(block.samples) * NANOSECONDS // SAMPLE_RATE
        self._waiting.append(block.samples)
        self._waiting_samples += len(block.samples)
        if self._waiting_samples >= PIECE:
            self._judge_waiting(self._end_ns)

    def _judge_waiting(self, end_ns: int) -> None:
        whole = np.concatenate(self._waiting)
        pieces = len(whole) // PIECE
        for number in range(pieces):
            after = len(whole) - (number + 1) * PIECE
            self._judge(whole[number * PIECE : (number + 1) * PIECE], end_ns - after * NANOSECONDS // SAMPLE_RATE)
        rest = whole[pieces * PIECE :]
        self._waiting = [rest] if len(rest) else []
        self._waiting_samples = len(rest)

    def _judge(self, samples: Samples, end_ns: int) -> None:
        guard = self.guard
        piece, numbers = measure(samples)
        levels = piece.sustained_dbfs()
        guard("samples", self.sample.add, piece)
        guard("silence", self._silence.judge, piece, max(levels), end_ns)
        guard("a dead channel", self._dead.judge, levels, end_ns)
        guard("clipping", self._judge_clipping, piece, end_ns)
        self._hum_dbfs = guard("hum", self._judge_hum, numbers, end_ns)

    def _judge_clipping(self, piece: HalfSecond, end_ns: int) -> None:
        self._clipped.append(max(piece.clipped))
        clipped = [index for index, samples in enumerate(self._clipped) if samples]
        if not clipped:
            self._tracker.clear(Fault.CLIPPING)
        elif len(clipped) >= CLIPPED_PIECES and not self._tracker.has(Fault.CLIPPING):
            reason = f"{self._tracker.name} is too loud: samples are cut off at full scale; turn its input down"
            ago_s = (len(self._clipped) - clipped[0]) * PIECE_S
            began_ns = end_ns - round(ago_s * NANOSECONDS)
            self._tracker.find(Fault.CLIPPING, reason, began_ns=began_ns, samples=sum(self._clipped))

    def _judge_hum(self, numbers: NDArray[np.float32], end_ns: int) -> float | None:
        """Begin on steady lines; end when there are none even under a voice."""
        found = self._hum.hear(numbers)
        if found is None:
            return None
        sure_dbfs, maybe_dbfs = found
        if sure_dbfs > HUM_DBFS:
            reason = (
                f"{self._tracker.name} hums with the mains ({self._mains_hz} Hz and multiples, {sure_dbfs:.0f} dBFS):"
                " check its cable, its power supply and their earth"
            )
            began_ns = end_ns - HUM_SECONDS * NANOSECONDS
            self._tracker.find(Fault.HUM, reason, began_ns=began_ns, level_dbfs=round(sure_dbfs, 1))
        elif maybe_dbfs < NO_HUM_DBFS:
            self._tracker.clear(Fault.HUM)
        return sure_dbfs


class _DeadChannel:
    _NAMES = ("left", "right")

    def __init__(self, tracker: HealthTracker) -> None:
        self._tracker = tracker
        self._dead: int | None = None
        self._dead_s = self._alive_s = 0.0
        self._began_ns = 0
        self._both_lived = False

    def judge(self, levels: list[float], end_ns: int) -> None:
        """Compare the channels while one carries speech; a channel that never carried any is unused by design."""
        if len(levels) != len(self._NAMES) or max(levels) < SPEAKS_DBFS:
            return
        below = abs(levels[0] - levels[1])
        softer = levels.index(min(levels))
        if below >= DEAD_DB and self._both_lived:
            self._find(softer, round(below), end_ns)
        elif below <= ALIVE_DB:
            self._both_lived = True
            self._alive_s += PIECE_S
            if self._alive_s >= ALIVE_S or not self._tracker.has(Fault.DEAD_CHANNEL):
                self._dead, self._dead_s = None, 0.0
                self._tracker.clear(Fault.DEAD_CHANNEL)

    def _find(self, softer: int, below_db: int, end_ns: int) -> None:
        if self._dead != softer:
            self._tracker.clear(Fault.DEAD_CHANNEL)  # the other channel died: another fault
            self._dead, self._dead_s, self._began_ns = softer, 0.0, end_ns - NANOSECONDS // 2
        self._alive_s = 0.0
        self._dead_s += PIECE_S
        if self._dead_s >= DEAD_S:
            side = self._NAMES[softer]
            reason = f"the {side} channel of {self._tracker.name} carries nothing: check its cable"
            self._tracker.find(Fault.DEAD_CHANNEL, reason, began_ns=self._began_ns, channel=side, below_db=below_db)
