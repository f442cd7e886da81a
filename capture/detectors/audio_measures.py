"""Measures half seconds of audio: levels, clipping and mains hum; checks an input by them before a session."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, Samples

PIECE = SAMPLE_RATE // 2  # samples of a half second, the unit of all measures
PIECE_S = PIECE / SAMPLE_RATE
WINDOWS = 10  # windows of a half second, 50 ms each, about a quarter of a syllable
FLOOR_DBFS = -100.0  # the level of everything softer, digital silence included

_FULL_SCALE = 32_768.0
_LARGEST, _SMALLEST = 32_767, -32_768
_RUN = 3  # consecutive samples at full scale that count as clipped; a single one may have just reached it


@dataclass(frozen=True, slots=True)
class HalfSecond:
    """Half a second of audio.

    `levels` (RMS without the mean, shape (channels, WINDOWS)) and `peaks` are linear; 1 is full scale. `is_nothing`:
    all samples of each channel are equal. `clipped` counts samples at full scale in runs of three and more.
    """

    levels: NDArray[np.float32]
    peaks: NDArray[np.float64]
    is_nothing: bool
    clipped: tuple[int, ...]

    def sustained_dbfs(self) -> list[float]:
        """Return the level that each channel reaches in three windows: a click is shorter."""
        return [to_dbfs(float(level)) for level in np.sort(self.levels, axis=1)[:, -3]]


def measure(samples: Samples) -> tuple[HalfSecond, NDArray[np.float32]]:
    """Measure PIECE samples; also return them as floats, shape (channels, PIECE)."""
    channels = np.ascontiguousarray(samples.T)
    numbers = channels.astype(np.float32)
    highest, lowest = channels.max(axis=1), channels.min(axis=1)
    centred = numbers - numbers.mean(axis=1, keepdims=True)
    windows = centred.reshape(len(channels), WINDOWS, -1)
    power = np.einsum("cws,cws->cw", windows, windows) / windows.shape[2]
    piece = HalfSecond(
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
    """Count the samples at full scale in runs of three and more."""
    count = 0
    for limit in (_LARGEST, _SMALLEST):
        edges = np.flatnonzero(np.diff(channel == limit, prepend=False, append=False))
        lengths = edges[1::2] - edges[::2]
        count += int(lengths[lengths >= _RUN].sum())
    return count


def to_dbfs(level: float) -> float:
    """Return a linear level in dBFS, at least FLOOR_DBFS."""
    return max(20 * math.log10(level), FLOOR_DBFS) if level > 0 else FLOOR_DBFS


HUM_SECONDS = 5  # hum must last so long

_DECIMATION = 16
_RATE = SAMPLE_RATE // _DECIMATION
_HARMONICS = 5
_BINS = 60 * _HARMONICS + 16  # 1 Hz each
_MULTIPLES = np.arange(1, _HARMONICS + 1)[:, None]
_LINE = np.arange(-2, 3)
"""Hz around a line's middle that belong to it: the width of the window, and the drift of the mains frequency."""
_NEAR = np.arange(-4, 5)
"""Hz around a multiple in which its line must be the strongest: a note beside it leaks power into these bins."""
_BESIDE = np.concatenate((np.arange(-14, -4), np.arange(5, 15)))  # Hz from a line's middle that it is compared with
_PROMINENCE = 10 ** (15 / 10)  # power of a line over its surroundings, at least
_MAX_CHANGE = 10 ** (12 / 10)  # change of a line's power over these seconds, at most: hum is steady, a voice is not
_MAX_DETUNING = 0.01
"""Deviation of a line from its multiple, at most: grids keep to half of it; a G, the nearest note, is 2 % off."""
_TUNED_SHARE = 0.5  # share of the seconds in which a line must have that frequency: speech, or a new note, hides it
_FAINT = 10 ** (40 / 10)  # lines weaker than the strongest by more than this are rounding noise of a tone
_MIN_LINES = 2  # lines that must stand out: a single one may be a tone
_WINDOW = np.hanning(_RATE + 1)[:-1].astype(np.float32)
_UNIT = 0.75 * (float(_WINDOW.sum()) * 32_768.0) ** 2
"""The sum of a line's bins for an RMS of 1: a sine of amplitude A has A * sum / 2 in its bin, half of it beside."""


type HumLevels = tuple[float, float]
"""RMS levels in dBFS: of certain hum (steady lines), and of possible hum under a voice."""


