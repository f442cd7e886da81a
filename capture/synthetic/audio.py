"""Synthetic audio: meaningless speech that repeats after 8 s, with a beep at each flash of the synthetic picture."""

import functools
import math
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capture.pacing import Pace
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource, Samples
from devices.host.clock import NANOSECONDS

LOOP_SECONDS = 8  # length of the speech loop; whole seconds, so that beeps fit in

LOOP_SAMPLES = LOOP_SECONDS * SAMPLE_RATE

SPEECH_DBFS = -20.0  # RMS level of the speech over the whole loop

BEEP_HZ = 1000
BEEP_SECONDS = 0.1
BEEP_PEAK = 0.25
BEEP_RAMP_SECONDS = 0.0005
_HUSH_SECONDS = 0.02  # speech is silent around a beep, so that its edges can be found exactly
_AIR_DBFS = -66.0  # a room is never digitally silent
_SEED = 20_260
_LATER = 14  # samples
_HISS_BEFORE_S = 0.02
_HISSES = 0.45  # least audible hiss

_VOWELS = {
    "a": ((750, 90), (1250, 110), (2600, 160), (3600, 250)),
    "e": ((480, 70), (1900, 100), (2600, 160), (3600, 250)),
    "i": ((300, 60), (2250, 100), (3000, 170), (3700, 250)),
    "o": ((480, 70), (900, 80), (2500, 160), (3500, 250)),
    "u": ((330, 60), (760, 80), (2400, 160), (3400, 250)),
}  # formants of a man's vowels: centre and bandwidth in Hz

type Voice = NDArray[np.float32]

_OPENINGS = {"a": 1.0, "e": 0.7, "i": 0.45, "o": 0.8, "u": 0.5}


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable of the loop; times in seconds, pitch in Hz at its start."""

    start: float
    length: float
    vowel: str
    pitch: float
    hiss: float

    def loudness(self, seconds: float) -> float:
        """Return its loudness, 0 to 1, at a time of the loop."""
        place = (seconds - self.start) / self.length
        return math.sin(math.pi * place) ** 0.6 if 0 < place < 1 else 0.0


@functools.cache
def syllables() -> tuple[Syllable, ...]:
    """Return the loop's syllables in order: phrases that fall in pitch, and pauses to breathe."""
    random = np.random.default_rng(_SEED)
    plan: list[Syllable] = []
    now = 0.15
    while True:
        count, pitch = int(random.integers(5, 11)), random.uniform(125, 150)
        for number in range(count):
            length = random.uniform(0.13, 0.23) * (1.35 if number == count - 1 else 1.0)
            if now + length > LOOP_SECONDS - 0.1:
                return tuple(plan)
            falling = pitch * (1 - 0.25 * number / count) * random.uniform(0.96, 1.04)
            vowel = str(random.choice(list(_VOWELS), p=(0.4, 0.18, 0.18, 0.12, 0.12)))
            plan.append(Syllable(now, length, vowel, falling, random.uniform(0, 1)))
            now += length + random.uniform(0.01, 0.04)
        now += random.uniform(0.3, 0.55)


def mouth_opening(seconds: float) -> float:
    """Return how far the speaker's mouth is open, 0 to 1, at a media time."""
    now = seconds % LOOP_SECONDS
    return max((_OPENINGS[syllable.vowel] * syllable.loudness(now) for syllable in syllables()), default=0.0)


@functools.cache
def speech_loop(*, beeps: bool) -> Samples:
    """Return LOOP_SECONDS of stereo speech, read-only, with or without a beep at the start of each second."""
    chance = np.random.default_rng(_SEED + 1)
    voice = np.zeros(LOOP_SAMPLES, np.float32)
    for syllable in syllables():
        _add(voice, syllable.start, _vowel(syllable))
        if syllable.hiss > _HISSES:
            _add(voice, syllable.start - _HISS_BEFORE_S, _consonant(syllable, chance))
    _response.cache_clear()  # frees megabytes
    voice *= 10 ** (SPEECH_DBFS / 20) / math.sqrt(float(np.mean(voice**2))) / 0.7
    np.tanh(voice, out=voice)
    voice *= 0.7
    stereo = 10 ** (_AIR_DBFS / 20) * chance.standard_normal((LOOP_SAMPLES, 2), np.float32)
    stereo[:, 0] += voice
    stereo[_LATER:, 1] += 0.85 * voice[:-_LATER]  # the loop ends in silence
    if beeps:
        _add_beeps(stereo)
    samples = np.clip(np.rint(stereo * 32768), -32768, 32767).astype(np.int16)
    samples.setflags(write=False)
    return samples


