"""Pictures that mean "nothing is plugged in": what capture cards send without a signal, told from a small copy.

Recognised are colour or grey bars of full height, falling in brightness (the test picture of many converters and
cards), plain blue (analogue grabbers, many HDMI sticks) and the green of a buffer that nobody has filled. A slate is
always quite still; whoever asks makes sure of that. A plain blue with anything on it is a slide, not a slate; some
sticks show a notice on it, and are not recognised.
"""

from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np

from capture.pictures import Plane

_BARS = (8, 7)
_TOP = 0.6
"""The part of the height that bars have to fill: SMPTE's have others below."""
_CORE = 0.25
"""How far from the middle of a bar is looked, as a part of its width: edges are blurred."""
_FLAT = 10
"""Levels between the darkest and the brightest sample of what is called plain."""
_STEP = 5
"""Levels that a bar has to be darker than the one before."""
_BLUE_U, _BLUE_V, _BLUE_Y = 190, (90, 128), 90
_EMPTY = 4


class Slate(StrEnum):
    """What kind of picture it is."""

    BARS = "bars"
    BLUE = "blue"
    EMPTY = "green"


def slate(y: Plane, u: Plane, v: Plane) -> Slate | None:
    """Return which slate a limited-range picture is, None if it is none; planes of any size from 64 columns on."""
    if _is_plain(y):
        luma, blueness, redness = (float(cv2.mean(plane)[0]) for plane in (y, u, v))
        if not (_is_plain(u) and _is_plain(v)):
            return None
        if max(luma, blueness, redness) <= _EMPTY:
            return Slate.EMPTY
        is_blue = blueness >= _BLUE_U and _BLUE_V[0] <= redness <= _BLUE_V[1] and luma <= _BLUE_Y
        return Slate.BLUE if is_blue else None
    return Slate.BARS if any(_has_bars(y, count) for count in _BARS) else None


def _is_plain(plane: Plane) -> bool:
    darkest, brightest, *_ = cv2.minMaxLoc(plane)
    return brightest - darkest <= _FLAT


def _has_bars(y: Plane, count: int) -> bool:
    rows, columns = y.shape
    width = columns / count
    levels = []
    for bar in range(count):
        middle = (bar + 0.5) * width
        core = y[: round(rows * _TOP), round(middle - _CORE * width) : round(middle + _CORE * width) + 1]
        if not _is_plain(core):
            return False
        levels.append(float(np.mean(core)))
    return all(before - after >= _STEP for before, after in pairwise(levels))
