"""The mix: gains and mutes that do not click, sums that are exact."""

import numpy as np
import pytest

from capture.source import SAMPLE_RATE, Samples
from recorder.program.mixer import RAMP, Ramp, linear, total_of

COUNT = 1024


def noise(seed: int, level: int = 8000) -> Samples:
    return np.random.default_rng(seed).integers(-level, level, (COUNT, 2), np.int16)


def test_one_input_at_0_db_passes_as_it_is() -> None:
    samples = noise(1)
    assert total_of([Ramp(linear(0.0)).apply(samples)]) is samples


def test_several_are_summed_exactly() -> None:
    parts = [noise(seed) for seed in range(4)]
    before = [part.copy() for part in parts]
    heard = total_of(parts)
    assert heard is not None
    assert (heard == sum(part.astype(np.int32) for part in before)).all()
    assert all((part == as_it_was).all() for part, as_it_was in zip(parts, before, strict=True))


@pytest.mark.parametrize(("gain_db", "factor"), [(-6.0206, 0.5), (6.0206, 2.0), (-20, 0.1)])
def test_a_gain_is_in_decibels(gain_db: float, factor: float) -> None:
    samples = noise(1)
    assert Ramp(linear(gain_db)).apply(samples) == pytest.approx(samples * factor, abs=0.5)


def test_a_muted_input_costs_nothing_and_the_other_passes_as_it_is() -> None:
    muted, heard, samples = Ramp(0.0), Ramp(1.0), noise(1)
    assert total_of([muted.apply(noise(2)), heard.apply(samples)]) is samples
    heard.target = 0.0
    assert heard.apply(samples) is not None, "it is turned down"
    assert total_of([muted.apply(samples), heard.apply(samples)]) is None


def test_no_mute_clicks() -> None:
    mute = Ramp(1.0)
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
