"""Continuous resampling by a ratio close to 1, which may change at any time without a click.

Each new sample is the sum of 32 old ones, weighted by a windowed sinc around its place between them. The weights are
polynomials of that place (Farrow's structure), so a whole block is one matrix product. At the place of an old sample
the weights are 1 and zeros: the change from unchanged to resampled audio is seamless.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from capture.source import Samples

type FloatSamples = NDArray[np.float32]  # interleaved PCM like Samples, (frames, channels), full scale +-32768

TAPS = 32
HALF = TAPS // 2
TERMS = 8  # coefficients of each polynomial; the filter's own error stays below -100 dB
BETA = 10.0  # of the Kaiser window: artefacts stay 100 dB below the signal, up to 19 kHz
PIECE = 1024  # samples made at once: a product of this size stays on one thread of the linear algebra library


@cache
def sinc_weights() -> FloatSamples:
    """Return the coefficients, shape (TERMS, TAPS), in u = 2 * place - 1, the lowest power first."""
    u = np.cos(np.pi * (np.arange(64) + 0.5) / 64)  # Chebyshev's nodes spread the error evenly
    distance = (u[:, None] + 1) / 2 - (np.arange(TAPS)[None, :] - HALF + 1)
    window = np.i0(BETA * np.sqrt(np.clip(1 - (distance / HALF) ** 2, 0, None))) / np.i0(BETA)
    values = np.sinc(distance) * window
    return np.polynomial.polynomial.polyfit(u, values, TERMS - 1).astype(np.float32)


class Resampler:
    """Resamples one input in blocks by `step`, the number of old samples per new one.

    Samples pass unchanged until `step` first differs from 1. From then on it holds HALF samples back: a new sample
    needs them on both sides.
    """

    def __init__(self, channels: int) -> None:
        self.step = 1.0
        self._channels = channels
        self.is_active = False  # whether samples are resampled, not passed unchanged
        self._tail: Samples = np.zeros((HALF, channels), np.int16)  # the last samples passed unchanged
        self._old: FloatSamples = np.zeros((channels, 0), np.float32)
        self._at = 0.0  # place of the next new sample in _old

    @property
    def held(self) -> float:
        """Number of new samples in the held ones."""
        return (self._old.shape[1] - self._at) / self.step if self.is_active else 0.0

    def process(self, samples: Samples) -> Samples | FloatSamples:
        """Take old samples, (n, channels); return the new ones."""
        if not self.is_active:
            if self.step == 1:
                self._tail = np.concatenate([self._tail, samples])[-HALF:] if len(samples) < HALF else samples[-HALF:]
                return samples
            self.is_active = True
            self._append(self._tail)
            self._at = float(HALF)
        self._append(samples)
        return self._make(math.ceil((self._old.shape[1] - HALF - self._at) / self.step))

    def flush(self) -> Samples | FloatSamples:
        """Return the held samples as if silence followed; the next ones start anew."""
        made: Samples | FloatSamples = np.zeros((0, self._channels), np.int16)
        if self.is_active:
            count = math.ceil(self.held)
            self._append(np.zeros((TAPS, self._channels), np.int16))
            made = self._make(count)
            self._old = np.zeros((self._channels, HALF), np.float32)
            self._at = float(HALF)
        else:
            self._tail = np.zeros((HALF, self._channels), np.int16)
        return made

    def _append(self, samples: Samples) -> None:
        before = self._old.shape[1]
        old = np.empty((self._channels, before + len(samples)), np.float32)  # one run of memory per channel
        old[:, :before], old[:, before:] = self._old, samples.T
        self._old = old

    def _make(self, count: int) -> FloatSamples:
        made = np.empty((max(0, count), self._channels), np.float32)
        done = 0
        while done < count:
            first = math.floor(self._at)
            # As many as lie between consecutive old samples, until the place wraps around.
            places = self._at - first + np.arange(min(PIECE, count - done)) * (self.step - 1)
            inside = int(np.argmax((places < 0) | (places >= 1))) or len(places)
            self._interpolate(first - HALF + 1, places[:inside], made[done : done + inside])
            done += inside
            self._at += inside * self.step
        let_go = math.floor(self._at) - HALF
        self._old = self._old[:, let_go:]
        self._at -= let_go
        return made

    def _interpolate(self, first: int, places: NDArray[np.floating], made: FloatSamples) -> None:
        """Write new samples at `places` after consecutive old ones; `first` is the first tap of the first."""
        count, u = len(places), (2 * places - 1).astype(np.float32)
        for channel, old in enumerate(self._old):
            # Row n is `old` from sample first + n on, without a copy.
            size = old.itemsize
            rows: FloatSamples = np.ndarray((TAPS, count), old.dtype, old, first * size, (size, size))
            terms = sinc_weights() @ np.ascontiguousarray(rows)
            total = terms[-1]
            for term in terms[-2::-1]:
                total *= u
                total += term
            made[:, channel] = total