def _add(voice: Voice, start: float, sound: Voice) -> None:
    first = max(0, round(start * SAMPLE_RATE))
    voice[first : first + len(sound)] += sound[: len(voice) - first]


def _vowel(syllable: Syllable) -> Voice:
    """Return a pulse train that falls in pitch, shaped by the vowel's formants."""
    count = round(syllable.length * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    cycles = np.cumsum(syllable.pitch * (1 - 0.12 * time / syllable.length)) / SAMPLE_RATE
    pulses = np.diff(np.floor(cycles), prepend=0.0).astype(np.float32)
    padded = _fast(2 * count)
    sound = np.fft.irfft(np.fft.rfft(pulses, padded) * _response(syllable.vowel, padded), padded)[:count]
    envelope = np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 0.6
    return np.asarray(sound * envelope / math.sqrt(float(np.mean(sound**2)) + 1e-12), np.float32)


@functools.cache
def _response(vowel: str, padded: int) -> NDArray[np.complex64]:
    """Return a vowel's frequency response over `padded` samples."""
    frequency = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE)
    response = 1j * frequency / (1 + (frequency / 350) ** 2)  # the voice's own slope, and the lips
    for centre, bandwidth in _VOWELS[vowel]:
        response = response * centre**2 / (centre**2 - frequency**2 + 1j * frequency * bandwidth)
    return np.asarray(response, np.complex64)


def _fast(least: int) -> int:
    """Return a length of at least `least` that the FFT transforms ten times faster than others."""
    power = 1 << (least - 1).bit_length()
    return min(length for length in (power, power // 4 * 3) if length >= least)


def _consonant(syllable: Syllable, chance: np.random.Generator) -> Voice:
    """Return a short burst of noise, high (s, t) or lower (k, h)."""
    count = round((0.035 + 0.05 * syllable.hiss) * SAMPLE_RATE)
    padded = _fast(count)
    spectrum = np.fft.rfft(chance.normal(0, 1, count), padded)
    frequency = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE)
    centre = 2500 + 3500 * syllable.hiss
    sound = np.fft.irfft(spectrum * np.exp(-(((frequency - centre) / 1200) ** 2)), padded)[:count]
    envelope = np.sin(np.pi * (np.arange(count) + 0.5) / count)
    return np.asarray(0.3 * sound * envelope / math.sqrt(float(np.mean(sound**2)) + 1e-12), np.float32)


def _add_beeps(stereo: Voice) -> None:
    """Mix a beep into the start of each second, equal in both channels, and mute the rest around it."""
    second = np.arange(len(stereo)) % SAMPLE_RATE / SAMPLE_RATE
    edge = np.minimum(second, BEEP_SECONDS - second) / BEEP_RAMP_SECONDS
    beep = BEEP_PEAK * np.sin(2 * np.pi * BEEP_HZ * second) * np.clip(edge, 0, 1)
    after = np.clip((second - BEEP_SECONDS - _HUSH_SECONDS) / _HUSH_SECONDS, 0, 1)
    before = np.clip((1 - _HUSH_SECONDS - second) / _HUSH_SECONDS, 0, 1)
    stereo *= (after * before)[:, None]
    stereo += beep[:, None]


TRACK = "audio"  # the track's name for the pace

BLOCK_SAMPLES = 1024


class SyntheticAudio(AudioSource):
    """Generated audio without gaps; each second begins with 0.1 s of 1 kHz."""

    name = "synthetic sound"

    def __init__(self, pace: Pace, stop: threading.Event, channels: int = 2) -> None:
        if channels not in (1, 2):
            raise ValueError(f"1 or 2 channels, not {channels}")
        self.channels = channels
        self._pace = pace
        self._stop = stop
        self._number = 0

    def open(self) -> None:
        speech_loop(beeps=True)

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block when it is due, None after `timeout_s` or when stopped."""
        start = self._number * BLOCK_SAMPLES
        media_ns = (start + BLOCK_SAMPLES) * NANOSECONDS // SAMPLE_RATE
        if self._stop.is_set() or not self._pace.wait(TRACK, media_ns, timeout_s):
            return None
        place = start % LOOP_SAMPLES
        samples = speech_loop(beeps=True)[place : place + BLOCK_SAMPLES, : self.channels]
        self._number += 1
        return AudioBlock(self._pace.start_ns() + start * NANOSECONDS // SAMPLE_RATE, samples)

    def close(self) -> None:
        self._pace.finish(TRACK)