class HumMeter:
    """Measures mains hum: steady lines at the mains frequency and its multiples, even under a voice.

    Each half second it takes the spectrum of the last second. The least power of `seconds` is that of the room: hum
    does not come and go. Organs and motors are beside the mains, if only by 1 Hz. Fewer `seconds` give more false
    alarms.
    """

    def __init__(self, channels: int, mains_hz: int, seconds: float = HUM_SECONDS) -> None:
        self._mains_hz = mains_hz
        self._count = round(2 * seconds)
        self._before = np.zeros((channels, _RATE // 2), np.float32)
        self._spectra: deque[NDArray[np.float32]] = deque(maxlen=self._count)
        self._are_mains: deque[NDArray[np.bool_]] = deque(maxlen=self._count)
        self._has_half = False

    def reset(self) -> None:
        """Forget all input: the next samples do not continue it."""
        self._spectra.clear()
        self._are_mains.clear()
        self._has_half = False

    def hear(self, numbers: NDArray[np.float32]) -> HumLevels | None:
        """Return the hum of the worst channel, None at first; `numbers` have shape (channels, PIECE)."""
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
        are_mains = np.stack(self._are_mains).mean(axis=0) > _TUNED_SHARE
        return _hum(spectra.min(axis=0), spectra.max(axis=0), are_mains, self._mains_hz)


def _hum(
    least: NDArray[np.float32], most: NDArray[np.float32], are_mains: NDArray[np.bool_], mains_hz: int
) -> HumLevels:
    """Return the levels of the lines that stand out, by least and most power; `are_mains`: (channels, harmonics)."""
    bins = mains_hz * _MULTIPLES + _LINE
    lines = least[:, bins]  # (channels, harmonics, bins of a line)
    powers = lines.sum(axis=2)
    beside = np.median(least[:, mains_hz * _MULTIPLES + _BESIDE], axis=2)
    is_heard = powers > powers.max(axis=1, keepdims=True) / _FAINT
    stands_out = is_heard & (lines.max(axis=2) > _PROMINENCE * beside)
    is_steady = most[:, bins].sum(axis=2) < _MAX_CHANGE * powers
    return _loudest_dbfs(powers, stands_out & is_steady & are_mains), _loudest_dbfs(powers, stands_out)


def _are_mains(power: NDArray[np.float32], mains_hz: int) -> NDArray[np.bool_]:
    """Return at which multiples the strongest sine near by has that frequency; shape (channels, harmonics).

    A Hann window gives a sine d bins off its highest bin (1 + d) / (2 - d) of that amplitude in the next.
    """
    multiples = mains_hz * _MULTIPLES
    highest = multiples[:, 0] + _NEAR[power[:, multiples + _NEAR].argmax(axis=2)]
    here, before, after = (np.take_along_axis(power, highest + step, axis=1) for step in (0, -1, 1))
    ratio = np.sqrt(np.maximum(before, after) / np.maximum(here, np.finfo(np.float32).tiny))
    off = (2 * ratio - 1) / (ratio + 1)
    hertz = highest + np.where(after > before, off, -off)
    return np.asarray(np.abs(hertz / multiples[:, 0] - 1) <= _MAX_DETUNING, np.bool_)


def _loudest_dbfs(powers: NDArray[np.float32], is_hum: NDArray[np.bool_]) -> float:
    """Return the level of the channel with most power in its lines; needs more than one line."""
    power = np.where(is_hum.sum(axis=1) >= _MIN_LINES, (powers * is_hum).sum(axis=1), 0.0)
    return to_dbfs(math.sqrt(float(power.max()) / _UNIT))


HUM_S = 2.5  # duration of hum in a check; the meter needs half a second more


@dataclass(frozen=True, slots=True)
class SoundCheckResult:
    """The verdict on `seconds` of audio; levels in dBFS, one for each channel.

    `levels_dbfs` were reached for 0.15 s. `is_nothing`: all samples are equal. Samples were clipped in `clipped_s`
    seconds. `hum_dbfs` is None if the input was too short.
    """

    seconds: float
    levels_dbfs: tuple[float, ...]
    peaks_dbfs: tuple[float, ...]
    is_nothing: bool
    clipped_s: float
    hum_dbfs: float | None

    @property
    def level_dbfs(self) -> float:
        return max(self.levels_dbfs)


class SoundCheck:
    """Checks the audio of one input or file for some seconds; used by one thread."""

    def __init__(self, channels: int, mains_hz: int) -> None:
        self._waiting = np.empty((0, channels), np.int16)
        self._hum = HumMeter(channels, mains_hz, HUM_S)
        self._hum_dbfs: float | None = None
        self._pieces = self._clipped = 0
        self._levels = [FLOOR_DBFS] * channels
        self._peaks = np.zeros(channels)
        self._is_nothing = True

    def hear(self, samples: Samples) -> None:
        """Take the next samples, shape (samples, channels)."""
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

    def heard(self) -> SoundCheckResult | None:
        """Return the verdict, None before half a second."""
        if not self._pieces:
            return None
        return SoundCheckResult(
            seconds=self._pieces * PIECE_S,
            levels_dbfs=tuple(self._levels),
            peaks_dbfs=tuple(to_dbfs(float(peak)) for peak in self._peaks),
            is_nothing=self._is_nothing,
            clipped_s=self._clipped * PIECE_S,
            hum_dbfs=self._hum_dbfs,
        )
