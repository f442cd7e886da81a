"""The offset of audio, from flashes and claps among other motion and sounds."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.detectors.lipsync import AudioOffset, VisualEvents, measure_offset, median_delay, onsets
from capture.media.pictures import plane_views
from capture.source import SAMPLE_RATE, Samples
from capture.synthetic.audio import speech_loop
from capture.synthetic.video import SyntheticPainter

RATE = 30
SIZE = 320, 180
CLAPS = (1.02, 2.31, 3.73, 5.0)
SECONDS = 6


def shown(luma: NDArray[np.uint8]) -> av.VideoFrame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p")
    plane_views(picture)[0][:] = luma
    return picture


def flashing() -> Iterator[av.VideoFrame]:
    """Yield the synthetic speaker with a lamp that is lit at each full second."""
    painter = SyntheticPainter(*SIZE, Fraction(RATE))
    return (painter.draw(number) for number in range(SECONDS * RATE))


def clapping() -> Iterator[av.VideoFrame]:
    """Yield two hands that come together at CLAPS and part slowly, before a noisy wall."""
    random = np.random.default_rng(2)
    for number in range(SECONDS * RATE):
        at_s = number / RATE
        luma = random.normal(110, 2, SIZE[::-1])
        apart = round(90 * min(1.0, *((clap - at_s) / 0.2 if at_s < clap else (at_s - clap) / 0.6 for clap in CLAPS)))
        middle = SIZE[0] // 2
        for left in (middle - 40 - apart, middle + apart):
            luma[60:120, left : left + 40] = 190
        yield shown(luma.clip(16, 235).astype(np.uint8))


def beeps() -> Samples:
    return np.asarray(speech_loop(beeps=True)[: SECONDS * SAMPLE_RATE], np.int16)


def claps() -> Samples:
    """Return bangs at these times that fade over room noise."""
    random = np.random.default_rng(4)
    sound = random.normal(0, 30, SECONDS * SAMPLE_RATE)
    fading = np.exp(-np.arange(SAMPLE_RATE // 5) / (0.02 * SAMPLE_RATE)) * random.normal(0, 9000, SAMPLE_RATE // 5)
    for at_s in CLAPS:
        first = round(at_s * SAMPLE_RATE)
        sound[first : first + len(fading)] += fading
    return np.repeat(sound.clip(-32768, 32767).astype(np.int16)[:, None], 2, axis=1)


def measured(pictures: Iterator[av.VideoFrame], sound: Samples, late_s: float) -> AudioOffset | None:
    seeing = VisualEvents()
    for number, picture in enumerate(pictures):
        seeing.see(picture, number / RATE)
    return measure_offset(seeing, [begun + late_s for begun in onsets(sound)])


@pytest.mark.parametrize("late_s", [-0.3, -0.06, 0.0, 0.05, 0.25])
@pytest.mark.parametrize(
    ("pictures", "sound", "kind", "within_s"),
    [(flashing, beeps, "flash", 0.005), (clapping, claps, "clap", 2 / RATE)],
)
def test_sound_that_is_late_or_early_is_measured(
    late_s: float, pictures: Callable[[], Iterator[av.VideoFrame]], sound: Callable[[], Samples], kind: str,
    within_s: float,
) -> None:  # fmt: skip
    found = measured(pictures(), sound(), late_s)
    assert found is not None
    assert found.kind == kind
    assert found.times >= 3
    assert found.offset_s == pytest.approx(late_s, abs=within_s)


def test_people_who_speak_and_move_are_not_measured_by() -> None:
    speech = np.asarray(speech_loop(beeps=False)[: SECONDS * SAMPLE_RATE], np.int16)
    assert measured(flashing(), speech, 0.0) is None
    assert measured(clapping(), speech, 0.0) is None
    assert measured(clapping(), np.zeros((SECONDS * SAMPLE_RATE, 2), np.int16), 0.0) is None


def test_a_picture_that_stands_still_has_nothing_to_measure_by() -> None:
    still = shown(np.full(SIZE[::-1], 90, np.uint8))
    assert measured((still for _ in range(SECONDS * RATE)), claps(), 0.0) is None


def test_each_bang_begins_once_and_where_it_does() -> None:
    assert onsets(claps()) == pytest.approx(CLAPS, abs=0.003)
    assert onsets(np.zeros((10, 2), np.int16)) == []


def test_two_that_agree_are_too_few_and_those_that_do_not_agree_are_none() -> None:
    assert median_delay([1.0, 2.0], [1.1, 2.1], 9.0) is None
    assert median_delay([1.0, 2.0, 3.0], [1.125, 2.125, 3.125], 9.0) == (0.125, 3)
    assert median_delay([1.0, 2.0, 3.0], [1.1, 2.2, 3.35], 9.0) is None
    assert median_delay([1.0, 2.0, 3.0], [], 9.0) is None


def test_where_sounds_begin_all_the_time_three_agree_by_chance() -> None:
    always = [0.1 + 0.2 * number for number in range(45)]
    assert median_delay([1.0, 2.0, 3.0], always, 9.0) is None
