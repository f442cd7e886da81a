"""Who gets which pictures, and until when somebody looks."""

import av

from devices.clock import NANOSECONDS
from recorder.overload.viewers import LOOKED_S, PREVIEW_EVERY_S, Viewers
from tests.support.simulated import SimulatedClock

PICTURE = av.VideoFrame(16, 16, "yuv420p")


def at(clock: SimulatedClock, seconds: float, later_ns: int = 0) -> None:
    clock.advance_to(round(seconds * NANOSECONDS) + later_ns)


def test_somebody_looks_for_two_seconds_after_a_picture_was_wanted() -> None:
    clock = SimulatedClock(0)
    viewers = Viewers(lambda *_: True, None, clock)
    assert not viewers.are_there
    viewers.offer("podium", PICTURE)
    assert LOOKED_S == 2.0
    at(clock, 2.0)
    looks = [viewers.are_there]
    at(clock, 2.0, 1)
    assert [*looks, viewers.are_there] == [True, False]


def test_a_picture_that_nobody_wanted_is_no_sign_of_anybody() -> None:
    viewers = Viewers(lambda *_: False, lambda *_: False, SimulatedClock(0))
    viewers.offer("podium", PICTURE)
    viewers.also(PICTURE, 0)
    assert not viewers.are_there


def test_unless_it_is_asked_for_nobody_gets_fewer() -> None:
    offered: list[str] = []
    times: list[int] = []
    viewers = Viewers(lambda name, _: offered.append(name), lambda _, pts: times.append(pts), SimulatedClock(0))
    for pts in range(3):
        viewers.offer("podium", PICTURE)
        viewers.also(PICTURE, pts)
    assert offered == ["podium"] * 3
    assert times == [0, 1, 2]


def test_thinned_previews_of_each_input_come_once_a_second_the_first_at_once() -> None:
    clock = SimulatedClock(0)
    offered: list[tuple[float, str]] = []
    viewers = Viewers(lambda name, _: offered.append((clock.now_ns() / NANOSECONDS, name)) or True, None, clock)  # type: ignore[func-returns-value]
    viewers.thins_previews = True
    assert PREVIEW_EVERY_S == 1.0
    for seconds, later_ns in ((0.0, 0), (0.5, 0), (1.0, -1), (1.0, 0), (1.5, 0), (2.0, 0)):
        at(clock, seconds, later_ns)
        viewers.offer("podium", PICTURE)
        if seconds >= 0.5:
            viewers.offer("slides", PICTURE)
    assert offered == [(0.0, "podium"), (0.5, "slides"), (1.0, "podium"), (1.5, "slides"), (2.0, "podium")]


def test_a_thinned_encode_gets_every_second_picture() -> None:
    times: list[int] = []
    viewers = Viewers(None, lambda _, pts: times.append(pts) or True, SimulatedClock(0))  # type: ignore[func-returns-value]
    viewers.thins_encode = True
    for pts in range(6):
        viewers.also(PICTURE, pts)
    viewers.thins_encode = False
    for pts in range(6, 9):
        viewers.also(PICTURE, pts)
    assert times == [1, 3, 5, 6, 7, 8]
