"""What those who look beside the recording get, with and without thinning."""

import av
import pytest

from devices.host.clock import NANOSECONDS
from recorder.program.frame_fanout import LOOKED_S, FrameFanout
from tests.support.simulated import SimulatedClock

PICTURE = av.VideoFrame(16, 16, "yuv420p")


class Looker:
    """Wants pictures or does not, and counts those it gets."""

    def __init__(self) -> None:
        self.wants = True
        self.previews: list[str] = []
        self.encoded: list[int] = []

    def offer(self, name: str, picture: av.VideoFrame) -> bool:
        self.previews.append(name)
        return self.wants

    def also(self, picture: av.VideoFrame, pts: int) -> bool:
        self.encoded.append(pts)
        return self.wants


def ignore(*_: object) -> None:
    """Want nothing."""


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


def show(viewers: FrameFanout, clock: SimulatedClock, seconds: int) -> None:
    for number in range(seconds * 10):
        clock.advance_to(clock.now_ns() + NANOSECONDS // 10)
        viewers.offer("podium", PICTURE)
        viewers.offer("program", PICTURE)
        viewers.offer_live(PICTURE, number)


def test_they_get_everything_as_long_as_nothing_is_thinned(clock: SimulatedClock) -> None:
    looker = Looker()
    show(FrameFanout(looker.offer, looker.also, clock, ignore), clock, 3)
    assert looker.previews == ["podium", "program"] * 30
    assert looker.encoded == list(range(30))


def test_thinned_previews_come_once_a_second_each(clock: SimulatedClock) -> None:
    looker = Looker()
    viewers = FrameFanout(looker.offer, looker.also, clock, ignore)
    viewers.thins_previews = True
    show(viewers, clock, 5)
    assert looker.previews == ["podium", "program"] * 5
    assert looker.encoded == list(range(50))


def test_a_preview_that_was_not_wanted_does_not_delay_the_next(clock: SimulatedClock) -> None:
    looker = Looker()
    viewers = FrameFanout(looker.offer, ignore, clock, ignore)
    viewers.thins_previews, looker.wants = True, False
    show(viewers, clock, 1)
    assert len(looker.previews) == 20


def test_a_thinned_encode_gets_every_second_picture(clock: SimulatedClock) -> None:
    looker = Looker()
    viewers = FrameFanout(looker.offer, looker.also, clock, ignore)
    viewers.thins_encode = True
    show(viewers, clock, 1)
    assert looker.encoded == [1, 3, 5, 7, 9]
    viewers.thins_encode = False
    show(viewers, clock, 1)
    assert looker.encoded[5:] == list(range(10))


def test_it_is_known_whether_anybody_looks(clock: SimulatedClock) -> None:
    looker = Looker()
    viewers = FrameFanout(looker.offer, looker.also, clock, ignore)
    found = [viewers.are_watching]
    looker.wants = False
    show(viewers, clock, 1)
    found.append(viewers.are_watching)
    looker.wants = True
    viewers.offer_live(PICTURE, 0)
    found.append(viewers.are_watching)
    looker.wants = False
    show(viewers, clock, round(LOOKED_S) + 1)
    found.append(viewers.are_watching)
    looker.wants = True
    viewers.offer("podium", PICTURE)
    found.append(viewers.are_watching)
    assert found == [False, False, True, False, True]


def test_somebody_looks_for_two_seconds_after_a_picture_was_wanted_to_the_nanosecond(clock: SimulatedClock) -> None:
    viewers = FrameFanout(Looker().offer, ignore, clock, ignore)
    viewers.offer("podium", PICTURE)
    wanted_ns = clock.now_ns()
    clock.advance_to(wanted_ns + 2 * NANOSECONDS)
    found = [viewers.are_watching]
    clock.advance_to(wanted_ns + 2 * NANOSECONDS + 1)
    assert [*found, viewers.are_watching] == [True, False]


def test_the_first_preview_comes_at_once_and_the_next_one_on_the_second() -> None:
    clock, looker = SimulatedClock(0), Looker()
    viewers = FrameFanout(looker.offer, ignore, clock, ignore)
    viewers.thins_previews = True
    for at_ns, so_far in (
        (0, 1),
        (NANOSECONDS - 1, 1),
        (NANOSECONDS, 2),
        (2 * NANOSECONDS - 1, 2),
        (2 * NANOSECONDS, 3),
    ):
        clock.advance_to(at_ns)
        viewers.offer("podium", PICTURE)
        assert len(looker.previews) == so_far
