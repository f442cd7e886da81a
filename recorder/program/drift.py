"""How fast a device's clock runs by the session clock, from stamps that jitter by milliseconds.

A line through five minutes of cells of two seconds, each with the median of its stamps, is the device's clock: its
slope is the drift, and it tells where a sample belongs. Behind a step (lost sound) the line begins anew.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE

CELL = 2 * SAMPLE_RATE
MOST_CELLS = 150
CELLS_FOR_A_SLOPE = 10
"""Before there are so many (20 s) the slope is that of before, and 0 at first."""
STEP = SAMPLE_RATE // 125
"""A cell this far (8 ms) from the line is not on it: one is left out, two are a step."""
OUTLIERS = 4.0
"""Cells farther from the line than so many times the median distance do not count."""


class DriftMeter:
    """The clock of one device that gives samples without a gap; `restart` after each gap."""

    def __init__(self) -> None:
        self.ppm: float | None = None
        """How much faster than the session clock it runs, in millionths; None until that is known."""
        self._slope = 0.0  # of (where a sample belongs, minus its number) over its number
        self._level = 0.0  # of the same, at sample number 0
        self._cells: deque[tuple[float, float]] = deque(maxlen=MOST_CELLS)
        self._stray: tuple[float, float] | None = None
        self._offsets: list[float] = []
        self._cell_start = 0

    @property
    def rate(self) -> float:
        """Samples that the device gives while the session clock counts one."""
        return 1 / (1 + self._slope)

    def restart(self) -> None:
        """Forget where samples belonged, and keep how fast the clock runs. The next sample has number 0."""
        self._cells.clear()
        self._offsets = []
        self._stray = None
        self._cell_start = 0

    def add(self, number: int, belongs: float) -> bool:
        """Take the stamp of sample `number`, as a place in samples; return whether the line is another one now."""
        self._offsets.append(belongs - number)
        if number - self._cell_start < CELL:
            return False
        cell = (self._cell_start + number) / 2, _median(self._offsets)
        self._offsets, self._cell_start = [], number
        self._keep(cell)
        self._fit()
        return True

    def belongs(self, number: int) -> float:
        """Return where in the program the device's sample `number` belongs; of use once a cell is complete."""
        return number + self._level + self._slope * number

    def _keep(self, cell: tuple[float, float]) -> None:
        number, offset = cell
        if len(self._cells) < CELLS_FOR_A_SLOPE or abs(offset - self._level - self._slope * number) <= STEP:
            self._cells.append(cell)
            self._stray = None
        elif self._stray is None:
            self._stray = cell
        else:
            self._cells.clear()
            self._cells.extend((self._stray, cell))
            self._stray = None

    def _fit(self) -> None:
        numbers, offsets = np.array(self._cells).T
        if len(numbers) < CELLS_FOR_A_SLOPE:
            self._level = float(np.mean(offsets - self._slope * numbers))
            return
        slope, level = np.polyfit(numbers, offsets, 1)
        distances = np.abs(offsets - level - slope * numbers)
        near = distances <= max(OUTLIERS * _median(distances), 1.0)
        if not near.all() and near.sum() >= CELLS_FOR_A_SLOPE:
            slope, level = np.polyfit(numbers[near], offsets[near], 1)
        self._slope, self._level = float(slope), float(level)
        self.ppm = (self.rate - 1) * 1e6


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the median, as numpy's would; that one loads masked arrays first, in every session."""
    ordered, count = np.sort(values), len(values)
    return float((ordered[(count - 1) // 2] + ordered[count // 2]) / 2)
