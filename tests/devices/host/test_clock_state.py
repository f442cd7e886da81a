"""What the kernel says of the clock, on this machine."""

import time

import pytest

from devices.host import clock_state as module
from devices.host.clock_state import SETTLES_S, SYNCHRONISED_WITHIN_S, may_be_set_soon, most_off_s


def test_the_kernel_bounds_how_far_the_clock_is_off() -> None:
    off_s = most_off_s()
    assert off_s is not None
    assert 0 <= off_s <= SYNCHRONISED_WITHIN_S


@pytest.mark.parametrize(
    ("up_s", "off_s", "is_doubtful"),
    [
        (SETTLES_S - 1, SYNCHRONISED_WITHIN_S, True),
        (SETTLES_S - 1, 0.5, False),
        (SETTLES_S - 1, None, False),
        (SETTLES_S + 1, SYNCHRONISED_WITHIN_S, False),
    ],
)
def test_a_clock_that_nobody_has_set_may_be_set_in_the_first_minute(
    monkeypatch: pytest.MonkeyPatch, up_s: float, off_s: float | None, is_doubtful: bool
) -> None:
    clocks = {time.CLOCK_BOOTTIME: up_s}  # that of a PC that has slept counts on
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    monkeypatch.setattr(module, "most_off_s", lambda: off_s)
    assert may_be_set_soon() is is_doubtful
