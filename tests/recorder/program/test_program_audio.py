"""The program's sound on a clock that moves when told: each sample where its time says, else silence."""

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.source import SAMPLE_RATE, AudioBlock, Samples
from capture.synthetic.audio import speech_loop
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import AAC_FRAME
from recorder.model.packet import Track
from recorder.model.status import Loudness
from recorder.program.mixer import FLOOR_DBFS, LoudnessMeter
from recorder.program.mixer_input import MixerInput
from tests.support.tracks import Rig, in_time

BLOCK = 960
DELAY_S = 0.03
LOUD = 10_000

type Script = list[tuple[int, AudioBlock]]
"""When each block arrives on the session clock, and the block."""


def block(rig: Rig, start_s: float, samples: Samples, *, lost: bool = False) -> tuple[int, AudioBlock]:
    """Return a block whose first sample was captured at `start_s`, and when it arrives."""
    arrives_s = start_s + len(samples) / SAMPLE_RATE + DELAY_S
    return rig.at(arrives_s), AudioBlock(rig.at(start_s), samples, lost)


def microphone(rig: Rig, first_s: float, last_s: float, *, channels: int = 1) -> Script:
    """Return what a microphone gives in a span of media time: a step of LOUD: every sample tells."""
    count = round((last_s - first_s) * SAMPLE_RATE / BLOCK)
    samples = np.full((BLOCK, channels), LOUD, np.int16)
    return [block(rig, first_s + number * BLOCK / SAMPLE_RATE, samples) for number in range(count)]


def run(rig: Rig, script: Script, *, channels: int = 1, ends: bool = False, lost: bool = False) -> MixerInput:
    track = rig.audio(script, channels=channels, ends=ends, lost=lost)
    in_time(track.run)
    assert rig.encoder.flushed == [Track.AUDIO]
    # Samples follow each other without a gap, in whole AAC frames but for the last.
    lengths = [len(piece) for piece in rig.encoder.pieces]
    assert set(lengths[:-1]) <= {AAC_FRAME}
    assert rig.encoder.pts == [0, *itertools.accumulate(lengths[:-1])]
    (lane,) = track.lanes
    assert track.samples == lane.position == sum(lengths)
    return lane


def sounding(rig: Rig) -> list[tuple[float, float]]:
    """Return the spans, in seconds, that are not silent."""
    loud = np.concatenate([[False], rig.encoder.samples[:, 0] != 0, [False]])
    edges = np.flatnonzero(np.diff(loud.astype(np.int8))) / SAMPLE_RATE
    return [(float(first), float(last)) for first, last in edges.reshape(-1, 2)]


def spans(*expected: tuple[float, float]) -> object:
    return [pytest.approx(span, abs=1.5 / SAMPLE_RATE) for span in expected]


def test_a_minute_is_a_minute_of_samples() -> None:
    rig = Rig()
    rig.timeline.end_at(60 * NANOSECONDS)
    lane = run(rig, microphone(rig, 0, 61))
    assert (lane.position, lane.silence, lane.resampled, lane.lost) == (60 * SAMPLE_RATE, 0, 0, 0)
    assert sounding(rig) == spans((0, 60))
    assert rig.events == []


def test_sound_that_begins_later_has_silence_before_it() -> None:
    rig = Rig()
    rig.timeline.end_at(2 * NANOSECONDS)
    run(rig, microphone(rig, 0.15, 3))
    assert sounding(rig) == spans((0.15, 2))


@pytest.mark.parametrize("gap_s", [0.12, 0.25, 0.5, 3.0])
def test_a_gap_is_silence_of_its_length(gap_s: float) -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    script = microphone(rig, 0, 2) + microphone(rig, 2 + gap_s, 9)
    lane = run(rig, script)
    assert sounding(rig) == spans((0, 2), (2 + gap_s, 8))
    assert lane.silence == pytest.approx(gap_s * SAMPLE_RATE, abs=2)
    kinds = [kind for kind, _ in rig.events]
    # One that is over before our patience is told when it is over, a longer one as it begins and ends.
    assert kinds == (["sound-gap"] if gap_s < 0.3 else ["source-silent", "source-returned"])


