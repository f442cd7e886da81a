"""The program's picture on a clock that moves when told."""

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import pytest

from capture.source import Frame, Matrix, VideoFormat
from devices.clock import NANOSECONDS
from recorder.overload.relief import Relief
from recorder.packet import Track
from recorder.video_input import SILENT_S
from recorder.video_track import PATIENCE_S
from tests.support.tracks import BREAKS, DAMAGED, SLATE, Camera, Rig, in_time

THIRTY = Fraction(30)
GRID = 2e-5
"""Seconds: the encoder counts 90000ths."""

type Script = list[tuple[int, Frame]]
"""When each frame arrives on the session clock, and the frame."""


class Counted(NamedTuple):
    frames: int
    repeated: int
    late: int
    damaged: int


def camera(rig: Rig, first_s: float, last_s: float, rate: Fraction = THIRTY) -> Script:
    """Return what a camera gives in a span of media time: its frames are numbered from media time 0 on."""
    numbers = range(round(first_s * rate), round(last_s * rate))
    return [(rig.at(number / rate + Fraction(1, 100)), rig.frame(number / rate, number)) for number in numbers]


def run(
    rig: Rig,
    script: Script,
    *,
    rate: Fraction = THIRTY,
    source_rate: Fraction | None = None,
    ends: bool = False,
    lost: bool = False,
) -> Counted:
    (_, first), *rest = script
    shown = rig.video(rest, rate=rate, source_rate=source_rate, ends=ends, lost=lost)
    track = rig.track(shown, rate=rate)
    in_time(lambda: track.run((shown, first)))
    assert rig.encoder.flushed == [Track.VIDEO]
    return Counted(track.counts.frames, track.counts.repeated, track.counts.late, shown.counts.damaged)


def nominal(count: int, rate: Fraction = THIRTY) -> list[float]:
    return [float(number / rate) for number in range(count)]


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


def test_a_stalled_source_is_repeated_at_its_rate_and_what_comes_too_late_is_counted() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    before, stalled, after = camera(rig, 0, 1), camera(rig, 1, 2), camera(rig, 2, 4)
    # What was captured from 1 s to 2 s comes in one heap at 2.005 s.
    counts = run(rig, before + [(rig.at(2.005), frame) for _, frame in stalled] + after)
    # At 2.005 s the moments up to 1.7 s have been filled; what was captured after that still finds its place.
    slate_from = rig.encoder.numbers.index(SLATE)
    assert rig.encoder.numbers == [*range(30), *[29] * (slate_from - 30), *[SLATE] * (52 - slate_from), *range(52, 120)]
    assert slate_from / 30 - 1 == pytest.approx(SILENT_S - PATIENCE_S, abs=0.05)
    assert rig.encoder.times_s == pytest.approx(nominal(120), abs=GRID)
    assert (counts.frames, counts.repeated, counts.late) == (120, 22, 22)
    assert rig.events == [
        ("source-silent", "podium"),
        ("source-missing", "podium"),
        ("source-returned", "podium"),
    ]


def test_a_short_stall_is_bridged_with_the_last_picture_and_no_slate() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 1) + camera(rig, 1.6, 4))
    assert rig.encoder.numbers == [*range(30), *[29] * 18, *range(48, 120)]
    assert counts.repeated == 18
    assert rig.events == [("source-silent", "podium"), ("source-returned", "podium")]


def test_a_hiccup_that_is_shorter_than_our_patience_leaves_no_hole() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 1) + camera(rig, 1.2, 3))
    assert rig.encoder.numbers == [*range(30), *[29] * 6, *range(36, 90)]
    assert rig.encoder.times_s == pytest.approx(nominal(90), abs=GRID)
    assert counts.repeated == 6
    assert rig.events == []


def test_a_single_missing_picture_is_left_as_it_is() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    script = camera(rig, 0, 3)
    del script[40]
    counts = run(rig, script)
    assert rig.encoder.numbers == [*range(40), *range(41, 90)]
    assert counts.repeated == 0


def test_a_slow_source_has_five_intervals_before_it_counts_as_missing() -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    slow = Fraction(5)
    run(rig, camera(rig, 0, 2, slow) + camera(rig, 2.8, 6, slow), rate=slow)
    assert SLATE not in rig.encoder.numbers


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.05, 0.25])
def test_a_source_that_gives_again_is_shown_however_long_its_pictures_are_on_their_way(delay_s: float) -> None:
    rig = Rig()
    rig.timeline.end_at(9 * NANOSECONDS)
    given = camera(rig, 0, 2) + camera(rig, 5, 9.5)
    counts = run(rig, [(frame.timestamp_ns + round(delay_s * NANOSECONDS), frame) for _, frame in given])
    shown = rig.encoder.numbers
    slate_from, slate_to = shown.index(SLATE), len(shown) - shown[::-1].index(SLATE)
    assert shown == [*range(60), *[59] * (slate_from - 60), *[SLATE] * (slate_to - slate_from), *range(150, 270)]
    assert slate_to == 150
    assert slate_from / 30 - 2 == pytest.approx(SILENT_S - PATIENCE_S + delay_s, abs=0.06)
    assert (counts.repeated, counts.late) == (90, 0)


