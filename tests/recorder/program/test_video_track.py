"""The program's picture on a clock that moves when told, also while a source gives nothing, or damaged pictures."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest

from capture.detectors.source_health import SILENT_S
from capture.source import ColorMatrix, Frame, VideoFormat
from capture.sources.worker import OutageKind, SourceOutage
from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import STILL_RATE
from recorder.model.packet import Track
from recorder.program.video_track import PATIENCE_S, SETTLING_FRAMES, StaticFrameSkipper
from tests.support.scenes import GRID, THIRTY, Counted, Script, camera, nominal, run
from tests.support.tracks import BREAKS, DAMAGED, SLATE, Camera, Rig, StillCamera, in_time


def held_up(rig: Rig, script: Script, from_s: float, until_s: float) -> Script:
    """Return `script` as it comes if what is captured from `from_s` on comes no earlier than at `until_s`."""
    return [(max(at, rig.at(until_s)) if frame.timestamp_ns >= rig.at(from_s) else at, frame) for at, frame in script]


@pytest.mark.parametrize(("rate", "frames"), [(THIRTY, 600), (Fraction(30000, 1001), 599)])
def test_twenty_seconds_are_twenty_seconds_of_frames(rate: Fraction, frames: int) -> None:
    rig = Rig(end_s=20)
    counts = run(rig, camera(rig, 0, 21, rate), rate=rate)
    assert rig.encoder.numbers == list(range(frames))
    assert rig.encoder.times_s == pytest.approx(nominal(frames, rate), abs=GRID)
    assert (counts.frames, counts.repeated, counts.late, counts.damaged) == (frames, 0, 0, 0)
    assert rig.events == []


def test_frames_keep_the_times_that_the_kernel_gave_them() -> None:
    rig = Rig(end_s=3)
    jittered = [0.0, *(number / 30 + (0.007 if number % 3 else -0.004) for number in range(1, 90))]
    counts = run(rig, [(rig.at(at + 0.02), rig.frame(at, number)) for number, at in enumerate(jittered)])
    assert rig.encoder.times_s == pytest.approx(jittered, abs=GRID)
    assert (counts.frames, counts.repeated) == (90, 0)


@pytest.mark.parametrize(("source", "kept"), [(60, 300), (50, 300), (Fraction(303, 10), 303)])
def test_a_faster_source_is_thinned_to_the_profile(source: int | Fraction, kept: int) -> None:
    rig = Rig(end_s=10)
    counts = run(rig, camera(rig, 0, 10.1, Fraction(source)), rate=THIRTY, source_rate=Fraction(source))
    assert counts.frames == pytest.approx(kept, abs=1)
    assert (counts.late, counts.repeated) == (0, 0)
    assert max(after - before for before, after in pairwise(rig.encoder.times_s)) < 1 / 30 + 1 / source


def test_thinning_bears_the_jitter_of_a_camera() -> None:
    rig = Rig(end_s=10)
    script = camera(rig, 0, 10.1, Fraction(60))
    moved = [(at, Frame(frame.timestamp_ns + (number % 7 - 3) * 1_000_000, frame.payload) if number else frame)
             for number, (at, frame) in enumerate(script)]  # fmt: skip
    counts = run(rig, moved, rate=THIRTY, source_rate=Fraction(60))
    assert counts.frames == pytest.approx(300, abs=1)


def test_thinning_goes_on_after_a_stall() -> None:
    rig, sixty = Rig(end_s=10), Fraction(60)
    counts = run(rig, camera(rig, 0, 3, sixty) + camera(rig, 7, 11, sixty), rate=THIRTY, source_rate=sixty)
    assert counts.frames == pytest.approx(300, abs=2)
    assert counts.repeated == pytest.approx(120, abs=2)


def test_two_frames_of_one_moment_are_one_too_many() -> None:
    rig = Rig(end_s=1)
    counts = run(rig, [*camera(rig, 0, 1), (rig.at(0.5), rig.frame(0.4667, 99))])
    assert counts.late == 1
    assert 99 not in rig.encoder.numbers


def test_stopped_in_the_middle_it_ends_there() -> None:
    rig = Rig()
    rig.encoder.on_picture = lambda at_s: rig.timeline.end_at(int(4.321 * NANOSECONDS)) if at_s > 4.29 else None
    counts = run(rig, camera(rig, 0, 10))
    assert (counts.frames, counts.repeated) == (130, 0)
    assert rig.clock.now_ns() < rig.at(4.45)


@pytest.mark.parametrize(("end_s", "frames"), [(None, 150), (2, 60)])
def test_a_file_ends_the_session_with_its_last_frame_unless_it_ends_earlier(end_s: int | None, frames: int) -> None:
    rig = Rig(live=False, tracks=(Track.VIDEO,), ending=(Track.VIDEO,), end_s=end_s)
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (frames, 0)
    assert rig.timeline.end_ns == pytest.approx((end_s or 5) * NANOSECONDS, abs=100)


def test_a_file_that_is_shorter_than_the_sound_shows_its_last_picture_to_the_end() -> None:
    rig = Rig(live=False, ending=(Track.VIDEO, Track.AUDIO))
    rig.timeline.advance(Track.AUDIO, 8 * NANOSECONDS)
    rig.released = lambda track: rig.timeline.source_ended(Track.AUDIO) if track == "video" else None
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (240, 90)
    assert rig.encoder.times_s == pytest.approx(nominal(240), abs=GRID)


def test_a_paced_file_that_is_over_is_repeated_with_the_clock_while_the_sound_goes_on() -> None:
    rig = Rig(ending=(Track.VIDEO, Track.AUDIO), end_s=7)
    counts = run(rig, camera(rig, 0, 5), ends=True)
    assert (counts.frames, counts.repeated) == (210, 60)
    assert rig.events == []


@pytest.mark.parametrize(("before_s", "after_s"), [(0.13, 0.03), (0.03, 0.28)])
def test_pictures_that_a_new_driver_has_on_their_way_are_not_missing(before_s: float, after_s: float) -> None:
    rig = Rig(end_s=4)
    webcam, card = (
        [(frame.timestamp_ns + round(delay_s * NANOSECONDS), Frame(frame.timestamp_ns, (first + number).to_bytes(4)))
         for number, (_, frame) in enumerate(camera(rig, 0, 4.5))]
        for first, delay_s in ((0, before_s), (1000, after_s))
    )  # fmt: skip
    one = rig.video(webcam[1:], rate=THIRTY, name="webcam")
    other = rig.video(card, rate=THIRTY, name="card")
    track = rig.track(one, other, rate=THIRTY)
    rig.scene.switch("1")
    rig.encoder.on_picture = lambda at_s: rig.scene.switch("2") if 2 < at_s < 2.04 else None
    in_time(lambda: track.run((one, webcam[0][1])))
    assert track.counts.late == 0
    assert rig.events == []
    assert rig.encoder.times_s == pytest.approx(nominal(120), abs=1 / 30)
    assert rig.encoder.numbers[-50:] == list(range(1070, 1120))
    assert max(after - before for before, after in pairwise(rig.encoder.times_s)) < 1.6 / 30


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
    rig = Rig(end_s=6)
    counts = run(rig, camera(rig, 0, 6.1), spacing=Halving(rig, 2, back_at / 30))
    numbers = rig.encoder.numbers
    assert rig.encoder.times_s == pytest.approx([number / 30 for number in numbers], abs=GRID)
    assert numbers[:60] == list(range(60))
    halved = [number for number in numbers if 64 <= number < 118]
    assert {after - before for before, after in pairwise(halved)} == {2}
    assert numbers[back_at - 180 :] == list(range(back_at, 180))
    assert (counts.frames, counts.repeated, counts.late) == (len(numbers), 0, 0)
    assert counts.frames + counts.left_out == 180
    assert rig.events == []


def test_a_source_that_falls_silent_is_repeated_at_the_lower_rate() -> None:
    rig = Rig(end_s=6)
    counts = run(rig, camera(rig, 0, 3), spacing=Halving(rig, 1, 9))
    assert counts.repeated == pytest.approx(45, abs=2)
    assert max(after - before for before, after in pairwise(rig.encoder.times_s)) < 0.1


def test_what_is_left_when_the_session_is_over_is_no_load() -> None:
    rig = Rig(end_s=1)
    halving = Halving(rig, 9, 9)
    run(rig, held_up(rig, camera(rig, 0, 2), 0.9, 2.0), spacing=halving)
    assert rig.at(0.85) < halving.looked_ns < rig.at(1.0)
    assert rig.clock.now_ns() > rig.at(1.0)


def test_it_is_looked_at_how_long_pictures_are_waited_for_and_how_many_wait() -> None:
    rig = Rig(end_s=3)
    halving = Halving(rig, 9, 9)
    run(rig, held_up(rig, camera(rig, 0, 3), 1.5, 2.0), spacing=halving)
    assert {filled for _, filled in halving.told[:40]} == {0.0}
    assert sum(waited_ns for waited_ns, _ in halving.told[:45]) == pytest.approx(1.5 * NANOSECONDS, rel=0.1)
    assert max(filled for _, filled in halving.told) == pytest.approx(0.5, abs=0.1)


STILL_S = float(1 / STILL_RATE)


def run_still(rig: Rig, script: Script) -> Counted:
    return run(rig, script, source=StillCamera(), stillness=StaticFrameSkipper())


def slides(rig: Rig, last_s: float, change_s: float = 99.0) -> Script:
    """Return what a capture card gives: slide 0, and from `change_s` on slide 1."""
    times_s = [number / 30 for number in range(round(last_s * 30))]
    return [(rig.at(at_s + 0.01), rig.frame(at_s, at_s >= change_s)) for at_s in times_s]


def test_what_stands_still_is_encoded_five_times_a_second_and_at_its_end() -> None:
    rig = Rig(end_s=5)
    counts = run_still(rig, slides(rig, 5.1))
    times = rig.encoder.times_s
    assert times[: SETTLING_FRAMES + 1] == pytest.approx([0, 1 / 30, 2 / 30], abs=GRID)
    steps = [after - before for before, after in pairwise(times[SETTLING_FRAMES:])]
    assert steps[:-1] == pytest.approx([STILL_S] * (len(steps) - 1), abs=GRID)
    # The last of the 150 pictures is there, so that what stands still is shown up to the end.
    assert times[-1] == pytest.approx(149 / 30, abs=GRID)
    assert counts.frames == len(times)
    assert counts.frames + counts.still == 150
    assert (counts.repeated, counts.late, rig.events) == (0, 0, [])
    assert rig.timeline.media_position_ns() == 0, "sound has given nothing"


def test_a_keyframe_comes_when_it_is_due() -> None:
    rig = Rig(end_s=4)
    rig.encoder.keyframes = [Fraction(0), Fraction(13, 10), Fraction(26, 10)]
    run_still(rig, slides(rig, 4.1))
    assert {round(at_s, 3) for at_s in rig.encoder.times_s} >= {1.3, 2.6}


def test_what_is_repeated_for_want_of_a_picture_stands_still_too_and_the_slate_is_new() -> None:
    rig = Rig(end_s=5)
    counts = run_still(rig, slides(rig, 1.0) + [item for item in slides(rig, 5.1, 3.0) if item[0] > rig.at(3.0)])
    times, numbers = rig.encoder.times_s, rig.encoder.numbers
    slate_from = numbers.index(SLATE)
    of_slate = [at_s for at_s, number in zip(times, numbers, strict=True) if number == SLATE]
    steps = [later - earlier for earlier, later in pairwise(of_slate)]
    assert steps[SETTLING_FRAMES:] == pytest.approx([STILL_S] * (len(steps) - SETTLING_FRAMES), abs=GRID)
    assert times[slate_from] - times[slate_from - 1] <= STILL_S
    # Only those that are in the file count as repeated.
    assert counts.repeated == len([at_s for at_s in times if 1.0 - GRID <= at_s < 3.0 - GRID])
    assert counts.frames + counts.still == 150
    assert times[numbers.index(1)] == pytest.approx(3.0, abs=GRID)
    assert rig.events == [("source-silent", "podium"), ("source-missing", "podium"), ("source-returned", "podium")]


def test_a_card_and_another_layout_are_new_at_once() -> None:
    rig = Rig(end_s=6)
    rig.encoder.unnumbered = 77
    (_, first), *rest = slides(rig, 6.1)
    shown = rig.video(rest, rate=THIRTY, camera=StillCamera())
    given: list[int] = []

    def watch(_picture: av.VideoFrame, pts: int) -> None:
        given.append(pts)
        if pts in {90_000, 3 * 90_000}:
            rig.scene.switch("pause" if pts == 90_000 else "single")

    track = rig.track(shown, rate=THIRTY, stillness=StaticFrameSkipper(), also=watch)
    in_time(lambda: track.run((shown, first)))
    encoded = list(zip(rig.encoder.times_s, rig.encoder.numbers, strict=True))
    card_s = next(at_s for at_s, number in encoded if number == 77)
    assert card_s == pytest.approx(1 + 1 / 30, abs=GRID)
    assert next(at_s for at_s, number in encoded if at_s > card_s and not number) == pytest.approx(3 + 1 / 30, abs=GRID)
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


@pytest.mark.parametrize(("interval_ms", "first_ms"), [(60, 180), (80, 160), (250, 250)])
def test_one_is_wanted_a_little_too_early_sooner_than_too_late(interval_ms: int, first_ms: int) -> None:
    stillness = StaticFrameSkipper()
    for _ in range(SETTLING_FRAMES + 1):
        assert stillness.wants(1, 0, interval_ms * 1_000_000, is_due=False)
    at_ms = interval_ms
    while not stillness.wants(1, at_ms * 1_000_000, interval_ms * 1_000_000, is_due=False):
        at_ms += interval_ms
    assert at_ms == first_ms


# While a source gives nothing, or damaged pictures


def now_s(rig: Rig) -> float:
    return (rig.clock.now_ns() - rig.zero_ns) / NANOSECONDS


def test_a_stalled_source_is_repeated_at_its_rate_and_what_comes_too_late_is_counted() -> None:
    rig = Rig(end_s=4)
    before, stalled, after = camera(rig, 0, 1), camera(rig, 1, 2), camera(rig, 2, 4)
    # What was captured from 1 s to 2 s comes in one heap at 2.005 s.
    counts = run(rig, before + [(rig.at(2.005), frame) for _, frame in stalled] + after)
    # At 2.005 s the moments up to 1.7 s have been filled; what was captured after that still finds its place.
    slate_from = rig.encoder.numbers.index(SLATE)
    assert rig.encoder.numbers == [*range(30), *[29] * (slate_from - 30), *[SLATE] * (52 - slate_from), *range(52, 120)]
    assert slate_from / 30 - 1 == pytest.approx(SILENT_S - PATIENCE_S, abs=0.05)
    assert rig.encoder.times_s == pytest.approx(nominal(120), abs=GRID)
    assert (counts.frames, counts.repeated, counts.late) == (120, 22, 22)
    assert rig.events == [("source-silent", "podium"), ("source-missing", "podium"), ("source-returned", "podium")]


def test_a_stall_of_this_pc_in_the_first_wait_is_no_fault_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(end_s=8)
    script = camera(rig, 0, 8)
    source = rig.video(script[1:], rate=THIRTY)
    track = rig.track(source, rate=THIRTY)
    get = source.queue.get

    def get_late(_timeout_s: float) -> None:
        monkeypatch.setattr(source.queue, "get", get)
        rig.clock.advance(5)

    monkeypatch.setattr(source.queue, "get", get_late)
    in_time(lambda: track.run((source, script[0][1])))
    assert rig.events == []
    assert rig.encoder.numbers == list(range(240))


@pytest.mark.parametrize(
    ("back_s", "repeated", "told"),
    [(Fraction(31, 30), 0, []), (1.2, 6, []), (1.6, 18, ["source-silent", "source-returned"])],
)
def test_a_short_stall_is_bridged_with_the_last_picture_and_one_that_is_missing_is_left_as_it_is(
    back_s: float, repeated: int, told: list[str]
) -> None:
    rig = Rig(end_s=3)
    counts = run(rig, camera(rig, 0, 1) + camera(rig, back_s, 3))
    assert rig.encoder.numbers == [*range(30), *[29] * repeated, *range(round(back_s * 30), 90)]
    assert counts.repeated == repeated
    assert [kind for kind, _ in rig.events] == told


def test_a_slow_source_has_five_intervals_before_it_counts_as_missing() -> None:
    rig, slow = Rig(end_s=6), Fraction(5)
    run(rig, camera(rig, 0, 2, slow) + camera(rig, 2.8, 6, slow), rate=slow)
    assert SLATE not in rig.encoder.numbers


def test_a_slow_source_has_three_intervals_before_it_is_repeated() -> None:
    rig = Rig(end_s=3)
    counts = run(rig, held_up(rig, camera(rig, 0, 3, Fraction(5)), 1.4, 1.9), rate=Fraction(5))
    assert rig.encoder.numbers == list(range(15))
    assert (counts.repeated, counts.late) == (0, 0)


def test_a_repeated_picture_comes_after_patience_and_stays_as_far_behind() -> None:
    rig, at = Rig(end_s=3), list[float]()
    rig.encoder.on_picture = lambda _: at.append(now_s(rig))
    run(rig, camera(rig, 0, 1))
    assert max(at[:30]) <= 1.0
    behind = [now - moment for now, moment in zip(at[30:], rig.encoder.times_s[30:], strict=True)]
    assert behind == pytest.approx([PATIENCE_S] * 60, abs=0.002)


def test_a_lost_camera_is_a_slate_to_the_end() -> None:
    rig = Rig(end_s=3)
    counts = run(rig, camera(rig, 0, 1), lost=True)
    assert rig.encoder.numbers == [*range(30), *[SLATE] * 60]
    assert rig.encoder.times_s == pytest.approx(nominal(90), abs=GRID)
    assert counts.repeated == 60
    assert rig.events == [("source-missing", "podium")]  # that it was lost, the reader has said


def test_of_a_camera_that_is_gone_it_is_not_said_that_it_is_silent() -> None:
    rig = Rig(end_s=3)
    podium = rig.video(camera(rig, 0, 1), rate=THIRTY)

    def pull_out(at_s: float) -> None:
        if at_s > 0.9:
            podium.worker.outage = SourceOutage(OutageKind.LOST, "it was unplugged", "", rig.clock.now_ns())

    rig.encoder.on_picture = pull_out
    in_time(lambda: rig.track(podium, rate=THIRTY).run(None))
    assert rig.events[0] == ("source-missing", "podium")
    assert "source-silent" not in [kind for kind, _ in rig.events]


@pytest.mark.parametrize(("damage", "kind"), [(DAMAGED, "picture-damaged"), (BREAKS, "frames-dropped")])
def test_a_damaged_picture_is_the_one_before_it_and_is_told_without_a_flood(damage: bytes, kind: str) -> None:
    rig = Rig(end_s=3)
    script = [
        (at, Frame(frame.timestamp_ns, damage) if 30 <= number < 40 else frame)
        for number, (at, frame) in enumerate(camera(rig, 0, 3))
    ]
    counts = run(rig, script)
    assert rig.encoder.numbers == [*range(30), *[29] * 10, *range(40, 90)]
    assert rig.encoder.times_s == pytest.approx(nominal(90), abs=GRID)
    assert (counts.damaged, counts.repeated) == (10, 0)
    assert rig.events == [(kind, "podium")] * 4  # the 1st, 2nd, 4th and 8th; one has no memory for them


def test_a_source_whose_every_picture_is_damaged_is_a_slate_and_its_moments_pass() -> None:
    rig = Rig(end_s=4)
    run(rig, [(at, Frame(frame.timestamp_ns, DAMAGED)) for at, frame in camera(rig, 0, 4.5)])
    times = rig.encoder.times_s
    assert set(rig.encoder.numbers) == {SLATE}
    assert times[0] == pytest.approx(SILENT_S, abs=0.05)
    assert times == pytest.approx([times[0] + at for at in nominal(len(times))], abs=1 / 30)
    told = [kind for kind, _ in rig.events if kind != "picture-damaged"]
    assert told == ["source-silent", "source-missing"]


class Returning(Camera):
    """A camera that is opened at another rate than it had."""

    def __init__(self, rate: int) -> None:
        self.is_open = False
        self._rate = rate

    def open(self) -> VideoFormat:
        self.is_open = True
        return VideoFormat(16, 16, Fraction(self._rate), ColorMatrix.BT601)


@pytest.mark.parametrize(("rate", "frames"), [(60, 120), (2, 8)])
def test_what_returns_at_another_rate_is_taken_at_that(rate: int, frames: int) -> None:
    rig, source = Rig(end_s=5), Returning(rate)
    (_, first), *script = camera(rig, 0, 1) + camera(rig, 1, 6, Fraction(rate))
    shown = rig.video(script, rate=THIRTY, camera=source)
    track = rig.track(shown, rate=THIRTY)

    def opened_again(at_s: float) -> None:
        if at_s > 0.9 and not source.is_open:
            shown.worker.open()

    rig.encoder.on_picture = opened_again
    in_time(lambda: track.run((shown, first)))
    assert track.counts.frames - track.counts.repeated == pytest.approx(30 + frames, abs=2)
    assert [kind for kind, _ in rig.events if kind == "source-missing"] == []
    assert len(rig.events) <= 2  # the first hole of the slow one may be told, the others are how it is


def test_a_pc_that_stood_still_does_not_take_its_cameras_for_missing() -> None:
    rig = Rig(end_s=6)
    (_, first), *script = camera(rig, 0, 1) + camera(rig, 4.1, 6.5)
    other = camera(rig, 0, 1) + camera(rig, 4.1, 6.5)
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


def test_what_was_captured_while_a_pc_stood_still_finds_its_place() -> None:
    rig = Rig(end_s=5)
    # One after the other, since the reader has to take them first.
    one_by_one = [(max(at, rig.at(2 + (number - 29) / 1000)) if at > rig.at(1) else at, frame)
                  for number, (at, frame) in enumerate(camera(rig, 0, 5.5))]  # fmt: skip
    rig.encoder.on_picture = lambda at_s: rig.clock.advance_to(rig.at(2)) if 0.95 < at_s < 1 else None
    counts = run(rig, one_by_one)
    assert rig.encoder.numbers == list(range(150))
    assert (counts.repeated, counts.late) == (0, 0)
    assert rig.events == []


def test_a_source_that_died_while_a_pc_stood_still_is_repeated_soon() -> None:
    rig, at = Rig(end_s=5), list[float]()

    def stand_still(at_s: float) -> None:
        if 0.95 < at_s < 1:
            rig.clock.advance_to(rig.at(2))
        at.append(now_s(rig))

    rig.encoder.on_picture = stand_still
    run(rig, camera(rig, 0, 1))
    assert rig.encoder.times_s == pytest.approx(nominal(150), abs=1 / 30)
    assert at[30] == pytest.approx(2.1, abs=0.06)
    behind = [now - moment for now, moment in zip(at[90:], rig.encoder.times_s[90:], strict=True)]
    assert max(behind) == pytest.approx(PATIENCE_S, abs=0.002)


def test_a_pc_that_is_nearly_too_slow_makes_up_for_a_hiccup_while_a_source_is_silent() -> None:
    rig, behind = Rig(end_s=8), list[tuple[float, float]]()

    def take_long(at_s: float) -> None:
        hiccup_s = 0.4 if 3 <= at_s < 3 + 1 / 30 else 0
        rig.clock.advance_to(rig.clock.now_ns() + round((hiccup_s + 0.9 / 30) * NANOSECONDS))
        behind.append((at_s, now_s(rig) - at_s))

    rig.encoder.on_picture = take_long
    run(rig, camera(rig, 0, 1))
    assert rig.encoder.times_s == pytest.approx(nominal(240), abs=1 / 30)
    assert max(late for at, late in behind if at > 7.5) == pytest.approx(PATIENCE_S + 1 / 30, abs=0.01)
