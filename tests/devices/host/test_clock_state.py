"""What the kernel says of the clock, on this machine."""

import time

import pytest

from devices.host import clock_state as module
from devices.host.clock_state import SETTLES_S, SYNCHRONISED_WITHIN_S, ClockState, clock_state, may_be_set_soon


def test_the_kernel_bounds_how_far_the_clock_is_off() -> None:
    first, second = clock_state(), clock_state()
    assert first is not None
    assert second is not None
    assert 0 <= first.most_off_s <= SYNCHRONISED_WITHIN_S
    assert first.is_synchronised is second.is_synchronised


def test_what_the_kernel_gives_up_on_is_not_synchronised() -> None:
    assert not ClockState(SYNCHRONISED_WITHIN_S).is_synchronised
    assert ClockState(0.5).is_synchronised


@pytest.mark.parametrize(
    ("up_s", "state", "is_doubtful"),
    [
        (SETTLES_S - 1, ClockState(SYNCHRONISED_WITHIN_S), True),
        (SETTLES_S - 1, ClockState(0.5), False),
        (SETTLES_S - 1, None, False),
        (SETTLES_S + 1, ClockState(SYNCHRONISED_WITHIN_S), False),
    ],
)
def test_a_clock_that_nobody_has_set_may_be_set_in_the_first_minute(
    monkeypatch: pytest.MonkeyPatch, up_s: float, state: ClockState | None, is_doubtful: bool
) -> None:
    clocks = {time.CLOCK_BOOTTIME: up_s}  # that of a PC that has slept counts on
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    monkeypatch.setattr(module, "clock_state", lambda: state)
    assert may_be_set_soon() is is_doubtful
