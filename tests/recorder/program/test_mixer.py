"""The parts of the mix: resampling, the drift of a device's clock, gains and mutes, sums, and the limiter."""

import numpy as np
import pytest
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, Samples
from recorder.program.mixer import CEILING, LIMITER_DELAY, RAMP, GainRamp, Limiter, db_to_factor, sum_samples
from recorder.program.mixer_input import DriftMeter
from recorder.program.resampler import HALF, FloatSamples, Resampler

SEED = 20261125


def sine(hertz: float, seconds: float = 2.0, channels: int = 1) -> Samples:
    """Return a sine at half of full scale; the second channel has the cosine."""
    angle = 2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.rint(16_384 * np.stack([np.sin(angle), np.cos(angle)][:channels], axis=1)).astype(np.int16)


def resampler_at(step: float, channels: int = 1) -> Resampler:
    resampler = Resampler(channels)
    resampler.step = step
    return resampler


def resampled(resampler: Resampler, samples: Samples, size: int = 960) -> NDArray[np.float64]:
    pieces = [resampler.process(samples[at : at + size]) for at in range(0, len(samples), size)]
    return np.concatenate([*pieces, resampler.flush()]).astype(np.float64)


@pytest.mark.parametrize(("ppm", "hertz"), [(300, 1000), (-300, 18_000), (2000, 10_000)])
def test_a_resampled_sine_stays_a_sine(ppm: int, hertz: int) -> None:
    resampler = resampler_at(1 + ppm * 1e-6, 2)
    heard = resampled(resampler, sine(hertz, channels=2))[1000:-1000]
    angle = 2 * np.pi * hertz / SAMPLE_RATE * resampler.step * np.arange(len(heard))
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    fit, *_ = np.linalg.lstsq(basis, heard, rcond=None)
    pure = basis @ fit
    # 16 bits at half of full scale allow -92.
    assert (20 * np.log10(np.std(heard - pure, axis=0) / np.std(pure, axis=0)) < -90).all()


def test_what_is_not_resampled_is_not_touched() -> None:
    resampler, samples = Resampler(2), sine(440, channels=2)
    assert resampler.process(samples) is samples
    assert (resampler.held, resampler.is_active, len(resampler.flush())) == (0, False, 0)


@pytest.mark.parametrize("size", [7, 5000])
def test_blocks_of_any_size_make_the_same_sound(size: int) -> None:
    samples, step = sine(3000, 0.2, 2), 1 - 250e-6
    expected = resampled(resampler_at(step, 2), samples, len(samples))
    heard = resampled(resampler_at(step, 2), samples, size)
    assert len(heard) == len(expected)
    assert np.abs(heard - expected).max() < 0.01


@pytest.mark.parametrize("step", [1 + 300e-6, 1.0])
def test_what_is_held_comes_out_last(step: float) -> None:
    samples, resampler = sine(100, 1), resampler_at(step)
    made = len(resampler.process(samples))
    assert resampler.held == pytest.approx(len(samples) / step - made, abs=1e-6)
    assert made + len(resampler.flush()) == pytest.approx(len(samples) / step, abs=1)
    assert resampler.held == 0


def test_it_begins_ends_and_changes_without_a_click() -> None:
    samples = sine(1000, 4)
    resampler = Resampler(1)
    steps = [1.0, 1.0, 1 + 300e-6, 1 - 300e-6, 1.0, 1 + 1e-6]
    heard = []
    for number, at in enumerate(range(0, len(samples), 4800)):
        resampler.step = steps[number % len(steps)]
        heard.append(resampler.process(samples[at : at + 4800]))
    whole = np.concatenate(heard).astype(np.float64)[:, 0]
    # A sine obeys x[n+1] + x[n-1] = 2 cos(w) x[n]; a click breaks that, a pitch off by 300 ppm hardly does.
    broken = whole[2:] + whole[:-2] - 2 * np.cos(2 * np.pi * 1000 / SAMPLE_RATE) * whole[1:-1]
    assert np.abs(broken).max() < 4
    assert len(whole) == pytest.approx(len(samples), abs=HALF + 10)


