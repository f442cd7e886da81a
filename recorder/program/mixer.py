"""Mutes and gains, too slow to click, and sums of lanes; one lane at 0 dB passes as it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from capture.source import SAMPLE_RATE, AudioSource, Samples
from capture.sources.worker import Supervision
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
