"""Times counted in units of their own, in nanoseconds and back."""

from fractions import Fraction
from random import Random

import pytest

from devices.host.clock import NANOSECONDS, nanoseconds, units

TICKS = [Fraction(1, 90_000), Fraction(1, 48_000), Fraction(1, 1000), Fraction(1001, 30_000), Fraction(2)]


@pytest.mark.parametrize("unit", TICKS)
def test_what_is_counted_is_as_near_as_whole_numbers_come(unit: Fraction) -> None:
    random = Random(1)
    for _ in range(1000):
        count, ns = random.randint(-(10**9), 10**9), random.randint(-(10**14), 10**14)
        assert abs(nanoseconds(count, unit) - count * unit * NANOSECONDS) <= Fraction(1, 2)
        assert abs(units(ns, unit) - Fraction(ns, NANOSECONDS) / unit) <= Fraction(1, 2)


@pytest.mark.parametrize("unit", TICKS)
def test_there_and_back_is_the_same(unit: Fraction) -> None:
    counts = [*range(-50, 50), 10**6 + 7, 30 * 3600 * 90_000]
    assert [units(nanoseconds(count, unit), unit) for count in counts] == counts
