"""The program at a lower rate, and what is told of how much there is to do."""

from itertools import pairwise

import pytest

from devices.host.clock import NANOSECONDS
from tests.support.footage import GRID, THIRTY, camera
from tests.support.tracks import Rig, in_time


class Halving:
    """Lowers the rate in a span of media time; takes note of what it is told."""

    def __init__(self, rig: Rig, from_s: float, to_s: float) -> None:
        self.told: list[tuple[int, float]] = []
        self.looked_ns = 0
        self._rig = rig
        self._span = rig.at(from_s), rig.at(to_s)

    def __call__(self, waited_ns: int, filled: float) -> int:
        self.told.append((waited_ns, filled))
        self.looked_ns = now_ns = self._rig.clock.now_ns()
        return 2 if self._span[0] <= now_ns < self._span[1] else 1


@pytest.mark.parametrize("back_at", [120, 121])
def test_a_lower_rate_leaves_every_second_picture_out_and_moves_none(back_at: int) -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 6.1)
    shown = rig.video(rest, rate=THIRTY)
    track = rig.track(shown, rate=THIRTY, spacing=Halving(rig, 2, back_at / 30))
    in_time(lambda: track.run((shown, first)))
    numbers = rig.encoder.numbers
    assert rig.encoder.times_s == pytest.approx([number / 30 for number in numbers], abs=GRID)
    assert numbers[:60] == list(range(60))
    halved = [number for number in numbers if 64 <= number < 118]
    assert {after - before for before, after in pairwise(halved)} == {2}
    assert numbers[back_at - 180 :] == list(range(back_at, 180))
    counts = track.counts
    assert (counts.frames, counts.repeated, counts.late) == (len(numbers), 0, 0)
    assert counts.frames + counts.left_out == 180
    assert rig.events == []


def test_a_source_that_falls_silent_is_repeated_at_the_lower_rate() -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 3)
    shown = rig.video(rest, rate=THIRTY)
    track = rig.track(shown, rate=THIRTY, spacing=Halving(rig, 1, 9))
    in_time(lambda: track.run((shown, first)))
    assert track.counts.repeated == pytest.approx(45, abs=2)
    assert max(after - before for before, after in pairwise(rig.encoder.times_s)) < 0.1


def test_what_is_left_when_the_session_is_over_is_no_load() -> None:
    rig = Rig()
    rig.timeline.end_at(1 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 2)
    held_up = [(max(arrives_ns, rig.at(2.0)) if frame.timestamp_ns >= rig.at(0.9) else arrives_ns, frame)
               for arrives_ns, frame in rest]  # fmt: skip
    shown = rig.video(held_up, rate=THIRTY)
    halving = Halving(rig, 9, 9)
    track = rig.track(shown, rate=THIRTY, spacing=halving)
    in_time(lambda: track.run((shown, first)))
    assert rig.at(0.85) < halving.looked_ns < rig.at(1.0)
    assert rig.clock.now_ns() > rig.at(1.0)


def test_it_is_looked_at_how_long_pictures_are_waited_for_and_how_many_wait() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 3)
    held_up = [(max(arrives_ns, rig.at(2.0)) if frame.timestamp_ns >= rig.at(1.5) else arrives_ns, frame)
               for arrives_ns, frame in rest]  # fmt: skip
    shown = rig.video(held_up, rate=THIRTY)
    halving = Halving(rig, 9, 9)
    track = rig.track(shown, rate=THIRTY, spacing=halving)
    in_time(lambda: track.run((shown, first)))
    assert {filled for _, filled in halving.told[:40]} == {0.0}
    assert sum(waited_ns for waited_ns, _ in halving.told[:45]) == pytest.approx(1.5 * NANOSECONDS, rel=0.1)
    assert max(filled for _, filled in halving.told) == pytest.approx(0.5, abs=0.1)