def test_a_repeated_picture_comes_after_patience_and_stays_as_far_behind() -> None:
    rig = Rig()
    at: list[float] = []
    rig.encoder.on_picture = lambda _: at.append((rig.clock.now_ns() - rig.zero_ns) / NANOSECONDS)
    rig.timeline.end_at(3 * NANOSECONDS)
    run(rig, camera(rig, 0, 1))
    assert max(at[:30]) <= 1.0
    behind = [now - moment for now, moment in zip(at[30:], rig.encoder.times_s[30:], strict=True)]
    assert behind == pytest.approx([PATIENCE_S] * 60, abs=0.002)


def test_a_lost_camera_is_a_slate_to_the_end() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    counts = run(rig, camera(rig, 0, 1), lost=True)
    assert rig.encoder.numbers == [*range(30), *[SLATE] * 60]
    assert rig.encoder.times_s == pytest.approx(nominal(90), abs=GRID)
    assert counts.repeated == 60
    assert rig.events == [("source-missing", "podium")]  # that it was lost, the reader has said


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


@pytest.mark.parametrize("damage", [DAMAGED, BREAKS])
def test_a_damaged_picture_is_the_one_before_it_and_is_told_without_a_flood(damage: bytes) -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    script = [
        (at, Frame(frame.timestamp_ns, damage) if 30 <= number < 40 else frame)
        for number, (at, frame) in enumerate(camera(rig, 0, 3))
    ]
    counts = run(rig, script)
    assert rig.encoder.numbers == [*range(30), *[29] * 10, *range(40, 90)]
    assert rig.encoder.times_s == pytest.approx(nominal(90), abs=GRID)
    assert (counts.damaged, counts.repeated) == (10, 0)
    assert rig.events == [("picture-damaged", "podium")] * 4  # the 1st, 2nd, 4th and 8th


def test_a_source_that_begins_with_damaged_pictures_shows_its_first_good_one() -> None:
    rig = Rig()
    rig.timeline.end_at(1 * NANOSECONDS)
    script = [(at, Frame(frame.timestamp_ns, DAMAGED) if number < 3 else frame)
              for number, (at, frame) in enumerate(camera(rig, 0, 1))]  # fmt: skip
    run(rig, script)
    assert rig.encoder.numbers == list(range(3, 30))


def test_a_source_without_one_good_picture_is_a_slate_once_it_is_silent() -> None:
    rig = Rig()
    rig.timeline.end_at(1 * NANOSECONDS)
    counts = run(rig, [(rig.at(0.01), Frame(rig.at(0), DAMAGED))])
    assert set(rig.encoder.numbers) == {SLATE}
    assert (counts.frames, counts.damaged) == (len(rig.encoder.numbers), 1)


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


def switch_after_two_seconds(rig: Rig) -> None:
    """Show layout 1, and from 2 s on layout 2."""
    rig.scene.switch("1")

    def switch(at_s: float) -> None:
        if 2 < at_s < 2.04:
            rig.scene.switch("2")

    rig.encoder.on_picture = switch


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


class Returning(Camera):
    """A camera that is kept (capture/kept.py), and says what it gives since it was opened last."""

    absence = None

    def __init__(self, rate: int) -> None:
        self.form: VideoFormat | None = None
        self._rate = rate

    def returned(self) -> None:
        self.form = VideoFormat(16, 16, Fraction(self._rate), Matrix.BT601)


@pytest.mark.parametrize(("rate", "frames"), [(60, 120), (2, 8)])
def test_what_returns_at_another_rate_is_taken_at_that(rate: int, frames: int) -> None:
    rig = Rig()
    rig.timeline.end_at(5 * NANOSECONDS)
    source = Returning(rate)
    (_, first), *script = camera(rig, 0, 1) + camera(rig, 1, 6, Fraction(rate))
    shown = rig.video(script, rate=THIRTY, camera=source)
    track = rig.track(shown, rate=THIRTY)

    def opened_again(at_s: float) -> None:
        if at_s > 0.9 and source.form is None:
            source.returned()

    rig.encoder.on_picture = opened_again
    in_time(lambda: track.run((shown, first)))
    fresh = track.counts.frames - track.counts.repeated
    assert fresh == pytest.approx(30 + frames, abs=2)
    assert [kind for kind, _ in rig.events if kind == "source-missing"] == []
    assert len(rig.events) <= 2  # the first hole of the slow one may be told, the others are how it is