@pytest.mark.parametrize("delay_s", [0.0, 0.04, 0.15, 0.25])
def test_sound_that_returns_stands_where_it_was_captured(delay_s: float) -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    script = [(arrives_ns + round((delay_s - DELAY_S) * NANOSECONDS), part)
              for arrives_ns, part in microphone(rig, 0, 1) + microphone(rig, 3, 7)]  # fmt: skip
    lane = run(rig, script)
    assert sounding(rig) == spans((0, 1), (3, 6))
    assert lane.resampled == 0


def test_what_comes_after_its_place_was_filled_is_cut() -> None:
    rig = Rig()
    rig.timeline.end_at(6 * NANOSECONDS)
    held_up = [(max(arrives_ns, rig.at(3)), part) for arrives_ns, part in microphone(rig, 1, 7)]
    run(rig, microphone(rig, 0, 1) + held_up)
    ((_, before), (after, last)) = sounding(rig)
    assert before == pytest.approx(1, abs=0.001)
    # At 3.0 s silence stood up to 2.7 s, or an AAC frame more.
    assert after == pytest.approx(2.7, abs=0.03)
    assert last == pytest.approx(6, abs=0.001)


def drifting(rig: Rig, seconds: int, drift: float) -> Iterator[tuple[int, AudioBlock]]:
    """Yield what a microphone gives whose crystal is off by `drift`, stamped with up to 2 ms of jitter.

    Once a second, by the session's clock, its sound has one sample that tells: 1 s as 1, 2 s as 2, …
    """
    size = 2048
    rate = SAMPLE_RATE * (1 + drift)
    jitter = np.random.default_rng(7).uniform(-0.002, 0.002, int(seconds * rate / size) + 2)
    told = 1
    for number in range(int(seconds * rate / size) + 2):
        first = number * size
        samples = np.zeros((size, 1), np.int16)
        while (place := round(told * rate)) < first + size:
            samples[place - first] = 20_000
            told += 1
        start_s = first / rate + float(jitter[number])
        yield rig.at((first + size) / rate + DELAY_S), AudioBlock(rig.at(start_s), samples)


@pytest.mark.parametrize("drift", [300e-6, -300e-6, 50e-6])
def test_drift_stays_within_20_ms(drift: float) -> None:
    rig = Rig()
    seconds = 300
    rig.timeline.end_at(seconds * NANOSECONDS)
    lane = run(rig, list(drifting(rig, seconds, drift)))
    heard = np.flatnonzero(np.diff(np.concatenate([[0], (rig.encoder.samples[:, 0] > 4000).astype(np.int8)])) > 0)
    assert len(heard) >= seconds - 1
    off = heard / SAMPLE_RATE - np.arange(1, len(heard) + 1)
    assert np.abs(off).max() < 0.020
    assert lane.ppm == pytest.approx(drift * 1e6, abs=1)
    assert lane.silence <= 0.002 * SAMPLE_RATE  # the first stamp's jitter
    assert lane.position == seconds * SAMPLE_RATE
    assert rig.events == []


def test_a_steady_microphone_is_not_touched_however_its_stamps_jitter() -> None:
    rig = Rig()
    rig.timeline.end_at(120 * NANOSECONDS)
    lane = run(rig, list(drifting(rig, 120, 0.0)))
    assert lane.resampled == 0
    assert lane.silence <= 0.002 * SAMPLE_RATE


def test_samples_that_nobody_said_were_lost_are_made_up_for_by_and_by() -> None:
    rig = Rig()
    rig.timeline.end_at(150 * NANOSECONDS)
    short = list(drifting(rig, 60, 0.0))
    script = short + [
        (at + 50_000_000, AudioBlock(part.timestamp_ns + 50_000_000, part.samples))
        for at, part in drifting(rig, 151, 0.0)
        if part.timestamp_ns > short[-1][1].timestamp_ns + 20_000_000
    ]
    lane = run(rig, script)
    heard = np.flatnonzero(rig.encoder.samples[:, 0] > 4000) / SAMPLE_RATE
    off = np.round(heard) + 0.05 - heard
    assert off[(heard > 62) & (heard < 64)].max() > 0.04
    assert np.abs(off[heard > 140]).max() < 0.02
    assert lane.silence <= 0.002 * SAMPLE_RATE
    assert lane.resampled > 0


