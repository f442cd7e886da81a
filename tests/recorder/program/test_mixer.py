"""The mix: gains and mutes do not click, sums are exact, and the limiter keeps the ceiling."""

import numpy as np
import pytest
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, Samples
from recorder.program.mixer import CEILING, LIMITER_DELAY, RAMP, GainRamp, Limiter, db_to_factor, sum_samples
from recorder.program.resampler import FloatSamples

COUNT = 1024


def noise(seed: int, level: int = 8000) -> Samples:
    return np.random.default_rng(seed).integers(-level, level, (COUNT, 2), np.int16)


def test_one_input_at_0_db_passes_as_it_is() -> None:
    samples = noise(1)
    assert sum_samples([GainRamp(db_to_factor(0.0)).apply(samples)]) is samples


def test_several_are_summed_exactly() -> None:
    parts = [noise(seed) for seed in range(4)]
    before = [part.copy() for part in parts]
    heard = sum_samples(parts)
    assert heard is not None
    assert (heard == sum(part.astype(np.int32) for part in before)).all()
    assert all((part == as_it_was).all() for part, as_it_was in zip(parts, before, strict=True))


@pytest.mark.parametrize(("gain_db", "factor"), [(-6.0206, 0.5), (6.0206, 2.0), (-20, 0.1)])
def test_a_gain_is_in_decibels(gain_db: float, factor: float) -> None:
    samples = noise(1)
    assert GainRamp(db_to_factor(gain_db)).apply(samples) == pytest.approx(samples * factor, abs=0.5)


def test_a_muted_input_costs_nothing_and_the_other_passes_as_it_is() -> None:
    muted, heard, samples = GainRamp(0.0), GainRamp(1.0), noise(1)
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
    steps = np.abs(np.diff(heard))
    assert steps.max() <= 20_000 / RAMP + 1  # it takes all of 10 ms
    assert (heard[COUNT + RAMP : 2 * COUNT] <= 20.1).all()
    assert (heard[2 * COUNT + RAMP :] == 20_000).all()
    assert RAMP == SAMPLE_RATE // 100


SEED = 20261125


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


def tone(levels: NDArray[np.float64], hertz: float = 997) -> FloatSamples:
    angle = 2 * np.pi * hertz * np.arange(len(levels)) / SAMPLE_RATE
    wave = levels * 32_768 * np.sin(angle)
    return np.stack([wave, wave * 0.5], axis=1).astype(np.float32)


def test_what_stays_below_the_ceiling_is_the_same_bit_by_bit() -> None:
    samples = np.random.default_rng(SEED).integers(-29_204, 29_205, (20 * COUNT + 77, 2), np.int16)
    assert (limited(samples, rest=77) == samples).all()


@pytest.mark.parametrize("rest", [0, 1, 63, 64, 500, 1023])
def test_nothing_is_above_the_ceiling(rest: int) -> None:
    random = np.random.default_rng(SEED + rest)
    samples = random.normal(0, 30_000, (20 * COUNT + rest, 2)).astype(np.float32)
    samples *= np.repeat(random.uniform(0, 2, 20 * COUNT + rest)[:, None] > 1.9, 2, axis=1) + np.float32(0.3)
    heard = limited(samples, rest)
    assert np.abs(heard.astype(np.int32)).max() <= CEILING
    assert np.abs(heard.astype(np.int32)).max() > 0.9 * CEILING


def test_two_channels_are_turned_down_together() -> None:
    samples = tone(np.full(20 * COUNT, 1.5))
    heard = limited(samples).astype(np.float64)
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


def test_after_a_peak_it_is_out_of_the_way_again() -> None:
    samples = np.full((200 * COUNT, 1), 1000, np.int16)
    samples[5 * COUNT] = 32_767
    heard = limited(samples)
    assert heard[5 * COUNT, 0] <= CEILING
    assert heard[5 * COUNT + 100, 0] < 1000
    assert (heard[5 * COUNT + 2 * SAMPLE_RATE :] == 1000).all()


def test_a_loud_sine_stays_a_sine() -> None:
    heard = limited(tone(np.full(60 * COUNT, 1.4), 1000)).astype(np.float64)[20 * COUNT : -COUNT, 0]
    angle = 2 * np.pi * 1000 * np.arange(len(heard)) / SAMPLE_RATE
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    fit, *_ = np.linalg.lstsq(basis, heard, rcond=None)
    assert np.std(heard - basis @ fit) < 0.01 * np.std(heard)
