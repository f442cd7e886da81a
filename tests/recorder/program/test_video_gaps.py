"""What the program shows while a source gives nothing, or damaged pictures."""

from fractions import Fraction

import pytest

from capture.detectors.source_health import SILENT_S
from capture.source import ColorMatrix, Frame, VideoFormat
from devices.host.clock import NANOSECONDS
from recorder.program.video_track import PATIENCE_S
from tests.support.scenes import GRID, THIRTY, camera, nominal, run
from tests.support.tracks import BREAKS, DAMAGED, SLATE, Camera, Rig, in_time


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
    held_up = [
        (max(at, rig.at(1.9)) if frame.timestamp_ns >= rig.at(1.4) else at, frame)
        for at, frame in camera(rig, 0, 3, Fraction(5))
    ]
    counts = run(rig, held_up, rate=Fraction(5))
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
    held_up = [(max(at, rig.at(2 + (number - 29) / 1000)) if at > rig.at(1) else at, frame)
               for number, (at, frame) in enumerate(camera(rig, 0, 5.5))]  # fmt: skip
    rig.encoder.on_picture = lambda at_s: rig.clock.advance_to(rig.at(2)) if 0.95 < at_s < 1 else None
    counts = run(rig, held_up)
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
