"""How loud half a second of sound is: the numbers that the watch of sound decides by."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, Samples

PIECE = SAMPLE_RATE // 2
"""Samples that are looked at together."""
PIECE_S = PIECE / SAMPLE_RATE
WINDOWS = 10
"""Parts of a piece, 50 ms each, whose levels are taken apart: about a quarter of a syllable."""
FLOOR_DBFS = -100.0
"""Stands for everything softer, nothing at all included."""

_FULL_SCALE = 32_768.0
_LARGEST, _SMALLEST = 32_767, -32_768
_RUN = 3
"""So many samples at full scale, one behind the other, are clipped; a single one may just have touched it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Half a second; `levels` and `peaks` are linear, 1 is full scale; the RMS has no mean, shape (channels, WINDOWS).

    `is_nothing`: the samples of each channel are equal. `clipped` counts those at full scale in runs of three and more.
    """

    levels: NDArray[np.float32]
    peaks: NDArray[np.float64]
    is_nothing: bool
    clipped: tuple[int, ...]

    def sustained_dbfs(self) -> list[float]:
        """Return the level of each channel that is reached in three of its windows: a click is no sound."""
        return [to_dbfs(float(level)) for level in np.sort(self.levels, axis=1)[:, -3]]


def measure(samples: Samples) -> tuple[Piece, NDArray[np.float32]]:
    """Return what PIECE samples amount to, and themselves as numbers, shape (channels, PIECE)."""
    channels = np.ascontiguousarray(samples.T)
    numbers = channels.astype(np.float32)
    highest, lowest = channels.max(axis=1), channels.min(axis=1)
    centred = numbers - numbers.mean(axis=1, keepdims=True)
    windows = centred.reshape(len(channels), WINDOWS, -1)
    power = np.einsum("cws,cws->cw", windows, windows) / windows.shape[2]
    piece = Piece(
        levels=np.sqrt(power) / np.float32(_FULL_SCALE),
        peaks=np.maximum(highest.astype(np.float64), -lowest.astype(np.float64)) / _FULL_SCALE,
        is_nothing=bool((highest == lowest).all()),
        clipped=tuple(
            clipped_samples(channel) if high == _LARGEST or low == _SMALLEST else 0
            for channel, high, low in zip(channels, highest, lowest, strict=True)
        ),
    )
    return piece, numbers


def clipped_samples(channel: NDArray[np.int16]) -> int:
    """Return how many samples stand at full scale in runs of three and more."""
    count = 0
    for limit in (_LARGEST, _SMALLEST):
        edges = np.flatnonzero(np.diff(channel == limit, prepend=False, append=False))
        lengths = edges[1::2] - edges[::2]
        count += int(lengths[lengths >= _RUN].sum())
    return count


def to_dbfs(level: float) -> float:
    """Return a linear level in dBFS, not below FLOOR_DBFS."""
    return max(20 * math.log10(level), FLOOR_DBFS) if level > 0 else FLOOR_DBFS
