"""The program's picture on a clock that moves when told."""

from fractions import Fraction
from itertools import pairwise

import pytest

from capture.source import Frame
from devices.host.clock import NANOSECONDS
from recorder.model.packet import Track
from tests.support.scenes import GRID, THIRTY, Script, camera, nominal, run, switch_after_two_seconds
from tests.support.tracks import Rig, in_time


@pytest.mark.parametrize(("rate", "frames"), [(30, 1800), (25, 1500), (Fraction(30000, 1001), 1798), (15, 900)])
def test_a_minute_is_a_minute_of_frames(rate: Fraction, frames: int) -> None:
    rig = Rig()
    rig.timeline.end_at(60 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 61, Fraction(rate)), rate=Fraction(rate))
    assert rig.encoder.numbers == list(range(frames))
    assert rig.encoder.times_s == pytest.approx(nominal(frames, Fraction(rate)), abs=GRID)
    assert (counts.frames, counts.repeated, counts.late, counts.damaged) == (frames, 0, 0, 0)
    assert rig.events == []


def test_frames_keep_the_times_that_the_kernel_gave_them() -> None:
    rig = Rig()
    jittered = [number / 30 + (0.007 if number % 3 else -0.004) for number in range(1, 90)]
    script = [(rig.at(0.01), rig.frame(0, 0))]
    script += [(rig.at(at + 0.02), rig.frame(at, number)) for number, at in enumerate(jittered, 1)]
    rig.timeline.end_at(3 * NANOSECONDS)
    counts = run(rig, script)
    assert rig.encoder.times_s == pytest.approx([0.0, *jittered], abs=GRID)
    assert (counts.frames, counts.repeated) == (90, 0)


def test_frames_that_come_late_but_in_order_are_not_retimed() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    script = camera(rig, 0, 3)
    held_up = [(max(arrives_ns, rig.at(1.25)) if frame.timestamp_ns >= rig.at(1.0) else arrives_ns, frame)
               for arrives_ns, frame in script]  # fmt: skip
    counts = run(rig, held_up)
    assert rig.encoder.times_s == pytest.approx(nominal(90), abs=GRID)
    assert (counts.repeated, counts.late) == (0, 0)


def test_a_slow_camera_is_not_filled_up() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 3.2, Fraction(5)), rate=Fraction(5))
    assert (counts.frames, counts.repeated) == (15, 0)


@pytest.mark.parametrize(
    ("source", "program", "kept"),
    [
        (60, 30, 300),
        (50, 25, 250),
        (50, 30, 300),
        (30, 25, 250),
        (60, 50, 500),
        (30, 15, 150),
        (Fraction(303, 10), 30, 303),
    ],
)
def test_a_faster_source_is_thinned_to_the_profile(source: int | Fraction, program: int, kept: int) -> None:
    rig = Rig()
    rig.timeline.end_at(10 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 10.1, Fraction(source)), rate=Fraction(program), source_rate=Fraction(source))
    assert counts.frames == pytest.approx(kept, abs=1)
    assert (counts.late, counts.repeated) == (0, 0)
    steps = [after - before for before, after in zip(rig.encoder.times_s, rig.encoder.times_s[1:], strict=False)]
    assert max(steps) < 1 / program + 1 / source


def test_thinning_bears_the_jitter_of_a_camera() -> None:
    rig = Rig()
    rig.timeline.end_at(10 * NANOSECONDS)
    script = camera(rig, 0, 10.1, Fraction(60))
    moved = [(at, Frame(frame.timestamp_ns + (number % 7 - 3) * 1_000_000, frame.payload) if number else frame)
             for number, (at, frame) in enumerate(script)]  # fmt: skip
    counts = run(rig, moved, rate=THIRTY, source_rate=Fraction(60))
    assert counts.frames == pytest.approx(300, abs=1)


