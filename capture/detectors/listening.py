"""The verdict on an input of sound after three seconds, before a session or of a file, by the measures of the watch."""

from dataclasses import dataclass

import numpy as np

from capture.detectors.hum import HumMeter
from capture.detectors.loudness import FLOOR_DBFS, PIECE, PIECE_S, measure, to_dbfs
from capture.source import Samples

HUM_S = 2.5
"""How long hum has to be there; the meter needs half a second more."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The verdict on `seconds` of sound; levels in dBFS, one for each channel.

    `levels_dbfs` lasted for 0.15 s. `is_nothing`: all samples are equal. In `clipped_s` seconds samples were cut off.
    `hum_dbfs` is None where it was too short.
    """

    seconds: float
    levels_dbfs: tuple[float, ...]
    peaks_dbfs: tuple[float, ...]
    is_nothing: bool
    clipped_s: float
    hum_dbfs: float | None

    @property
    def level_dbfs(self) -> float:
        """The level of the loudest channel."""
        return max(self.levels_dbfs)


class Listening:
    """Takes the sound of one input and says what was heard; used by one thread."""

    def __init__(self, channels: int, mains_hz: int) -> None:
        self._waiting = np.empty((0, channels), np.int16)
        self._hum = HumMeter(channels, mains_hz, HUM_S)
        self._hum_dbfs: float | None = None
        self._pieces = self._clipped = 0
        self._levels = [FLOOR_DBFS] * channels
        self._peaks = np.zeros(channels)
        self._is_nothing = True

    def hear(self, samples: Samples) -> None:
        """Take the next samples, shape (n, channels)."""
        self._waiting = np.concatenate((self._waiting, samples))
        while len(self._waiting) >= PIECE:
            self._judge(self._waiting[:PIECE])
            self._waiting = self._waiting[PIECE:]

    def _judge(self, samples: Samples) -> None:
        piece, numbers = measure(samples)
        self._pieces += 1
        self._levels = [max(pair) for pair in zip(self._levels, piece.sustained_dbfs(), strict=True)]
        np.maximum(self._peaks, piece.peaks, out=self._peaks)
        self._is_nothing = self._is_nothing and piece.is_nothing
        self._clipped += any(piece.clipped)
        if hum := self._hum.hear(numbers):
            self._hum_dbfs, _ = hum

    def heard(self) -> Heard | None:
        """Return what was heard, None if that was less than half a second."""
        if not self._pieces:
            return None
        return Heard(
            seconds=self._pieces * PIECE_S,
            levels_dbfs=tuple(self._levels),
            peaks_dbfs=tuple(to_dbfs(float(peak)) for peak in self._peaks),
            is_nothing=self._is_nothing,
            clipped_s=self._clipped * PIECE_S,
            hum_dbfs=self._hum_dbfs,
        )
