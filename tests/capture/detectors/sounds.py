"""Generated sounds, and detectors that hear them in media time, without waiting."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.detectors.audio_detectors import AudioDetectors
from capture.source import SAMPLE_RATE, AudioBlock, Samples
from capture.synthetic.audio import speech_loop
from devices.health.faults import HealthTracker
from devices.health.log_line import HealthLine, LogKind
from devices.host.clock import NANOSECONDS
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

type Sound = NDArray[np.floating[Any]]
"""Shape (samples, channels), full scale 1."""


def level(dbfs: float) -> float:
    return float(10 ** (dbfs / 20))


def noise(seconds: float, dbfs: float, *, channels: int = 2, seed: int = 1) -> Sound:
    """Return white noise of an RMS level, different in each channel."""
    sound = np.random.default_rng(seed).standard_normal((round(seconds * SAMPLE_RATE), channels), np.float32)
    sound *= level(dbfs)
    return sound


def tone(seconds: float, hertz: float, dbfs: float, *, channels: int = 2) -> Sound:
    """Return a sine of an RMS level, equal in all channels."""
    turns = np.arange(round(seconds * SAMPLE_RATE), dtype=np.float64)
    turns *= 2 * np.pi * hertz / SAMPLE_RATE
    sine = np.sin(turns, out=turns).astype(np.float32)
    sine *= np.sqrt(2) * level(dbfs)
    return np.repeat(sine[:, None], channels, axis=1)


def mains(seconds: float, dbfs: float, *, hertz: float = 50, harmonics: tuple[int, ...] = (1, 2, 3)) -> Sound:
    """Return hum of a total level: the mains frequency and its multiples."""
    each = dbfs - 10 * np.log10(len(harmonics))
    first, *others = (tone(seconds, hertz * harmonic, each) for harmonic in harmonics)
    for other in others:
        first += other
    return first


def speech(seconds: float, dbfs: float = -20) -> Sound:
    """Return speech of a level over room noise."""
    loop = np.asarray(speech_loop(beeps=False) * (level(dbfs + 20) / 32_768), np.float32)
    return np.tile(loop, (int(np.ceil(seconds * SAMPLE_RATE / len(loop))), 1))[: round(seconds * SAMPLE_RATE)]


def samples(sound: Sound) -> Samples:
    return np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype(np.int16)


class Heard:
    """Detectors, and the faults that they report."""

    def __init__(self, *, channels: int = 2, silence_s: float = 20, mains_hz: int = 50) -> None:
        self.clock = SimulatedClock()
        self.recorded = Recorded(self.clock)
        self.tracker = HealthTracker("mic", "Mic", record=self.recorded, clock=self.clock)
        self.watch = AudioDetectors(self.tracker, channels, silence_s=silence_s, mains_hz=mains_hz)
        self.seconds = 0.0

    def hear(self, sound: Sound | Samples, *, block: int = 960) -> "Heard":
        """Feed a sound in media time."""
        for some in _parts(sound, 50 * block):  # converting minutes at once allocates too much
            for part in _parts(some if some.dtype == np.int16 else samples(some), block):
                self.feed(part)
        return self

    def feed(self, part: Samples, *, lost: bool = False) -> None:
        stamp_ns = self.clock.now_ns()
        self.clock.advance_to(stamp_ns + len(part) * NANOSECONDS // SAMPLE_RATE)
        self.watch.read(AudioBlock(stamp_ns, part, lost))
        self.seconds += len(part) / SAMPLE_RATE

    @property
    def begun(self) -> list[HealthLine]:
        return self.recorded.of(LogKind.DEGRADED)

    @property
    def ended(self) -> list[HealthLine]:
        return self.recorded.of(LogKind.RECOVERED)

    def faults(self) -> list[object]:
        """Return the faults found, in order."""
        return [line.detail["fault"] for line in self.begun]


def _parts(sound: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    for start in range(0, len(sound), size):
        yield sound[start : start + size]
