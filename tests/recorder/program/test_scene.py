"""Several sources in one program, on a clock that moves when told: who drives it, and switching between layouts."""

from fractions import Fraction
from itertools import pairwise

import pytest

from capture.detectors.source_health import SILENT_S
from config.errors import UsageError
from devices.host.clock import NANOSECONDS
from tests.support.scenes import GRID, THIRTY, Script
from tests.support.tracks import SLATE, Rig, in_time

SECOND = 100_000
"""Added to the numbers of the second camera."""


def numbered(rig: Rig, first_s: float, last_s: float, rate: Fraction, offset: int = 0, late_s: float = 0.0) -> Script:
    """Return what a camera gives in a span of media time, `late_s` off the first one's beat."""
    numbers = range(round(first_s * rate), round(last_s * rate))
    late = Fraction(late_s).limit_denominator(1000)
    return [
        (rig.at(number / rate + late + Fraction(1, 100)), rig.frame(number / rate + late, offset + number))
        for number in numbers
    ]


def run(rig: Rig, first: Script, second: Script, *, rate: Fraction = THIRTY, second_rate: Fraction = THIRTY) -> None:
    (_, begin), *rest = first
    one = rig.video(rest, rate=rate, name="podium")
    two = rig.video(second, rate=rate, source_rate=second_rate, name="slides")
    track = rig.track(one, two, rate=rate)
    in_time(lambda: track.run((one, begin)))


def steps(rig: Rig) -> list[float]:
    return [after - before for before, after in pairwise(rig.encoder.times_s)]


def test_a_source_that_is_not_shown_costs_nothing_and_moves_nothing() -> None:
    rig = Rig()
    rig.timeline.end_at(3 * NANOSECONDS)
    run(rig, numbered(rig, 0, 3.1, THIRTY), numbered(rig, 0, 3.1, THIRTY, SECOND, 0.013))
    assert rig.encoder.numbers == list(range(90))
    assert rig.events == []


def test_a_switch_shows_the_other_source_from_the_next_picture_on() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)

    def switch(at_s: float) -> None:
        if abs(at_s - 1.5) < 0.001:
            rig.scene.switch("2")
        if at_s > 3.0:
            rig.scene.switch("1")

    rig.encoder.on_picture = switch
    run(rig, numbered(rig, 0, 4.1, THIRTY), numbered(rig, 0, 4.1, THIRTY, SECOND, 0.013))
    numbers = rig.encoder.numbers
    assert numbers[:46] == list(range(46))
    second = [number - SECOND for number in numbers if number >= SECOND]
    assert second == list(range(second[0], second[0] + len(second)))
    assert second[0] in (45, 46)
    back = numbers.index(second[-1] + SECOND) + 1
    assert numbers[back:] == list(range(numbers[back], 120))
    # No picture is missing, none is doubled: the beat of the other source begins within a picture's time.
    assert max(steps(rig)) < 2 / 30
    assert min(steps(rig)) > 0.5 / 30 - 0.013


@pytest.mark.parametrize("other", [25, 50, 60])
def test_sources_of_different_rates_take_turns_in_a_program_of_30(other: int) -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)

    def switch(at_s: float) -> None:
        rig.scene.switch("2" if 2 <= at_s < 4 else "1")

    rig.encoder.on_picture = switch
    rate = Fraction(other)
    run(rig, numbered(rig, 0, 6.1, THIRTY), numbered(rig, 0, 6.1, rate, SECOND), second_rate=rate)
    shown = [number for number in rig.encoder.numbers if number >= SECOND]
    assert len(shown) == pytest.approx(2 * min(other, 30), abs=3)
    assert max(steps(rig)) < 1 / 30 + 1 / other + GRID
    assert rig.events == []


def test_when_the_shown_source_is_lost_its_slate_goes_on_with_the_clock_and_the_other_can_be_shown() -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    rig.encoder.on_picture = lambda at_s: rig.scene.switch("2") if at_s > 3 else None
    run(rig, numbered(rig, 0, 1, THIRTY), numbered(rig, 0, 6.1, THIRTY, SECOND))
    numbers, times = rig.encoder.numbers, rig.encoder.times_s
    assert SLATE in numbers
    assert times[numbers.index(SLATE)] - 1 < SILENT_S
    assert rig.events == [("source-silent", "podium"), ("source-missing", "podium")]
    shown = [(at, number) for at, number in zip(times, numbers, strict=True) if SECOND <= number < SLATE]
    assert shown[-1][1] == SECOND + 179
    for at, number in shown:
        assert at == pytest.approx((number - SECOND) / 30, abs=0.05)
    assert max(steps(rig)) < 2 / 30


def test_a_source_that_dies_while_another_is_shown_is_told_and_costs_no_picture() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    run(rig, numbered(rig, 0, 4.1, THIRTY), numbered(rig, 0, 1, THIRTY, SECOND))
    assert rig.encoder.numbers == list(range(120))
    assert rig.events == [("source-missing", "slides")]


def test_a_layout_that_is_not_there_is_refused_and_changes_nothing() -> None:
    rig = Rig()
    rig.timeline.end_at(1 * NANOSECONDS)
    refused: list[str] = []

    def switch(at_s: float) -> None:
        if not refused:
            with pytest.raises(UsageError, match='no layout "pap"') as caught:
                rig.scene.switch("pap")
            assert "pip" in caught.value.message
            refused.append(caught.value.message)

    rig.encoder.on_picture = switch
    run(rig, numbered(rig, 0, 1.1, THIRTY), numbered(rig, 0, 1.1, THIRTY, SECOND))
    assert refused
    assert rig.encoder.numbers == list(range(30))


def test_a_card_covers_everything_and_the_sources_are_still_watched() -> None:
    rig = Rig()
    rig.timeline.end_at(4 * NANOSECONDS)
    seen: list[str] = []

    def switch(at_s: float) -> None:
        rig.scene.switch("pause" if 1 <= at_s < 3 else "1")
        seen.append(rig.scene.layout)

    rig.encoder.on_picture = switch
    rig.encoder.unnumbered = -1
    run(rig, numbered(rig, 0, 4.1, THIRTY), numbered(rig, 0, 4.1, THIRTY, SECOND))
    assert rig.encoder.numbers == [*range(31), *[-1] * 60, *range(91, 120)]
    assert set(seen) == {"1", "pause"}
    assert rig.events == []
