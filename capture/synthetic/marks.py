"""Areas, planes and machine-readable marks of synthetic frames: a number in blocks, a lamp lit each second.

The marks survive lossy encoding.
"""

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from capture.media.pictures import Plane

NUMBER_BITS = 20
CHECK_BITS = 4
NUMBERS = 1 << NUMBER_BITS  # numbers wrap after so many frames (9.7 hours at 30 fps)

BLOCKS = 2 + NUMBER_BITS + CHECK_BITS
"""A white and a black block for the contrast, the number (highest bit first), its checksum."""

BLACK, WHITE = 16, 235
FLASH_FRACTION = 10  # lamp and beep are on for the first tenth of each second


@dataclass(frozen=True, slots=True)
class RelativeArea:
    """A part of a frame, in fractions of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, width: int, height: int) -> tuple[slice, slice]:
        """Return its rows and columns; even numbers, so that chroma can follow."""
        return (
            slice(2 * round(self.top * height / 2), 2 * round(self.bottom * height / 2)),
            slice(2 * round(self.left * width / 2), 2 * round(self.right * width / 2)),
        )

    def of(self, plane: Plane) -> Plane:
        """Return its part of a luma plane, sharing memory."""
        rows, columns = self.pixels(plane.shape[1], plane.shape[0])
        return plane[rows, columns]


FOOTER = RelativeArea(0.0, 0.9, 1.0, 1.0)
NUMBER = RelativeArea(0.02, 0.915, 0.62, 0.985)
CLOCK = RelativeArea(0.64, 0.91, 0.92, 0.99)
LAMP = RelativeArea(0.94, 0.915, 0.98, 0.985)


def number_bits(number: int) -> NDArray[np.bool_]:
    """Return the blocks of `number`, from left to right, True for white."""
    number %= NUMBERS
    check = 0
    for shift in range(0, NUMBER_BITS, CHECK_BITS):
        check ^= number >> shift
    coded = number << CHECK_BITS | check & (1 << CHECK_BITS) - 1
    digits = [coded >> bit & 1 for bit in reversed(range(NUMBER_BITS + CHECK_BITS))]
    return np.array([1, 0, *digits], np.bool_)


@functools.cache
def _block_of_column(across: int) -> NDArray[np.intp]:
    return np.arange(across) * BLOCKS // across


def write_number(luma: Plane, number: int) -> None:
    area = NUMBER.of(luma)
    levels = np.where(number_bits(number), np.uint8(WHITE), np.uint8(BLACK))
    area[:] = levels[_block_of_column(area.shape[1])]


def is_lit(number: int, rate: Fraction) -> bool:
    """Return whether frame `number` is in the first tenth of a second of media time."""
    past_the_second = number * rate.denominator % rate.numerator
    return past_the_second * FLASH_FRACTION < rate.numerator


def write_lamp(luma: Plane, *, lit: bool) -> None:
    LAMP.of(luma)[:] = WHITE if lit else BLACK


type Bgr = NDArray[np.uint8]  # a picture for cv2, shape (height, width, 3)

type Colour = tuple[int, int, int]  # blue, green, red, 0-255