def test_after_a_flush_nothing_of_before_is_heard() -> None:
    resampler = resampler_at(1 + 100e-6)
    resampler.process(np.full((960, 1), 30_000, np.int16))
    resampler.flush()
    assert not resampler.process(np.zeros((960, 1), np.int16)).any()


def feed(
    meter: DriftMeter,
    seconds: float,
    *,
    ppm: float,
    jitter_s: float,
    late_share: float = 0.0,
    step: tuple[float, float] = (1e9, 0),
) -> int:
    """Feed a clock off by `ppm`; of its stamps, `late_share` are 40 ms late. They jump by step[1] at step[0]."""
    random = np.random.default_rng(SEED)
    noise = random.uniform(-jitter_s, jitter_s, round(seconds * 51))
    noise += 0.04 * (random.uniform(0, 1, len(noise)) < late_share)
    number = 0
    while (at_s := number / (SAMPLE_RATE * (1 + ppm * 1e-6))) < seconds:
        at_s += float(noise[number // 960])
        at_s += step[1] if at_s >= step[0] else 0
        meter.add(number, at_s * SAMPLE_RATE)
        number += 960
    return number


@pytest.mark.parametrize(("ppm", "late_share"), [(300, 0.0), (-1500, 0.0), (80, 0.25)])
def test_a_clock_is_told_from_stamps_that_jitter_and_come_late(ppm: float, late_share: float) -> None:
    meter = DriftMeter()
    number = feed(meter, 120, ppm=ppm, jitter_s=0.003, late_share=late_share)
    assert meter.ppm == pytest.approx(ppm, abs=5)
    belongs_s = number / (SAMPLE_RATE * (1 + ppm * 1e-6))
    assert meter.belongs(number) / SAMPLE_RATE == pytest.approx(belongs_s, abs=0.002)


def test_drift_is_told_within_half_a_minute() -> None:
    meters = DriftMeter(), DriftMeter()
    for meter, seconds in zip(meters, (15, 30), strict=True):
        feed(meter, seconds, ppm=200, jitter_s=0.002)
    assert [meter.ppm for meter in meters] == [None, pytest.approx(200, abs=40)]


def test_a_jump_is_no_drift() -> None:
    meter = DriftMeter()
    number = feed(meter, 100, ppm=50, jitter_s=0.001, step=(90, 0.03))
    assert meter.ppm == pytest.approx(50, abs=5)
    at_s = number / (SAMPLE_RATE * (1 + 50e-6)) + 0.03
    assert meter.belongs(number) / SAMPLE_RATE == pytest.approx(at_s, abs=0.002)


def test_after_a_gap_the_rate_is_remembered_and_the_place_is_not() -> None:
    meter = DriftMeter()
    feed(meter, 60, ppm=300, jitter_s=0.0)
    meter.restart()
    for number in range(0, 3 * SAMPLE_RATE, 960):
        meter.add(number, 1_000_000 + number / (1 + 300e-6))
    assert meter.belongs(0) == pytest.approx(1_000_000, abs=2)
    assert meter.rate == pytest.approx(1 + 300e-6, abs=1e-6)


COUNT = 1024


def noise(seed: int) -> Samples:
    return np.random.default_rng(seed).integers(-8000, 8000, (COUNT, 2), np.int16)


def test_several_are_summed_exactly() -> None:
    parts = [noise(seed) for seed in range(4)]
    before = [part.copy() for part in parts]
    heard = sum_samples(parts)
    assert heard is not None
    assert (heard == sum(part.astype(np.int32) for part in before)).all()
    assert all((part == as_it_was).all() for part, as_it_was in zip(parts, before, strict=True))


def test_a_muted_input_costs_nothing_and_the_other_passes_as_it_is() -> None:
    muted, heard, samples = GainRamp(0.0), GainRamp(db_to_factor(0.0)), noise(1)
    assert sum_samples([muted.apply(noise(2)), heard.apply(samples)]) is samples
    heard.target = 0.0
    assert heard.apply(samples) is not None, "it is turned down"
    assert sum_samples([muted.apply(samples), heard.apply(samples)]) is None


def test_no_mute_clicks() -> None:
    mute = GainRamp(1.0)
    constant = np.full((COUNT, 2), 20_000, np.int16)
    pieces = [mute.apply(constant)]
    for target in (0.0, 1.0):
        mute.target = target
        pieces.append(mute.apply(constant))
    heard = np.concatenate([np.zeros((COUNT, 2)) if piece is None else piece for piece in pieces])[:, 0]
    assert np.abs(np.diff(heard)).max() <= 20_000 / RAMP + 1  # it takes all of 10 ms
    assert (heard[COUNT + RAMP : 2 * COUNT] <= 20.1).all()
    assert (heard[2 * COUNT + RAMP :] == 20_000).all()


def limited(samples: Samples | FloatSamples, rest: int = 0) -> Samples:
    """Return what comes out, of whole frames and of `rest` samples behind them."""
    limiter = Limiter(samples.shape[1])
    frames = [samples[at : at + COUNT] for at in range(0, len(samples) - rest, COUNT)]
    pieces = [limiter.process(frame) for frame in frames]
    assert len(pieces[0]) == COUNT - LIMITER_DELAY
    heard = np.concatenate([*pieces, limiter.process(samples[len(samples) - rest :], is_last=True)])
    assert heard.dtype == np.int16
    assert len(heard) == len(samples)
    return heard


def tone(levels: NDArray[np.float64]) -> FloatSamples:
    angle = 2 * np.pi * 997 * np.arange(len(levels)) / SAMPLE_RATE
    wave = levels * 32_768 * np.sin(angle)
    return np.stack([wave, wave * 0.5], axis=1).astype(np.float32)


def test_what_stays_below_the_ceiling_is_the_same_bit_by_bit() -> None:
    samples = np.random.default_rng(SEED).integers(-CEILING, CEILING + 1, (20 * COUNT + 77, 2), np.int16)
    assert (limited(samples, rest=77) == samples).all()


@pytest.mark.parametrize("rest", [0, 63, 500])
def test_nothing_is_above_the_ceiling(rest: int) -> None:
    random = np.random.default_rng(SEED + rest)
    samples = random.normal(0, 30_000, (20 * COUNT + rest, 2)).astype(np.float32)
    samples *= np.repeat(random.uniform(0, 2, 20 * COUNT + rest)[:, None] > 1.9, 2, axis=1) + np.float32(0.3)
    heard = limited(samples, rest)
    assert 0.9 * CEILING < np.abs(heard.astype(np.int32)).max() <= CEILING


def test_two_channels_are_turned_down_together() -> None:
    heard = limited(tone(np.full(20 * COUNT, 1.5))).astype(np.float64)
    assert heard[:, 1] == pytest.approx(heard[:, 0] / 2, abs=1)


def test_it_is_turned_down_before_and_back_after_slowly() -> None:
    levels = np.full(60 * COUNT, 0.5)
    levels[10 * COUNT : 11 * COUNT] = 2.0
    samples = tone(levels)
    heard = limited(samples).astype(np.float64)[:, 0]
    loud = np.abs(samples[:, 0]) > 3000
    gains = (heard[loud] / samples[loud, 0])[:: SAMPLE_RATE // 2000]
    # From one quarter of a millisecond to the next, the gain goes down by a twentieth of what 5 ms allow, up by less.
    assert np.diff(gains).min() > -0.1
    assert np.diff(gains).max() < 0.02
    assert (heard[: 10 * COUNT - 320] == np.rint(samples[: 10 * COUNT - 320, 0])).all()
