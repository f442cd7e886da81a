"""Synthetic audio: gapless, like speech in level and rhythm, with beeps exactly on the seconds."""

import io
import threading

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.pacing import FastPace, RealPace
from capture.source import SAMPLE_RATE, AudioBlock
from capture.synthetic.audio import (
    BLOCK_SAMPLES,
    LOOP_SECONDS,
    SPEECH_DBFS,
    SyntheticAudio,
    mouth_opening,
    speech_loop,
    syllables,
)
from devices.host.clock import NANOSECONDS
from tests.support.markers import beep_times
from tests.support.simulated import SimulatedClock

STOP = threading.Event()


def blocks(source: SyntheticAudio, count: int) -> list[AudioBlock]:
    source.open()
    found = [source.read(1.0) for _ in range(count)]
    return [block for block in found if block is not None]


def dbfs(samples: NDArray[np.int16]) -> float:
    return float(10 * np.log10(np.mean((samples.astype(float) / 32768) ** 2) + 1e-12))


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_counted_without_a_gap_at_every_pace(channels: int) -> None:
    clock = SimulatedClock()
    media = []
    for pace in (FastPace(("audio",)), RealPace(clock, STOP)):
        found = blocks(SyntheticAudio(pace, STOP, channels), 800)
        assert [block.timestamp_ns - pace.start_ns() for block in found] == [
            number * BLOCK_SAMPLES * NANOSECONDS // SAMPLE_RATE for number in range(800)
        ]
        assert all(block.samples.shape == (BLOCK_SAMPLES, channels) and not block.lost for block in found)
        media.append(np.concatenate([block.samples for block in found]))
    assert np.array_equal(media[0], media[1])
    period = LOOP_SECONDS * SAMPLE_RATE
    assert np.array_equal(media[0][:period], media[0][period : 2 * period])


def test_a_block_comes_when_its_last_sample_does() -> None:
    clock = SimulatedClock()
    source = SyntheticAudio(RealPace(clock, STOP), STOP)
    source.open()
    assert source.read(0.02) is None
    assert source.read(0.02) is not None


def test_beeps_start_exactly_on_the_seconds() -> None:
    samples = np.concatenate([block.samples for block in blocks(SyntheticAudio(FastPace(("audio",)), STOP), 950)])
    for channel in (0, 1):
        times = beep_times(samples[:, channel])
        assert [round(time) for time in times] == list(range(21))
        assert max(abs(time - round(time)) for time in times) < 0.001
    sounding = np.flatnonzero(samples[: SAMPLE_RATE // 10 + SAMPLE_RATE // 100, 0])
    assert sounding[0] < 30
    assert abs(sounding[-1] - SAMPLE_RATE // 10) < 30


def test_it_has_the_level_and_the_rhythm_of_speech() -> None:
    speech = speech_loop(beeps=False)
    assert abs(dbfs(speech[:, 0]) - SPEECH_DBFS) < 0.6, "what is loudest is a little softer"
    assert dbfs(speech[:, 0]) > dbfs(speech[:, 1]) + 1, "left and right can be told apart"
    assert np.abs(speech).max() < 32767 * 0.8, "never near clipping"
    tenths = [dbfs(part) for part in np.split(speech[:, 0], LOOP_SECONDS * 10)]
    assert 0.1 < np.mean([level < -40 for level in tenths]) < 0.5, "it pauses to breathe"
    assert 3 <= len(syllables()) / LOOP_SECONDS <= 6, "syllables a second"


def test_it_has_the_spectrum_of_a_voice() -> None:
    power = np.abs(np.fft.rfft(speech_loop(beeps=False)[:, 0].astype(float))) ** 2
    frequency = np.fft.rfftfreq(LOOP_SECONDS * SAMPLE_RATE, 1 / SAMPLE_RATE)
    assert power[(frequency > 80) & (frequency < 4000)].sum() > 0.9 * power.sum()


def test_the_mouth_moves_with_the_sound() -> None:
    speech = speech_loop(beeps=False)[:, 0]
    step = SAMPLE_RATE // 50
    levels = np.array([dbfs(part) for part in np.split(speech, LOOP_SECONDS * 50)])
    mouth = np.array([mouth_opening((number + 0.5) * step / SAMPLE_RATE) for number in range(LOOP_SECONDS * 50)])
    assert mouth.min() == 0
    assert mouth.max() > 0.9
    assert np.corrcoef(mouth, np.maximum(levels, -50))[0, 1] > 0.7


def test_nobody_can_spoil_the_sound_of_others() -> None:
    (block,) = blocks(SyntheticAudio(FastPace(("audio",)), STOP), 1)
    with pytest.raises(ValueError, match="read-only"):
        block.samples[0] = 1


def test_more_channels_than_two_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or 2 channels"):
        SyntheticAudio(FastPace(("audio",)), STOP, 3)


def test_beeps_are_found_after_an_encoder() -> None:
    samples = np.concatenate([block.samples for block in blocks(SyntheticAudio(FastPace(("audio",)), STOP), 400)])
    file = io.BytesIO()
    with av.open(file, "w", "matroska") as output:
        stream = output.add_stream("aac", SAMPLE_RATE, layout="stereo", bit_rate=64_000)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    file.seek(0)
    with av.open(file, "r") as recorded:
        decoded = [(block.time, block.to_ndarray()[0]) for block in recorded.decode(audio=0)]
    assert decoded[0][0] is not None
    times = [decoded[0][0] + time for time in beep_times(np.concatenate([block for _, block in decoded]))]
    assert [round(time) for time in times] == list(range(9))
    assert max(abs(time - round(time)) for time in times) < 0.001
