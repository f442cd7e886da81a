"""Sounds as inputs give them, and a watch that hears them at once: media time is all the time there is."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, AudioBlock, Samples
from capture.synthetic.speech import speech_loop
from capture.watch.audio import AudioWatch
from devices.clock import NANOSECONDS
from devices.health.line import HealthLine, Kind
from devices.health.tracker import HealthTracker
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

BLOCK = 960
type Sound = NDArray[np.float64]
"""Full scale is 1; shape (samples, channels)."""


def level(dbfs: float) -> float:
    return float(10 ** (dbfs / 20))


def noise(seconds: float, dbfs: float, *, channels: int = 2, seed: int = 1) -> Sound:
    """Return white noise of that RMS level, another in each channel."""
    return np.random.default_rng(seed).normal(0, level(dbfs), (round(seconds * SAMPLE_RATE), channels))


def tone(seconds: float, hertz: float, dbfs: float, *, channels: int = 2) -> Sound:
    """Return a sine of that RMS level, the same in each channel."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sine = np.sqrt(2) * level(dbfs) * np.sin(2 * np.pi * hertz * time_s)
    return np.repeat(sine[:, None], channels, axis=1)


def mains(seconds: float, dbfs: float, *, hertz: float = 50, harmonics: tuple[int, ...] = (1, 2, 3)) -> Sound:
    """Return hum of that level in all: the mains frequency and multiples of it."""
    each = dbfs - 10 * np.log10(len(harmonics))
    return np.sum([tone(seconds, hertz * harmonic, each) for harmonic in harmonics], axis=0)


def speech(seconds: float, dbfs: float = -20) -> Sound:
    """Return speech of that level over a room's own noise."""
    loop = speech_loop(beeps=False) / 32_768 * level(dbfs + 20)
    return np.tile(loop, (int(np.ceil(seconds * SAMPLE_RATE / len(loop))), 1))[: round(seconds * SAMPLE_RATE)]


def samples(sound: Sound) -> Samples:
    return np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype(np.int16)


class Heard:
    """A watch, and what it says of the sounds it is given."""

    def __init__(self, *, channels: int = 2, silence_s: float = 20, mains_hz: int = 50) -> None:
        self.clock = SimulatedClock()
        self.recorded = Recorded(self.clock)
        self.tracker = HealthTracker("mic", "Mic", record=self.recorded, clock=self.clock)
        self.watch = AudioWatch(self.tracker, channels, silence_s=silence_s, clock=self.clock, mains_hz=mains_hz)
        self.seconds = 0.0

    def hear(self, sound: Sound | Samples, *, block: int = BLOCK) -> "Heard":
        """Feed a sound as its time passes."""
        pcm = sound if sound.dtype == np.int16 else samples(np.asarray(sound, np.float64))
        for part in _parts(pcm.astype(np.int16, copy=False), block):
            self.feed(part)
        return self

    def feed(self, part: Samples, *, lost: bool = False) -> None:
        stamp_ns = self.clock.now_ns()
        self.clock.advance_to(stamp_ns + len(part) * NANOSECONDS // SAMPLE_RATE)
        self.watch.feed(AudioBlock(stamp_ns, part, lost))
        self.seconds += len(part) / SAMPLE_RATE

    @property
    def begun(self) -> list[HealthLine]:
        return self.recorded.of(Kind.DEGRADED)

    @property
    def ended(self) -> list[HealthLine]:
        return self.recorded.of(Kind.RECOVERED)

    def faults(self) -> list[object]:
        """Return the faults that were found, in order."""
        return [line.detail["fault"] for line in self.begun]


def _parts(pcm: Samples, block: int) -> Iterator[Samples]:
    for start in range(0, len(pcm), block):
        yield pcm[start : start + block]
