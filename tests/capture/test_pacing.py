"""The pace of sources without a clock of their own."""

import threading

import pytest

from capture.pacing import FastPace, RealPace
from devices.host.clock import NANOSECONDS, SystemClock
from tests.support.simulated import SimulatedClock


def test_real_pace_gives_what_its_time_has_come_for() -> None:
    clock = SimulatedClock()
    pace = RealPace(clock, threading.Event())
    clock.advance_to(clock.now_ns() + 3 * NANOSECONDS)
    pace.begin()
    zero_ns = pace.start_ns()
    assert zero_ns == clock.now_ns()
    assert pace.wait("video", 0, 0.1)
    assert not pace.wait("video", NANOSECONDS, 0.1)
    assert clock.now_ns() == pytest.approx(zero_ns + NANOSECONDS // 10, abs=10)
    assert pace.wait("video", NANOSECONDS, 5.0)
    assert clock.now_ns() == pytest.approx(zero_ns + NANOSECONDS, abs=10)
    assert pace.wait("audio", NANOSECONDS // 2, 5.0)  # long past


def test_real_pace_wakes_on_stop() -> None:
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    given: list[bool] = []
    thread = threading.Thread(target=lambda: given.append(pace.wait("video", 3600 * NANOSECONDS, 3600)))
    thread.start()
    stop.set()
    thread.join(60)
    assert given == [False]


def test_fast_pace_lets_others_go_as_far_as_a_track_reaches() -> None:
    pace = FastPace(("video", "audio"))
    pace.reach("video", NANOSECONDS)
    assert pace.wait("audio", NANOSECONDS, 0.0)
    assert not pace.wait("audio", NANOSECONDS + 1, 0.01)
    assert pace.wait("video", NANOSECONDS // 2, 0.0)
    assert pace.wait("audio", NANOSECONDS, 0.0), "what it delivers later is not farther"
    assert 0 < pace.ahead_ns < NANOSECONDS // 2, "large pictures fill the memory"


@pytest.mark.parametrize("ends", [True, False])
def test_a_track_that_reaches_on_or_ends_wakes_those_who_wait_for_it(*, ends: bool) -> None:
    pace = FastPace(("video", "audio"))
    thread = threading.Thread(target=lambda: pace.wait("audio", NANOSECONDS, 3600))
    thread.start()
    if ends:
        pace.finish("video")
    else:
        pace.reach("video", NANOSECONDS)
    thread.join(60)
    assert not thread.is_alive()


def test_with_real_pace_nothing_is_worth_having_before_its_time() -> None:
    pace = RealPace(SimulatedClock(), threading.Event())
    pace.reach("video", 3600 * NANOSECONDS)
    assert pace.ahead_ns == 0
    assert not pace.wait("audio", NANOSECONDS, 0.01)


def test_a_pace_of_one_track_waits_for_nobody() -> None:
    pace = FastPace(("video",))
    assert all(pace.wait("video", second * NANOSECONDS, 0.0) for second in range(100))
    assert pace.start_ns() == 0


def test_fast_pace_lets_no_track_beyond_the_beginning_before_the_others_have_begun() -> None:
    pace = FastPace(("video", "audio"))
    assert pace.wait("video", 0, 0.0)
    assert not pace.wait("video", 1, 0.0)
    assert pace.wait("audio", 1, 0.0)
    assert pace.wait("video", 1, 0.0)
