"""Loudness, against what the ffmpeg command measures of the same file."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from capture.source import SAMPLE_RATE, Samples
from recorder.encode.encoder import AAC_FRAME
from recorder.model.status import Loudness
from recorder.program.mixer import LoudnessMeter
from tests.support.speech import speech_loop


def measured(samples: Samples) -> Loudness:
    meter = LoudnessMeter(samples.shape[1])
    for at in range(0, len(samples), AAC_FRAME):
        meter.feed(samples[at : at + AAC_FRAME])
    return meter.reading


def by_ffmpeg(path: Path, samples: Samples) -> tuple[float, float]:
    """Return the integrated loudness and the range that `ffmpeg -af ebur128` tells of `samples`."""
    path.write_bytes(samples.tobytes())
    words = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", str(samples.shape[1]), "-i", str(path)]
    done = subprocess.run(
        ["ffmpeg", "-hide_banner", *words, "-af", "ebur128", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    summary = done.stderr[done.stderr.rindex("Summary:") :]
    return tuple(float(re.search(rf"{letter}:\s+(-?[\d.]+) LU", summary)[1]) for letter in ("I", "LRA"))  # type: ignore[index, return-value] # they are there


def speech(seconds: float, channels: int) -> Samples:
    """Return speech that grows softer and louder, and a noise."""
    loop = speech_loop(beeps=False)[:, :channels]
    count = round(seconds * SAMPLE_RATE)
    whole = np.tile(loop, (count // len(loop) + 1, 1))[:count].astype(np.float64)
    swell = 0.6 + 0.5 * np.sin(np.arange(count) / SAMPLE_RATE * 0.5)[:, None]
    noise = np.random.default_rng(20261125).normal(0, 60, whole.shape)
    return np.clip(whole * swell + noise, -32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize("channels", [1, 2])
def test_it_is_what_ffmpeg_measures(tmp_path: Path, channels: int) -> None:
    samples = speech(30, channels)
    integrated, loudness_range = by_ffmpeg(tmp_path / "speech.raw", samples)
    reading = measured(samples)
    assert reading.integrated_lufs == pytest.approx(integrated, abs=0.1)
    assert reading.range_lu == pytest.approx(loudness_range, abs=0.1)
    assert loudness_range > 3


def test_a_sine_is_as_loud_as_the_standard_says() -> None:
    # EBU Tech 3341, test case 1: 1 kHz in both channels at -23 dBFS is -23 LUFS.
    angle = 2 * np.pi * 1000 * np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    wave = np.rint(32_768 * 10 ** (-23 / 20) * np.sin(angle)).astype(np.int16)
    reading = measured(np.stack([wave, wave], axis=1))
    assert reading.momentary_lufs == pytest.approx(-23, abs=0.1)
    assert reading.short_term_lufs == pytest.approx(-23, abs=0.1)
    assert reading.integrated_lufs == pytest.approx(-23, abs=0.1)


def test_silence_has_no_loudness() -> None:
    assert measured(np.zeros((5 * SAMPLE_RATE, 2), np.int16)) == Loudness()
