"""The program's picture on a clock that moves when told."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest

from capture.source import Frame
from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import STILL_RATE
from recorder.model.packet import Track
from recorder.program.video_track import SETTLING_FRAMES, FrameCounts, StaticFrameSkipper
from tests.support.scenes import GRID, THIRTY, Script, camera, nominal, run, switch_after_two_seconds
from tests.support.tracks import DAMAGED, SLATE, Rig, StillCamera, in_time


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


STILL_S = float(1 / STILL_RATE)


def slides(rig: Rig, last_s: float, *changes_s: float, rate: Fraction = THIRTY, jitter_s: float = 0.0) -> Script:
    """Return what a capture card gives: the slide number is how many of `changes_s` have passed."""
    script = []
    for number in range(round(last_s * rate)):
        at_s = float(number / rate) + (jitter_s if number % 2 else 0.0)
        script.append((rig.at(at_s + 0.01), rig.frame(at_s, sum(at_s >= change for change in changes_s))))
    return script


def run_still(rig: Rig, script: Script, end_s: float, *, rate: Fraction = THIRTY) -> FrameCounts:
    (_, first), *rest = script
    shown = rig.video(rest, rate=rate, camera=StillCamera())
    track = rig.track(shown, rate=rate, stillness=StaticFrameSkipper())
    rig.timeline.end_at(round(end_s * NANOSECONDS))
    in_time(lambda: track.run((shown, first)))
    return track.counts


def test_what_stands_still_is_encoded_five_times_a_second_and_at_its_end() -> None:
    rig = Rig()
    counts = run_still(rig, slides(rig, 5.1), 5.0)
    times = rig.encoder.times_s
    assert times[: SETTLING_FRAMES + 1] == pytest.approx([0, 1 / 30, 2 / 30], abs=GRID)
    steps = [after - before for before, after in pairwise(times[SETTLING_FRAMES:])]
    assert steps[:-1] == pytest.approx([STILL_S] * (len(steps) - 1), abs=GRID)
    # The last of the 150 pictures is there, so that what stands still is shown up to the end.
    assert times[-1] == pytest.approx(149 / 30, abs=GRID)
    assert counts.frames == len(times)
    assert counts.frames + counts.still == 150
    assert (counts.repeated, counts.late, rig.events) == (0, 0, [])
    assert rig.timeline.position_ns() == 0  # sound has given nothing
    assert rig.timeline.media_position_ns() == 0


@pytest.mark.parametrize("jitter_s", [0.0, 0.004])
def test_whatever_changes_is_encoded_at_its_own_time(jitter_s: float) -> None:
    rig = Rig()
    changes = (1.1, 1.2, 1.25, 2.999, 4.5)
    script = slides(rig, 6.1, *changes, jitter_s=jitter_s)
    counts = run_still(rig, script, 6.0)
    given = [(round((frame.timestamp_ns - rig.zero_ns) / NANOSECONDS, 4), frame.payload) for _, frame in script]
    new = [at_s for (_, before), (at_s, after) in pairwise(given) if before != after]
    assert len(new) == len(changes)
    encoded = dict(zip((round(at_s, 4) for at_s in rig.encoder.times_s), rig.encoder.numbers, strict=True))
    assert [encoded[at_s] for at_s in new] == [1, 2, 3, 4, 5]
    # At each moment the picture that is shown is the one that the source gave last.
    for at_s, payload in given[:-3]:
        newest = max(moment for moment in encoded if moment <= at_s + 1e-4)
        assert encoded[newest].to_bytes(4) == payload
    assert max(after - before for before, after in pairwise(sorted(encoded))) <= STILL_S + 0.5 / 30
    assert counts.frames + counts.still == 180


def test_a_source_that_never_repeats_is_encoded_as_ever() -> None:
    rig = Rig()
    script = [(rig.at(number / 30 + 0.01), rig.frame(number / 30, number)) for number in range(95)]
    counts = run_still(rig, script, 3.0)
    assert rig.encoder.numbers == list(range(90))
    assert (counts.frames, counts.still) == (90, 0)


def test_a_keyframe_comes_when_it_is_due() -> None:
    rig = Rig()
    rig.encoder.keyframes = [Fraction(0), Fraction(13, 10), Fraction(26, 10)]
    run_still(rig, slides(rig, 4.1), 4.0)
    assert {round(at_s, 3) for at_s in rig.encoder.times_s} >= {1.3, 2.6}


def test_a_slow_source_is_encoded_as_ever() -> None:
    rig = Rig()
    five = Fraction(5)
    counts = run_still(rig, slides(rig, 6.1, rate=five), 6.0, rate=five)
    assert (counts.frames, counts.still) == (30, 0)


def test_what_is_repeated_for_want_of_a_picture_stands_still_too_and_the_slate_is_new() -> None:
    rig = Rig()
    before, after = slides(rig, 1.0), [item for item in slides(rig, 5.1, 3.0) if item[0] > rig.at(3.0)]
    counts = run_still(rig, before + after, 5.0)
    slate_from = rig.encoder.numbers.index(SLATE)
    times = rig.encoder.times_s
    of_slate = [at_s for at_s, number in zip(times, rig.encoder.numbers, strict=True) if number == SLATE]
    steps = [later - earlier for earlier, later in pairwise(of_slate)]
    assert steps[SETTLING_FRAMES:] == pytest.approx([STILL_S] * (len(steps) - SETTLING_FRAMES), abs=GRID)
    assert times[slate_from] - times[slate_from - 1] <= STILL_S
    # Only those that are in the file count as repeated.
    in_the_gap = [at_s for at_s in times if 1.0 - GRID <= at_s < 3.0 - GRID]
    assert counts.repeated == len(in_the_gap)
    assert counts.frames + counts.still == 150
    first_back = next(at_s for at_s, number in zip(times, rig.encoder.numbers, strict=True) if number == 1)
    assert first_back == pytest.approx(3.0, abs=GRID)
    assert rig.events == [("source-silent", "podium"), ("source-missing", "podium"), ("source-returned", "podium")]


def test_a_damaged_picture_changes_nothing() -> None:
    rig = Rig()
    script = slides(rig, 3.1)
    at_ns, frame = script[45]
    script[45] = at_ns, rig.frame((frame.timestamp_ns - rig.zero_ns) / NANOSECONDS, 0, DAMAGED)
    counts = run_still(rig, script, 3.0)
    assert 1.5 not in [round(at_s, 3) for at_s in rig.encoder.times_s]
    assert counts.frames + counts.still == 90


def test_a_card_and_another_layout_are_new_at_once() -> None:
    rig = Rig()
    rig.encoder.unnumbered = 77
    (_, first), *rest = slides(rig, 6.1)
    shown = rig.video(rest, rate=THIRTY, camera=StillCamera())
    given: list[int] = []

    def watch(_picture: av.VideoFrame, pts: int) -> None:
        given.append(pts)
        if pts == 90_000:
            rig.scene.switch("pause")
        if pts == 3 * 90_000:
            rig.scene.switch("single")

    track = rig.track(shown, rate=THIRTY, stillness=StaticFrameSkipper(), also=watch)
    rig.timeline.end_at(6 * NANOSECONDS)
    in_time(lambda: track.run((shown, first)))
    cards = [at for at, number in zip(rig.encoder.times_s, rig.encoder.numbers, strict=True) if number == 77]
    assert cards[0] == pytest.approx(1 + 1 / 30, abs=GRID)
    back = next(
        at for at, number in zip(rig.encoder.times_s, rig.encoder.numbers, strict=True) if at > cards[0] and not number
    )
    assert back == pytest.approx(3 + 1 / 30, abs=GRID)
    # Who gets the program's pictures beside the encoder, such as a live encode of its own, gets all of them.
    assert given == [number * 3000 for number in range(180)]


def test_which_pictures_are_wanted_of_what_stands_still() -> None:
    stillness = StaticFrameSkipper()
    interval_ns = NANOSECONDS // 20
    wanted = [
        number
        for number in range(40)
        if stillness.wants(number >= 21, number * interval_ns, interval_ns, is_due=number == 15)
    ]
    assert wanted == [0, 1, 2, 6, 10, 14, 15, 19, 21, 22, 23, 27, 31, 35, 39]


def test_one_is_wanted_a_little_too_early_sooner_than_too_late() -> None:
    for interval_ms, first_ms in ((60, 180), (80, 160), (90, 180), (150, 150), (250, 250)):
        stillness = StaticFrameSkipper()
        for _ in range(SETTLING_FRAMES + 1):
            assert stillness.wants(1, 0, interval_ms * 1_000_000, is_due=False)
        at_ms = interval_ms
        while not stillness.wants(1, at_ms * 1_000_000, interval_ms * 1_000_000, is_due=False):
            at_ms += interval_ms
        assert at_ms == first_ms
