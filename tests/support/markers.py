"""Marks of synthetic pictures and sound, read after any lossy path; the synthetic speaker."""

import time

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from capture.sources.worker import AudioWorker
from capture.synthetic.marks import BLOCKS, CHECK_BITS, LAMP, NUMBER, RelativeArea, number_bits
from tests.support.waiting import PATIENCE_S

type Luma = NDArray[np.uint8]

_LEAST_CONTRAST = 120
_BEEP_HZ = 1000
_WINDOW = SAMPLE_RATE // _BEEP_HZ * 4  # samples that are judged together: whole cycles of the beep


def _levels(luma: Luma, area: RelativeArea, across: int) -> list[float]:
    """Return the mean level of the middle of each of `across` blocks side by side in `area`."""
    height, width = luma.shape
    top = area.top + 0.3 * (area.bottom - area.top)
    bottom = area.bottom - 0.3 * (area.bottom - area.top)
    rows = slice(int(top * height), max(int(top * height) + 1, int(bottom * height)))
    pitch = (area.right - area.left) * width / across
    levels = []
    for block in range(across):
        left = area.left * width + pitch * (block + 0.3)
        levels.append(float(luma[rows, int(left) : max(int(left) + 1, int(left + 0.4 * pitch))].mean()))
    return levels


def _contrast(levels: list[float]) -> tuple[float, float] | None:
    """Return the levels of white and black, measured on the first two blocks; None when they are no such thing."""
    white, black = levels[:2]
    return (white, black) if white - black >= _LEAST_CONTRAST else None


def frame_number(luma: Luma) -> int | None:
    """Return the number in a picture (luma, shape (height, width)), None when there is none that can be trusted."""
    levels = _levels(luma, NUMBER, BLOCKS)
    if (contrast := _contrast(levels)) is None:
        return None
    white, black = contrast
    places = [(level - black) / (white - black) for level in levels]
    if any(0.3 < place < 0.7 or not -0.3 < place < 1.3 for place in places):
        return None
    bits = [place > 0.5 for place in places]
    number = sum(1 << index for index, bit in enumerate(reversed(bits[2:-CHECK_BITS])) if bit)
    return number if bits == number_bits(number).tolist() else None


def is_flashing(luma: Luma) -> bool:
    """Return whether the lamp in a picture is lit."""
    contrast = _contrast(_levels(luma, NUMBER, BLOCKS))
    assert contrast is not None, "not a synthetic picture"
    return _levels(luma, LAMP, 1)[0] > sum(contrast) / 2


def beep_times(samples: NDArray[np.int16] | NDArray[np.float32]) -> list[float]:
    """Return when each beep starts, in seconds from the first of `samples` (48 kHz, shape (frames,) or (frames, 1+)).

    A beep is nothing but 1 kHz for at least 60 ms; its start is where its tone has reached half its strength.
    """
    mono = np.asarray(samples, np.float64)
    mono = np.pad(mono if mono.ndim == 1 else mono[:, 0], _WINDOW)  # a beep may start with the first sample
    turn = np.exp(-2j * np.pi * _BEEP_HZ * np.arange(len(mono)) / SAMPLE_RATE)
    tone = 2 * np.abs(_moving_mean(mono * turn))
    power = _moving_mean(mono**2).real
    # A pure tone of amplitude A has the power A²/2; speech around it has more than its 1 kHz part.
    pure = (tone**2 / 2 > 0.7 * power) & (tone > 0.25 * tone.max(initial=0))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], pure, [False]]).astype(np.int8)))
    times = []
    for first, last in edges.reshape(-1, 2):
        if last - first >= 0.06 * SAMPLE_RATE:
            half = np.median(tone[first:last]) / 2
            # An encoder's noise can spoil the purity of the beginning, not its strength.
            weaker = np.flatnonzero(tone[: first + _WINDOW] < half)
            risen = int(weaker[-1]) + 1 if len(weaker) else 0
            times.append((risen - _WINDOW / 2) / SAMPLE_RATE)
    return times


def _moving_mean(values: NDArray[np.complex128] | NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the mean of the _WINDOW values that start at each place."""
    total = np.concatenate([[0], np.cumsum(values)])
    return np.asarray((total[_WINDOW:] - total[:-_WINDOW]) / _WINDOW, np.complex128)


def blocks_of(source: AudioSource | AudioWorker, seconds: float) -> list[AudioBlock]:
    """Return the blocks that an open source gives, until they are so long together."""
    blocks: list[AudioBlock] = []
    deadline = time.monotonic() + PATIENCE_S
    while sum(len(block.samples) for block in blocks) < seconds * SAMPLE_RATE:
        assert time.monotonic() < deadline
        block = source.read(0.5)
        if block is not None:
            blocks.append(block)
    return blocks