def test_what_the_resampler_holds_is_heard_before_the_silence() -> None:
    rig = Rig()
    rig.timeline.end_at(60 * NANOSECONDS)
    rate = SAMPLE_RATE * (1 + 300e-6)
    loud = np.full((BLOCK, 1), LOUD, np.int16)
    starts = [number * BLOCK / rate for number in range(int(61 * rate / BLOCK))]
    script = [
        (rig.at(start + BLOCK / rate + DELAY_S), AudioBlock(rig.at(start), loud))
        for start in starts
        if not 40 <= start < 42
    ]
    lane = run(rig, script)
    assert lane.resampled > 0
    loud_spans = sounding(rig)
    assert len(loud_spans) == 2
    # The sound goes on to where the device's clock had it, within what is left alone.
    assert [edge for span in loud_spans for edge in span] == pytest.approx([0, 40, 42, 60], abs=0.025)
    assert lane.silence / SAMPLE_RATE == pytest.approx(2, abs=0.01)


def test_small_blocks_are_kept_in_step_too() -> None:
    rig = Rig()
    rig.timeline.end_at(100 * NANOSECONDS)
    rate, size = SAMPLE_RATE * (1 + 300e-6), 128
    silent = np.ones((size, 1), np.int16)
    script = [(rig.at((number + 1) * size / rate + DELAY_S), AudioBlock(rig.at(number * size / rate), silent))
              for number in range(int(100 * rate / size) + 1)]  # fmt: skip
    lane = run(rig, script)
    assert lane.ppm == pytest.approx(300, abs=1)


def test_stopped_in_the_middle_it_ends_there() -> None:
    rig = Rig()
    script = microphone(rig, 0, 10)

    def stop(at_s: float) -> None:
        if at_s > 1.9:
            rig.timeline.end_at(int(2.34567 * NANOSECONDS))

    rig.encoder.on_sound = stop
    lane = run(rig, script)
    assert lane.position == int(2.34567 * SAMPLE_RATE)
    assert rig.clock.now_ns() < rig.at(2.45)


def test_a_file_that_is_shorter_than_the_pictures_is_silence_from_its_end_on() -> None:
    rig = Rig(live=False, ending=(Track.VIDEO, Track.AUDIO))
    rig.timeline.advance(Track.VIDEO, 8 * NANOSECONDS)
    rig.released = lambda track: rig.timeline.source_ended(Track.VIDEO) if track == "audio" else None
    lane = run(rig, microphone(rig, 0, 5), ends=True)
    assert (lane.position, lane.silence) == (8 * SAMPLE_RATE, 3 * SAMPLE_RATE)


def test_levels_are_peaks_in_dbfs_for_each_channel() -> None:
    rig = Rig()
    rig.timeline.end_at(1 * NANOSECONDS)
    samples = np.tile(np.array([[16384, 0]], np.int16), (BLOCK, 1))
    script = [block(rig, number * BLOCK / SAMPLE_RATE, samples) for number in range(60)]
    track = rig.audio(script, channels=2)
    in_time(track.run)
    assert track.levels_dbfs == [pytest.approx(-6.02, abs=0.01), FLOOR_DBFS]


def test_a_meter_that_fails_is_switched_off_and_the_sound_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.timeline.end_at(2 * NANOSECONDS)
    track = rig.audio(microphone(rig, 0, 3))

    def fails(*_: object) -> None:
        raise RuntimeError("no such filter")

    monkeypatch.setattr(LoudnessMeter, "feed", fails)
    in_time(track.run)
    assert sounding(rig) == spans((0, 2))
    assert rig.events == [("meter-failed", "loudness")]
    assert track.loudness == Loudness()


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
