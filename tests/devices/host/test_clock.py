"""Times counted in units, and what the kernel says of this PC's clock."""

import time
from fractions import Fraction
from random import Random

import pytest

from devices.host import clock as module
from devices.host.clock import (
    NANOSECONDS,
    SETTLES_S,
    SYNCHRONISED_WITHIN_S,
    clock_error_s,
    is_clock_unset,
    nanoseconds,
    whole_units,
)

TICKS = [Fraction(1, 90_000), Fraction(1001, 30_000), Fraction(2)]


@pytest.mark.parametrize("unit", TICKS)
def test_what_is_counted_is_as_near_as_whole_numbers_come(unit: Fraction) -> None:
    random = Random(1)
    for _ in range(1000):
        count, ns = random.randint(-(10**9), 10**9), random.randint(-(10**14), 10**14)
        assert abs(nanoseconds(count, unit) - count * unit * NANOSECONDS) <= Fraction(1, 2)
        assert abs(whole_units(ns, unit) - Fraction(ns, NANOSECONDS) / unit) <= Fraction(1, 2)


@pytest.mark.parametrize("unit", TICKS)
def test_there_and_back_is_the_same(unit: Fraction) -> None:
    counts = [*range(-50, 50), 10**6 + 7, 30 * 3600 * 90_000]
    assert [whole_units(nanoseconds(count, unit), unit) for count in counts] == counts


def test_the_kernel_bounds_how_far_the_clock_is_off() -> None:
    off_s = clock_error_s()
    assert off_s is not None
    assert 0 <= off_s <= SYNCHRONISED_WITHIN_S


def test_a_clock_that_nobody_has_set_may_be_set_in_the_first_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_unset(up_s: float, off_s: float | None) -> bool:
        clocks = {time.CLOCK_BOOTTIME: up_s}  # that of a PC that has slept counts on
        monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
        monkeypatch.setattr(module, "clock_error_s", lambda: off_s)
        return is_clock_unset()

    assert is_unset(SETTLES_S - 1, SYNCHRONISED_WITHIN_S)
    assert not is_unset(SETTLES_S - 1, 0.5)
    assert not is_unset(SETTLES_S - 1, None)
    assert not is_unset(SETTLES_S + 1, SYNCHRONISED_WITHIN_S)
