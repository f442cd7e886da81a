"""A device's clock, told from stamps that jitter, come late, and jump."""

import numpy as np
import pytest

from capture.source import SAMPLE_RATE
from recorder.program.mixer_input import DriftMeter

BLOCK = 960
SEED = 20261125


def feed(
    meter: DriftMeter,
    seconds: float,
    *,
    ppm: float,
    jitter_s: float = 0.0,
    late: tuple[float, float, float] = (0, 0, 0),
    late_share: float = 0.0,
    step: tuple[float, float] = (1e9, 0),
) -> int:
    """Feed a clock off by `ppm`; stamps are late by late[2] seconds from late[0] to late[1], and jump at step[0].

    Of all stamps, `late_share` are 40 ms late.
    """
    random = np.random.default_rng(SEED)
    noise = random.uniform(-jitter_s, jitter_s, round(seconds * 51))
    noise += 0.04 * (random.uniform(0, 1, len(noise)) < late_share)
    number = 0
    while (at_s := number / (SAMPLE_RATE * (1 + ppm * 1e-6))) < seconds:
        at_s += float(noise[number // BLOCK])
        at_s += late[2] if late[0] <= at_s < late[1] else 0
        at_s += step[1] if at_s >= step[0] else 0
        meter.add(number, at_s * SAMPLE_RATE)
        number += BLOCK
    return number


@pytest.mark.parametrize("ppm", [300, -300, 20, 0, 1500])
def test_a_clock_is_told_from_stamps_that_jitter(ppm: float) -> None:
    meter = DriftMeter()
    number = feed(meter, 120, ppm=ppm, jitter_s=0.005)
    assert meter.ppm == pytest.approx(ppm, abs=5)
    feed_s = number / (SAMPLE_RATE * (1 + ppm * 1e-6))
    assert meter.belongs(number) / SAMPLE_RATE == pytest.approx(feed_s, abs=0.001)


def test_it_is_told_within_half_a_minute_and_better_with_time() -> None:
    meter = DriftMeter()
    feed(meter, 15, ppm=200, jitter_s=0.002)
    assert meter.ppm is None
    meter = DriftMeter()
    feed(meter, 30, ppm=200, jitter_s=0.002)
    assert meter.ppm == pytest.approx(200, abs=40)
    meter = DriftMeter()
    feed(meter, 300, ppm=200, jitter_s=0.002)
    assert meter.ppm == pytest.approx(200, abs=1)


@pytest.mark.parametrize("late_s", [0.005, 0.03, 0.09])
def test_stamps_that_are_late_for_a_second_change_nothing(late_s: float) -> None:
    meter = DriftMeter()
    feed(meter, 120, ppm=-100, jitter_s=0.001, late=(80, 80.9, late_s))
    assert meter.ppm == pytest.approx(-100, abs=5)


def test_one_stamp_in_four_may_be_late() -> None:
    meter = DriftMeter()
    number = feed(meter, 120, ppm=80, jitter_s=0.001, late_share=0.25)
    assert meter.ppm == pytest.approx(80, abs=5)
    assert meter.belongs(number) / SAMPLE_RATE == pytest.approx(number / SAMPLE_RATE / (1 + 80e-6), abs=0.002)


@pytest.mark.parametrize("jump_s", [0.03, -0.05])
def test_a_jump_is_no_drift(jump_s: float) -> None:
    meter = DriftMeter()
    number = feed(meter, 100, ppm=50, jitter_s=0.001, step=(90, jump_s))
    assert meter.ppm == pytest.approx(50, abs=5)
    at_s = number / (SAMPLE_RATE * (1 + 50e-6)) + jump_s
    assert meter.belongs(number) / SAMPLE_RATE == pytest.approx(at_s, abs=0.002)


def test_after_a_gap_the_rate_is_remembered_and_the_place_is_not() -> None:
    meter = DriftMeter()
    feed(meter, 60, ppm=300)
    meter.restart()
    for number in range(0, 3 * SAMPLE_RATE, BLOCK):
        meter.add(number, 1_000_000 + number / (1 + 300e-6))
    assert meter.belongs(0) == pytest.approx(1_000_000, abs=2)
    assert meter.rate == pytest.approx(1 + 300e-6, abs=1e-6)
