"""Resampling: what comes out is the same sound, however it is cut into blocks; what need not be touched is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE, Samples
from recorder.program.resampler import HALF, Resampler


def sine(hertz: float, seconds: float = 2.0, channels: int = 1) -> Samples:
    """Return a sine at half of full scale; the second channel has the cosine."""
    angle = 2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.rint(16_384 * np.stack([np.sin(angle), np.cos(angle)][:channels], axis=1)).astype(np.int16)


def resampled(resampler: Resampler, samples: Samples, size: int = 960) -> NDArray[np.float64]:
    pieces = [resampler.process(samples[at : at + size]) for at in range(0, len(samples), size)]
    return np.concatenate([*pieces, resampler.flush()]).astype(np.float64)


def noise_db(heard: NDArray[np.float64], cycles_per_sample: float) -> float:
    """Return what of `heard` is not the sine (THD+N), below the sine."""
    angle = 2 * np.pi * cycles_per_sample * np.arange(len(heard))
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    fit, *_ = np.linalg.lstsq(basis, heard, rcond=None)
    pure = basis @ fit
    return float(20 * np.log10(np.std(heard - pure) / np.std(pure)))


@pytest.mark.parametrize("ppm", [300, -300, 2000])
@pytest.mark.parametrize("hertz", [50, 1000, 10_000, 18_000])
def test_a_sine_stays_a_sine(ppm: int, hertz: int) -> None:
    resampler = Resampler(2)
    resampler.step = 1 + ppm * 1e-6
    heard = resampled(resampler, sine(hertz, channels=2))[1000:-1000]
    for channel in range(2):
        # 16 bits at half of full scale allow -92.
        assert noise_db(heard[:, channel], hertz / SAMPLE_RATE * resampler.step) < -90


def test_what_is_not_resampled_is_not_touched() -> None:
    resampler, samples = Resampler(2), sine(440, channels=2)
    assert resampler.process(samples) is samples
    assert resampler.held == 0
    assert not resampler.is_active
    assert not len(resampler.flush())


@pytest.mark.parametrize("size", [1, 7, 128, 960, 5000])
def test_blocks_of_any_size_make_the_same_sound(size: int) -> None:
    samples = sine(3000, 0.2, 2)
    whole, pieces = Resampler(2), Resampler(2)
    whole.step = pieces.step = 1 - 250e-6
    expected, heard = resampled(whole, samples, len(samples)), resampled(pieces, samples, size)
    assert len(heard) == len(expected)
    assert np.abs(heard - expected).max() < 0.01


@pytest.mark.parametrize("step", [1 + 300e-6, 1 - 300e-6, 1.0])
def test_what_is_held_comes_out_last(step: float) -> None:
    samples = sine(100, 1)
    resampler = Resampler(1)
    resampler.step = step
    made = len(resampler.process(samples))
    assert resampler.held == pytest.approx(len(samples) / step - made, abs=1e-6)
    rest = len(resampler.flush())
    assert made + rest == pytest.approx(len(samples) / step, abs=1)
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


def test_the_first_resampled_ones_know_what_was_before() -> None:
    samples, step = sine(5000), 1 + 2000e-6
    resampler = Resampler(1)
    resampler.process(samples[:1003])
    resampler.step = step
    heard = resampler.process(samples[1003:2000])[:64, 0]
    places = (1003 + step * np.arange(64)) / SAMPLE_RATE
    assert heard == pytest.approx(16_384 * np.sin(2 * np.pi * 5000 * places), abs=2)


def test_after_a_flush_nothing_of_before_is_heard() -> None:
    resampler = Resampler(1)
    resampler.step = 1 + 100e-6
    resampler.process(np.full((960, 1), 30_000, np.int16))
    resampler.flush()
    assert not resampler.process(np.zeros((960, 1), np.int16)).any()
