"""What the kernel says of the clock, on this machine."""

from devices.clock_state import SYNCHRONISED_WITHIN_S, ClockState, clock_state


def test_the_kernel_bounds_how_far_the_clock_is_off() -> None:
    first, second = clock_state(), clock_state()
    assert first is not None
    assert second is not None
    assert 0 <= first.most_off_s <= SYNCHRONISED_WITHIN_S
    assert first.is_synchronised is second.is_synchronised


def test_what_the_kernel_gives_up_on_is_not_synchronised() -> None:
    assert not ClockState(SYNCHRONISED_WITHIN_S).is_synchronised
    assert ClockState(0.5).is_synchronised
