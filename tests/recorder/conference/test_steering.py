"""What waits to be played stays short, whatever the sink's clock does."""

import numpy as np
import pytest

from capture.source import SAMPLE_RATE
from recorder.conference.bus import MOST, MOST_STEP, WANTED, Steering
from recorder.encoder import AAC_FRAME

FRAME = np.zeros((AAC_FRAME, 1), np.int16)


def run(ppm: float, minutes: float, first: int = WANTED) -> tuple[Steering, list[float]]:
    """Play into a sink whose clock is off by `ppm`; return how many samples waited after each frame of sound."""
    steering, waiting, waited = Steering(1), float(first), []
    for _ in range(round(minutes * 60 * SAMPLE_RATE / AAC_FRAME)):
        given = len(steering.steered(FRAME, round(waiting)))
        waiting = max(0.0, waiting + given - AAC_FRAME * (1 + ppm * 1e-6))
        waited.append(waiting)
    return steering, waited


@pytest.mark.parametrize("ppm", [-300, -100, 100, 300])
def test_a_sink_with_a_clock_of_its_own_neither_runs_dry_nor_falls_behind(ppm: int) -> None:
    steering, waited = run(ppm, 6)
    assert min(waited[-3000:]) > SAMPLE_RATE * 0.03
    assert max(waited) < MOST
    assert steering.dropped == 0
    assert (1 / steering.step - 1) * 1e6 == pytest.approx(ppm, abs=30)


def test_a_sink_with_our_clock_gets_every_sample_as_it_is() -> None:
    steering = Steering(1)
    sound = np.random.default_rng(1).integers(-9000, 9000, (400 * AAC_FRAME, 1), np.int16)
    frames = [sound[at : at + AAC_FRAME] for at in range(0, len(sound), AAC_FRAME)]
    played = np.concatenate([steering.steered(frame, WANTED) for frame in frames])
    assert np.array_equal(played[-len(sound) :], sound)  # behind the silence it begins with
    assert len(played) - len(sound) == WANTED // 2


def test_what_came_late_is_dropped_at_once_until_little_waits() -> None:
    steering, waited = run(0, 0.2, first=MOST + SAMPLE_RATE)
    late = next(number for number, waiting in enumerate(waited) if waiting <= WANTED)
    assert late * AAC_FRAME < 1.3 * SAMPLE_RATE
    assert steering.dropped == pytest.approx(SAMPLE_RATE + MOST - WANTED, abs=3 * AAC_FRAME)
    assert max(waited[late:]) < MOST


def test_the_pitch_is_never_off_by_what_people_hear() -> None:
    steering, _ = run(5000, 1)
    assert abs(steering.step - 1) == pytest.approx(MOST_STEP)
