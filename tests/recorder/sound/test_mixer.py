"""The mixer: gains and mutes that do not click, sums that are exact, names that must be right."""

import numpy as np
import pytest

from capture.source import SAMPLE_RATE, Samples
from config.errors import UsageError
from recorder.sound.mixer import RAMP, Heard, Mixer, total_of
from tests.support.tracks import microphone

COUNT = 1024


def noise(seed: int, level: int = 8000) -> Samples:
    return np.random.default_rng(seed).integers(-level, level, (COUNT, 2), np.int16)


def mixed(mixer: Mixer, *inputs: Samples) -> Heard:
    unmuted = [strip.mute.apply(samples) for strip, samples in zip(mixer.strips, inputs, strict=True)]
    return total_of(mixer.turned(unmuted))


def test_one_input_at_0_db_passes_as_it_is() -> None:
    samples = noise(1)
    assert mixed(Mixer([microphone("a")]), samples) is samples


def test_several_are_summed_exactly() -> None:
    parts = [noise(seed) for seed in range(4)]
    before = [part.copy() for part in parts]
    heard = mixed(Mixer([microphone(name) for name in "abcd"]), *parts)
    assert heard is not None
    assert (heard == sum(part.astype(np.int32) for part in before)).all()
    assert all((part == as_it_was).all() for part, as_it_was in zip(parts, before, strict=True))


@pytest.mark.parametrize(("gain_db", "factor"), [(-6.0206, 0.5), (6.0206, 2.0), (-20, 0.1)])
def test_a_gain_is_in_decibels(gain_db: float, factor: float) -> None:
    samples = noise(1)
    heard = mixed(Mixer([microphone("a", gain_db=gain_db)]), samples)
    assert heard == pytest.approx(samples * factor, abs=0.5)


def test_a_muted_input_costs_nothing_and_the_other_passes_as_it_is() -> None:
    mixer, samples = Mixer([microphone("a"), microphone("b")]), noise(1)
    mixer.mute("a", on=True)
    mixed(mixer, samples, samples)
    assert mixed(mixer, noise(2), samples) is samples
    mixer.mute(None, on=True)
    mixed(mixer, samples, samples)
    assert mixed(mixer, samples, samples) is None
    mixer.mute(None, on=False)
    mixed(mixer, samples, samples)
    heard = mixed(mixer, samples, samples)
    assert heard is not None
    assert (heard == samples.astype(np.int32) * 2).all()


def test_no_mute_clicks() -> None:
    mixer = Mixer([microphone("a")])
    constant = np.full((COUNT, 2), 20_000, np.int16)
    pieces = [mixed(mixer, constant)]
    for on in (True, False):
        mixer.mute("a", on=on)
        pieces.append(mixed(mixer, constant))
    heard = np.concatenate([np.zeros((COUNT, 2)) if piece is None else piece for piece in pieces])[:, 0]
    steps = np.abs(np.diff(heard))
    assert steps.max() <= 20_000 / RAMP + 1  # it takes all of 10 ms
    assert (heard[COUNT + RAMP : 2 * COUNT] <= 20.1).all()
    assert (heard[2 * COUNT + RAMP :] == 20_000).all()
    assert RAMP == SAMPLE_RATE // 100


def test_a_name_that_is_wrong_is_refused_with_the_right_ones() -> None:
    mixer = Mixer([microphone("podium"), microphone("ruang")])
    with pytest.raises(UsageError, match='did you mean "podium"') as caught:
        mixer.mute("podum", on=True)
    assert "podium, ruang" in caught.value.hint
    assert not any(strip.is_muted for strip in mixer.strips)
