"""Keeps the mix below a ceiling without distortion: it is turned down just before what is too loud, and back slowly.

It works in pieces of 64 samples and looks 5 ms ahead. What stays below the ceiling passes bit by bit as it came.
"""

import math
from collections import deque

import numpy as np

from capture.source import SAMPLE_RATE, Samples
from recorder.program.resampler import Floats

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
