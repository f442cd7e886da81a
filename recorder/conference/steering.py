"""Keeps the sound that waits to be played short: resampled against the sink's clock, dropped where it is late.

The sink counts by a clock of its own: that of a sound card that drives the server's graph, or the system's. Where it
is slower than ours, sound would pile up; where it is faster, it would run dry. What waits is measured, and a change of
rate by at most 0.1 %, which nobody hears, brings it back. What is far too much, after the sink stood still, is dropped
at once: people talk, and must not hear each other late.
"""

import numpy as np

from capture.source import SAMPLE_RATE, Samples
from recorder.sound.limiter import rounded
from recorder.sound.resampler import Resampler

WANTED = SAMPLE_RATE * 80 // 1000
"""Samples that should wait: 80 ms."""
ALONE = SAMPLE_RATE * 25 // 1000
"""As long as no more is missing or too much, nothing is touched."""
MOST = SAMPLE_RATE * 160 // 1000
"""With more than this (160 ms) waiting, sound is dropped until it is as wanted."""
RETURN_S = 60.0
"""Over which time what is too much is taken back."""
MOST_STEP = 1000e-6
SETTLES = 100
"""Frames of sound (2 s) after a beginning, or after what was late, before anything is steered."""
SMOOTH = 1 / 150
"""How much each frame of sound (21 ms) counts in the mean: one of about three seconds."""


class Steering:
    """Takes frames of sound with what waits to be played, and gives them as they should be played."""

    def __init__(self, channels: int) -> None:
        self.dropped = 0
        """Samples that were left out because they were late."""
        self._resampler = Resampler(channels)
        self._cushion: Samples = np.zeros((WANTED // 2, channels), np.int16)
        self._mean = 0.0
        self._frames = 0  # since the beginning, or since something was late
        self._late = False

    @property
    def step(self) -> float:
        """Samples of ours for each one that is played."""
        return self._resampler.step

    def steered(self, samples: Samples, backlog: int | None) -> Samples:
        """Return `samples` as they should be played while `backlog` samples wait (None: not known yet).

        The first come behind some silence, so that the next are there before these have been played.
        """
        if backlog is None:
            return samples
        self._late = backlog > (WANTED if self._late else MOST)
        if self._late:
            self.dropped += len(samples)
            self._frames = 0
            return samples[:0]
        if len(self._cushion):
            samples, self._cushion = np.concatenate([self._cushion, samples]), self._cushion[:0]
        self._frames += 1
        self._mean += (backlog - self._mean) * max(SMOOTH, 1 / self._frames)
        error = self._mean - WANTED
        if self._frames < SETTLES:
            error = 0.0
        if self._resampler.is_active or abs(error) > ALONE:
            self._resampler.step = 1 + max(-MOST_STEP, min(MOST_STEP, error / SAMPLE_RATE / RETURN_S))
        return rounded(self._resampler.process(samples))