@pytest.mark.parametrize("again_s", [3.0, 4.1])
def test_a_pc_that_stood_still_does_not_take_its_cameras_for_missing(again_s: float) -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    (_, first), *script = camera(rig, 0, 1) + camera(rig, again_s, 6.5)
    other = camera(rig, 0, 1) + camera(rig, again_s, 6.5)
    one, two = rig.video(script, rate=THIRTY, name="podium"), rig.video(other, rate=THIRTY, name="hall")
    track = rig.track(one, two, rate=THIRTY)

    def stand_still(at_s: float) -> None:
        if 0.95 < at_s < 1 and rig.clock.now_ns() < rig.at(2):
            rig.clock.advance_to(rig.at(4))
        elif 1 < at_s < 3.5:  # it takes a while to make up for what was missed
            rig.clock.advance_to(rig.clock.now_ns() + NANOSECONDS // 50)

    rig.encoder.on_picture = stand_still
    in_time(lambda: track.run((one, first)))
    assert SLATE not in rig.encoder.numbers
    assert "source-missing" not in [kind for kind, _ in rig.events]
    assert rig.encoder.times_s == pytest.approx(nominal(180), abs=1 / 30)


def test_a_source_whose_every_picture_is_damaged_is_a_slate_and_its_moments_pass() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    damaged = [(at, Frame(frame.timestamp_ns, DAMAGED)) for at, frame in camera(rig, 0, 4.5)]
    run(rig, damaged)
    assert set(rig.encoder.numbers) == {SLATE}
    assert rig.encoder.times_s[0] == pytest.approx(SILENT_S, abs=0.05)
    assert rig.encoder.times_s == pytest.approx(
        [rig.encoder.times_s[0] + at for at in nominal(len(rig.encoder.numbers))], abs=1 / 30
    )
    told = [kind for kind, _ in rig.events if kind != "picture-damaged"]
    assert told == ["source-silent", "source-missing"]


def test_a_layout_of_a_source_that_never_gave_a_picture_is_a_slate_at_once() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 4.5)
    damaged = [(at, Frame(frame.timestamp_ns, DAMAGED)) for at, frame in camera(rig, 0, 4.5)]
    one, other = rig.video(rest, rate=THIRTY, name="webcam"), rig.video(damaged, rate=THIRTY, name="card")
    track = rig.track(one, other, rate=THIRTY)
    switch_after_two_seconds(rig)
    in_time(lambda: track.run((one, first)))
    assert set(rig.encoder.numbers[:60]) == set(range(60))
    assert set(rig.encoder.numbers[62:]) == {SLATE}
    assert rig.encoder.times_s == pytest.approx(nominal(120), abs=1 / 30)


class Halving(Relief):
    """Lowers the rate in a span of media time; takes note of what it is told."""

    def __init__(self, rig: Rig, from_s: float, to_s: float) -> None:
        self.told: list[tuple[int, float]] = []
        self.looked_ns = 0
        self._rig = rig
        self._span = rig.at(from_s), rig.at(to_s)

    @property
    def spacing(self) -> int:
        return 2 if self._span[0] <= self._rig.clock.now_ns() < self._span[1] else 1

    def look(self, waited_ns: int, filled: float) -> None:
        self.told.append((waited_ns, filled))
        self.looked_ns = self._rig.clock.now_ns()


@pytest.mark.parametrize("back_at", [120, 121])
def test_a_lower_rate_leaves_every_second_picture_out_and_moves_none(back_at: int) -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 6.1)
    shown = rig.video(rest, rate=THIRTY)
    track = rig.track(shown, rate=THIRTY, relief=Halving(rig, 2, back_at / 30))
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
    track = rig.track(shown, rate=THIRTY, relief=Halving(rig, 1, 9))
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
    relief = Halving(rig, 9, 9)
    track = rig.track(shown, rate=THIRTY, relief=relief)
    in_time(lambda: track.run((shown, first)))
    assert rig.at(0.85) < relief.looked_ns < rig.at(1.0)
    assert rig.clock.now_ns() > rig.at(1.0)


def test_it_is_looked_at_how_long_pictures_are_waited_for_and_how_many_wait() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    (_, first), *rest = camera(rig, 0, 3)
    held_up = [(max(arrives_ns, rig.at(2.0)) if frame.timestamp_ns >= rig.at(1.5) else arrives_ns, frame)
               for arrives_ns, frame in rest]  # fmt: skip
    shown = rig.video(held_up, rate=THIRTY)
    relief = Halving(rig, 9, 9)
    track = rig.track(shown, rate=THIRTY, relief=relief)
    in_time(lambda: track.run((shown, first)))
    assert {filled for _, filled in relief.told[:40]} == {0.0}
    assert sum(waited_ns for waited_ns, _ in relief.told[:45]) == pytest.approx(1.5 * NANOSECONDS, rel=0.1)
    assert max(filled for _, filled in relief.told) == pytest.approx(0.5, abs=0.1)
