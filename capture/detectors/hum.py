"""Mains hum: steady lines at the mains frequency and its multiples, found though somebody speaks over them.

Each half second the spectrum of the last second is taken; the least power of some seconds is that of the room. Hum does
not come and go, and stands out of what is beside it. Organs and motors are beside the mains, if only by 1 Hz.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from capture.detectors.loudness import PIECE, to_dbfs
from capture.source import SAMPLE_RATE

SECONDS = 5
"""How long hum must have been there."""

_DECIMATION = 16
_RATE = SAMPLE_RATE // _DECIMATION
_HARMONICS = 5
_BINS = 60 * _HARMONICS + 16  # 1 Hz each
_MULTIPLES = np.arange(1, _HARMONICS + 1)[:, None]
_LINE = np.arange(-2, 3)
"""Hz from a line's middle that belong to it: the window's own width, and what the mains frequency wanders."""
_NEAR = np.arange(-4, 5)
"""Hz from a multiple in which its line must be the strongest: beside a note, what is there is a part of that."""
_BESIDE = np.concatenate((np.arange(-14, -4), np.arange(5, 15)))
"""Hz from a line's middle that it is compared with."""
_OUTSTANDING = 10 ** (15 / 10)
"""How much more power than what is beside it makes a line."""
_STEADY = 10 ** (12 / 10)
"""How much a line's power may change in these seconds: that of hum hardly does, that of a voice does."""
_OFF = 0.01
"""How far a line may be off its multiple, as a share: grids keep to half of it; a G, the nearest note, is 2 % off."""
_MOSTLY = 0.5
"""In more of the seconds a line must have that frequency: who speaks, or a note that is struck anew, hides it."""
_FAINT = 10 ** (40 / 10)
"""A line with so much less power than the strongest one is none: a tone has such, by rounding."""
_LEAST_LINES = 2
"""So many lines must stand out: one alone may be a tone."""
_WINDOW = np.hanning(_RATE + 1)[:-1].astype(np.float32)
_UNIT = 0.75 * (float(_WINDOW.sum()) * 32_768.0) ** 2
"""The sum of a line's bins for an RMS of 1: a sine of amplitude A has A * sum / 2 in its bin, half of it beside."""


type Hum = tuple[float, float]
"""RMS levels in dBFS: of hum that is sure, since its lines are steady, and of a sound under a voice that may be hum."""


class HumMeter:
    """Takes half seconds and measures their hum, which must have lasted for `seconds`: fewer take more for hum."""

    def __init__(self, channels: int, mains_hz: int, seconds: float = SECONDS) -> None:
        self._mains_hz = mains_hz
        self._count = round(2 * seconds)
        self._before = np.zeros((channels, _RATE // 2), np.float32)
        self._spectra: deque[NDArray[np.float32]] = deque(maxlen=self._count)
        self._are_mains: deque[NDArray[np.bool_]] = deque(maxlen=self._count)
        self._has_half = False

    def reset(self) -> None:
        """Forget what came: what follows does not continue it."""
        self._spectra.clear()
        self._are_mains.clear()
        self._has_half = False

    def hear(self, numbers: NDArray[np.float32]) -> Hum | None:
        """Return the hum of the worst channel, None at first; `numbers` are the next PIECE samples of each channel."""
        half = numbers.reshape(len(numbers), PIECE // _DECIMATION, _DECIMATION).mean(axis=2)
        if self._has_half:
            second = np.concatenate((self._before, half), axis=1) * _WINDOW
            spectrum = np.fft.rfft(second, axis=1)[:, :_BINS]
            power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
            self._spectra.append(power)
            self._are_mains.append(_are_mains(power, self._mains_hz))
        self._before, self._has_half = half, True
        if len(self._spectra) < self._count:
            return None
        spectra = np.stack(self._spectra)
        are_mains = np.stack(self._are_mains).mean(axis=0) > _MOSTLY
        return _hum(spectra.min(axis=0), spectra.max(axis=0), are_mains, self._mains_hz)


def _hum(least: NDArray[np.float32], most: NDArray[np.float32], are_mains: NDArray[np.bool_], mains_hz: int) -> Hum:
    """Return how loud the lines are that stand out, by the least and most power; `are_mains`: (channels, harmonics)."""
    bins = mains_hz * _MULTIPLES + _LINE
    lines = least[:, bins]  # (channels, harmonics, bins of a line)
    powers = lines.sum(axis=2)
    beside = np.median(least[:, mains_hz * _MULTIPLES + _BESIDE], axis=2)
    is_heard = powers > powers.max(axis=1, keepdims=True) / _FAINT
    stands_out = is_heard & (lines.max(axis=2) > _OUTSTANDING * beside)
    is_steady = most[:, bins].sum(axis=2) < _STEADY * powers
    return _loudest_dbfs(powers, stands_out & is_steady & are_mains), _loudest_dbfs(powers, stands_out)


def _are_mains(power: NDArray[np.float32], mains_hz: int) -> NDArray[np.bool_]:
    """Say of which multiples the strongest sine near by has that frequency; shape (channels, harmonics).

    In a Hann window, a sine that is d bins off its highest has (1 + d) / (2 - d) of that one's amplitude in the next.
    """
    multiples = mains_hz * _MULTIPLES
    highest = multiples[:, 0] + _NEAR[power[:, multiples + _NEAR].argmax(axis=2)]
    here, before, after = (np.take_along_axis(power, highest + step, axis=1) for step in (0, -1, 1))
    ratio = np.sqrt(np.maximum(before, after) / np.maximum(here, np.finfo(np.float32).tiny))
    off = (2 * ratio - 1) / (ratio + 1)
    hertz = highest + np.where(after > before, off, -off)
    return np.asarray(np.abs(hertz / multiples[:, 0] - 1) <= _OFF, np.bool_)


def _loudest_dbfs(powers: NDArray[np.float32], is_hum: NDArray[np.bool_]) -> float:
    """Return the level of the channel with most power in its lines, of which there must be more than one."""
    power = np.where(is_hum.sum(axis=1) >= _LEAST_LINES, (powers * is_hum).sum(axis=1), 0.0)
    return to_dbfs(math.sqrt(float(power.max()) / _UNIT))
