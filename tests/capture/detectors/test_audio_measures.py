"""The check of three seconds of audio: levels, silence, clipping, hum."""

import numpy as np
import pytest

from capture.detectors.audio_measures import SoundCheck, SoundCheckResult
from capture.source import Samples
from tests.capture.detectors.sounds import Sound, mains, noise, samples, speech


def heard(sound: Sound | Samples, *, block: int = 1024) -> SoundCheckResult:
    pcm = sound if sound.dtype == np.int16 else samples(np.asarray(sound, np.float64))
    listening = SoundCheck(pcm.shape[1], 50)
    for start in range(0, len(pcm), block):
        listening.hear(pcm[start : start + block].astype(np.int16))
    found = listening.heard()
    assert found is not None
    return found


def test_speech_is_as_loud_as_it_is_and_nothing_is_wrong_with_it() -> None:
    found = heard(speech(3.0, dbfs=-24))
    assert found.level_dbfs == pytest.approx(-18, abs=3)  # its loudest syllables, not the whole with its pauses
    assert (found.seconds, found.is_nothing, found.clipped_s) == (3.0, False, 0.0)
    assert found.hum_dbfs is not None
    assert found.hum_dbfs < -60


def test_hum_is_found_in_three_seconds_under_a_voice_too() -> None:
    found = heard(speech(3.0) + mains(3.0, -35))
    assert found.hum_dbfs == pytest.approx(-35, abs=4)


@pytest.mark.parametrize("from_s", range(6))
def test_a_voice_alone_is_no_hum(from_s: int) -> None:
    found = heard(speech(9.0)[from_s * 48_000 :][: 3 * 48_000])
    assert found.hum_dbfs is not None
    assert found.hum_dbfs < -60


def test_nothing_is_told_from_hardly_anything() -> None:
    assert heard(np.zeros((144_000, 2), np.int16)).is_nothing
    found = heard(noise(3.0, -85))
    assert not found.is_nothing
    assert found.level_dbfs == pytest.approx(-85, abs=2)


def test_a_channel_with_nothing_in_it_is_seen_beside_the_other() -> None:
    left = speech(3.0)
    left[:, 1] = 0
    found = heard(left)
    assert found.levels_dbfs[0] > -25
    assert found.levels_dbfs[1] == -100


def test_clipped_seconds_are_counted() -> None:
    found = heard(np.concatenate((speech(1.5), 40 * speech(1.5))))
    assert found.clipped_s == pytest.approx(1.5, abs=0.5)
    assert max(found.peaks_dbfs) == 0


def test_less_than_half_a_second_says_nothing() -> None:
    listening = SoundCheck(2, 50)
    listening.hear(np.zeros((23_999, 2), np.int16))
    assert listening.heard() is None
    listening.hear(np.zeros((1, 2), np.int16))
    assert listening.heard() is not None
