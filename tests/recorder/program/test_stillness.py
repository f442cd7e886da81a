"""What of a program that stands still is encoded, on a clock that moves when told."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest

from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import STILL_RATE
from recorder.program.video_track import SETTLING_FRAMES, FrameCounts, StaticFrameSkipper
from tests.support.scenes import GRID, THIRTY, Script
from tests.support.tracks import DAMAGED, SLATE, Rig, StillCamera, in_time

STILL_S = float(1 / STILL_RATE)


def slides(rig: Rig, last_s: float, *changes_s: float, rate: Fraction = THIRTY, jitter_s: float = 0.0) -> Script:
    """Return what a capture card gives: the slide number is how many of `changes_s` have passed."""
    script = []
    for number in range(round(last_s * rate)):
        at_s = float(number / rate) + (jitter_s if number % 2 else 0.0)
        script.append((rig.at(at_s + 0.01), rig.frame(at_s, sum(at_s >= change for change in changes_s))))
    return script


def run(rig: Rig, script: Script, end_s: float, *, rate: Fraction = THIRTY) -> FrameCounts:
    (_, first), *rest = script
    shown = rig.video(rest, rate=rate, camera=StillCamera())
    track = rig.track(shown, rate=rate, stillness=StaticFrameSkipper())
    rig.timeline.end_at(round(end_s * NANOSECONDS))
    in_time(lambda: track.run((shown, first)))
    return track.counts


def test_what_stands_still_is_encoded_five_times_a_second_and_at_its_end() -> None:
    rig = Rig()
    counts = run(rig, slides(rig, 5.1), 5.0)
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
    counts = run(rig, script, 6.0)
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
    counts = run(rig, script, 3.0)
    assert rig.encoder.numbers == list(range(90))
    assert (counts.frames, counts.still) == (90, 0)


def test_a_keyframe_comes_when_it_is_due() -> None:
    rig = Rig()
    rig.encoder.keyframes = [Fraction(0), Fraction(13, 10), Fraction(26, 10)]
    run(rig, slides(rig, 4.1), 4.0)
    assert {round(at_s, 3) for at_s in rig.encoder.times_s} >= {1.3, 2.6}


def test_a_slow_source_is_encoded_as_ever() -> None:
    rig = Rig()
    five = Fraction(5)
    counts = run(rig, slides(rig, 6.1, rate=five), 6.0, rate=five)
    assert (counts.frames, counts.still) == (30, 0)


def test_what_is_repeated_for_want_of_a_picture_stands_still_too_and_the_slate_is_new() -> None:
    rig = Rig()
    before, after = slides(rig, 1.0), [item for item in slides(rig, 5.1, 3.0) if item[0] > rig.at(3.0)]
    counts = run(rig, before + after, 5.0)
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
    counts = run(rig, script, 3.0)
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