def test_thinning_goes_on_after_a_stall() -> None:
    rig = Rig()
    rig.timeline.end_at(10 * NANOSECONDS)
    sixty = Fraction(60)
    counts = run(rig, camera(rig, 0, 3, sixty) + camera(rig, 7, 11, sixty), rate=THIRTY, source_rate=sixty)
    assert counts.frames == pytest.approx(300, abs=2)
    assert counts.repeated == pytest.approx(120, abs=2)


def test_two_frames_of_one_moment_are_one_too_many() -> None:
    rig = Rig()
    rig.timeline.end_at(1 * NANOSECONDS)
    twice = [(rig.at(0.5), rig.frame(0.4667, 99))]
    counts = run(rig, camera(rig, 0, 1) + twice)
    assert counts.late == 1
    assert 99 not in rig.encoder.numbers


def test_stopped_in_the_middle_it_ends_there() -> None:
    rig = Rig()
    script = camera(rig, 0, 10)

    def stop(at_s: float) -> None:
        if at_s > 4.29:
            rig.timeline.end_at(int(4.321 * NANOSECONDS))

    rig.encoder.on_picture = stop
    counts = run(rig, script)
    assert counts.frames == 130
    assert counts.repeated == 0
    assert rig.clock.now_ns() < rig.at(4.45)


def test_a_file_ends_the_session_with_its_last_frame() -> None:
    rig = Rig(live=False, tracks=(Track.VIDEO,), ending=(Track.VIDEO,))
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (150, 0)
    assert rig.timeline.end_ns == pytest.approx(5 * NANOSECONDS, abs=100)


def test_a_file_that_is_shorter_than_the_sound_shows_its_last_picture_to_the_end() -> None:
    rig = Rig(live=False, ending=(Track.VIDEO, Track.AUDIO))
    rig.timeline.advance(Track.AUDIO, 8 * NANOSECONDS)
    rig.released = lambda track: rig.timeline.source_ended(Track.AUDIO) if track == "video" else None
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (240, 90)
    assert rig.encoder.times_s == pytest.approx(nominal(240), abs=GRID)


def test_a_file_is_cut_where_the_session_ends() -> None:
    rig = Rig(live=False, tracks=(Track.VIDEO,), ending=(Track.VIDEO,))
    rig.timeline.end_at(2 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (60, 0)


def test_a_paced_file_that_is_over_is_repeated_with_the_clock_while_the_sound_goes_on() -> None:
    rig = Rig(ending=(Track.VIDEO, Track.AUDIO))
    rig.timeline.end_at(7 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (210, 60)
    assert rig.events == []


def late(script: Script, delay_s: float) -> Script:
    """Return `script` as a device gives it whose pictures are so long on their way."""
    return [(frame.timestamp_ns + round(delay_s * NANOSECONDS), frame) for _, frame in script]


@pytest.mark.parametrize(("before_s", "after_s"), [(0.03, 0.13), (0.13, 0.03), (0.03, 0.28)])
def test_pictures_that_a_new_driver_has_on_their_way_are_not_missing(before_s: float, after_s: float) -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    (_, first), *rest = late(camera(rig, 0, 4.5), before_s)
    numbered_apart = [(at, Frame(frame.timestamp_ns, (1000 + number).to_bytes(4)))
                      for number, (at, frame) in enumerate(late(camera(rig, 0, 4.5), after_s))]  # fmt: skip
    one = rig.video(rest, rate=THIRTY, name="webcam")
    other = rig.video(numbered_apart, rate=THIRTY, name="card")
    track = rig.track(one, other, rate=THIRTY)
    switch_after_two_seconds(rig)
    in_time(lambda: track.run((one, first)))
    assert track.counts.late == 0
    assert rig.events == []
    assert rig.encoder.times_s == pytest.approx(nominal(120), abs=1 / 30)
    assert rig.encoder.numbers[-50:] == list(range(1070, 1120))
    steps = [after - before for before, after in pairwise(rig.encoder.times_s)]
    assert max(steps) < 1.6 / 30


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
