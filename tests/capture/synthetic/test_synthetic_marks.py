"""Marks: written by the product, read by the tests' own reader; nothing else passes for one."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.synthetic.marks import BLACK, NUMBER, NUMBERS, WHITE, is_lit, write_lamp, write_number
from tests.support.markers import frame_number, is_flashing


def marked(number: int) -> np.ndarray:
    luma = np.full((180, 320), 60, np.uint8)
    write_number(luma, number)
    return luma


@given(st.integers(0, NUMBERS * 2))
def test_every_number_is_read_back(number: int) -> None:
    assert frame_number(marked(number)) == number % NUMBERS


@given(st.integers(0, NUMBERS - 1), st.integers(0, 25))
def test_a_block_that_has_flipped_or_faded_is_noticed(number: int, block: int) -> None:
    luma = marked(number)
    rows, columns = NUMBER.pixels(320, 180)
    edges = [columns.start + (columns.stop - columns.start) * edge // 26 for edge in (block, block + 1)]
    area = luma[rows, edges[0] : edges[1]]
    for level in (np.where(area > 128, BLACK, WHITE), np.full(area.shape, 125)):
        luma[rows, edges[0] : edges[1]] = level
        assert frame_number(luma) is None


@given(st.integers(0, NUMBERS - 2))
def test_a_mix_of_two_pictures_is_no_number(number: int) -> None:
    mixed = (marked(number).astype(np.uint16) + marked(number + 1)) // 2
    assert frame_number(mixed.astype(np.uint8)) is None


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
def test_a_plain_picture_has_no_number(level: int) -> None:
    assert frame_number(np.full((180, 320), level, np.uint8)) is None


def test_the_lamp_is_read() -> None:
    luma = marked(7)
    for lit in (True, False, True):
        write_lamp(luma, lit=lit)
        assert is_flashing(luma) == lit


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(15), Fraction(60), Fraction(25), Fraction(30000, 1001)])
def test_the_lamp_is_lit_for_a_tenth_of_each_second(rate: Fraction) -> None:
    lit = [is_lit(number, rate) for number in range(3000)]
    assert lit == [(Fraction(number) / rate) % 1 < Fraction(1, 10) for number in range(3000)]
    beginnings = [number / rate for number in range(1, 3000) if lit[number] and not lit[number - 1]]
    assert [int(time) for time in beginnings] == list(range(1, len(beginnings) + 1))
    assert all(time % 1 < 1 / rate for time in beginnings)
