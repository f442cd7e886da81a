"""The running clock and picture number for people, put together from letters drawn once."""

import math
from typing import Final

import cv2
import numpy as np

from capture.synthetic.marks import CLOCK, Plane

INK, PAPER = 210, 30
_LETTERS = "0123456789:.# "
_COLUMNS = len("00:00:00.000")
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


def clock_text(milliseconds: int) -> str:
    """Return media time as HH:MM:SS.mmm."""
    seconds, fraction = divmod(milliseconds, 1000)
    return f"{seconds // 3600 % 100:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:03d}"


class ClockFace:
    """Writes two lines, the media time and the number, into pictures of one size."""

    def __init__(self, width: int, height: int) -> None:
        rows, columns = CLOCK.pixels(width, height)
        across = columns.stop - columns.start
        self._line = (rows.stop - rows.start) // 2
        self._scale = min(across / _COLUMNS / _widest(), self._line * 0.68 / _tallest())
        self._cell = min(across // _COLUMNS, math.ceil(1.1 * _widest() * self._scale))
        self._place = rows, slice(columns.stop - _COLUMNS * self._cell, columns.stop)
        self._glyphs = {letter: self._draw(letter) for letter in _LETTERS}

    def _draw(self, letter: str) -> Plane:
        """Draw one letter into a cell of its own."""
        cell = np.full((self._line, self._cell), PAPER, np.uint8)
        (across, _), _ = cv2.getTextSize(letter, _FONT, self._scale, 1)
        # Dots and colons stand on the base line of the digits, whatever their own height.
        corner = ((self._cell - across) // 2, (self._line + round(_tallest() * self._scale)) // 2)
        cv2.putText(cell, letter, corner, _FONT, self._scale, INK, 1 if self._line < 30 else 2, cv2.LINE_AA)
        return cell

    def write(self, luma: Plane, milliseconds: int, number: int) -> None:
        """Write the time and the number into the luma plane of a picture."""
        area = luma[self._place]
        for line, text in enumerate((clock_text(milliseconds), f"#{number:08d}".rjust(_COLUMNS))):
            top = line * self._line
            for column, letter in enumerate(text):
                left = column * self._cell
                area[top : top + self._line, left : left + self._cell] = self._glyphs[letter]


def _widest() -> float:
    return max(cv2.getTextSize(digit, _FONT, 1.0, 1)[0][0] for digit in "0123456789#")


def _tallest() -> float:
    return cv2.getTextSize("0", _FONT, 1.0, 1)[0][1]
