"""What a microphone in a lecture hall hears: people who speak, laugh and clap, music, and the room itself.

Made of random numbers, the same for each seed. Full scale is 1; sounds have the shape (samples, 2) unless said
otherwise, and are as loud as their RMS in dBFS says.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE
from capture.synthetic.audio import LOOP_SECONDS, speech_loop, syllables

type Sound = NDArray[np.float32]

_PEAK: Final = 10 ** (-0.3 / 20)
"""Where the limiter of a music's producer ends."""
_SCALE = (0, 2, 4, 5, 7, 9, 11)
_G1_HZ = 48.9994
"""The lowest note, and the key: a hymn in G major has its notes nearest to the mains of 50 Hz."""


def level(dbfs: float) -> float:
    return float(10 ** (dbfs / 20))


def samples_in(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


class Voice:
    """Somebody who speaks in the room: phrases in any order, at a pitch of their own, with the room's echo."""

    def __init__(self, random: np.random.Generator, pitch: float) -> None:
        dry = speech_loop(beeps=False)[:, 0].astype(np.float32) / 32_768
        places = np.arange(0, len(dry) - 1, pitch)
        dry = np.interp(places, np.arange(len(dry)), dry).astype(np.float32)
        tail = np.exp(-np.arange(samples_in(0.6)) / samples_in(0.11))[:, None]
        echo = random.normal(0, 0.02, (len(tail), 2)) * tail
        echo[0] = 1.0
        spectrum = np.fft.rfft(echo, len(dry), axis=0) * np.fft.rfft(dry)[:, None]
        self._random = random
        self._loop = np.fft.irfft(spectrum, len(dry), axis=0).astype(np.float32)
        self._loop *= level(-20) / np.sqrt(np.mean(self._loop**2))
        self._phrases = [(samples_in(start / pitch), samples_in(end / pitch)) for start, end in _phrases()]

    def speak(self, seconds: float, dbfs: float, pauses_s: tuple[float, float]) -> Sound:
        """Return phrases, each a little louder or softer than the last, and a pause between two."""
        sound: Sound = np.zeros((samples_in(seconds), 2), np.float32)
        at = samples_in(self._random.uniform(0, 0.5))
        while at < len(sound):
            start, end = self._phrases[self._random.integers(len(self._phrases))]
            phrase = self._loop[start:end] * level(dbfs + 20 + self._random.uniform(-4, 4))
            _add(sound, at, phrase)
            at += len(phrase) + samples_in(self._random.uniform(*pauses_s))
        return sound


def _phrases() -> list[tuple[float, float]]:
    """Return where in the loop of speech there is a phrase, in seconds, with the echo after it."""
    plan = syllables()
    starts = [0, *(n for n in range(1, len(plan)) if plan[n].start - plan[n - 1].start - plan[n - 1].length > 0.25)]
    ends = [*starts[1:], len(plan)]
    lasts = [plan[end - 1] for end in ends]
    return [
        (plan[start].start - 0.04, min(last.start + last.length + 0.2, LOOP_SECONDS))
        for start, last in zip(starts, lasts, strict=True)
    ]


def _add(sound: Sound, at: int, part: Sound) -> None:
    sound[at : at + len(part)] += part[: len(sound) - at]


def pink(seconds: float, random: np.random.Generator) -> Sound:
    """Return noise as that of air and ventilation, deeper than hiss, of RMS 1; it may be repeated without a seam."""
    count = samples_in(seconds)
    spectrum = np.fft.rfft(random.standard_normal((count, 2)), axis=0)
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)[:, None]
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 20)) * (hertz > 5), count, axis=0)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def tones(seconds: float, lines: dict[float, float]) -> Sound:
    """Return sines of each frequency in Hz at its level in dBFS, the same in both channels."""
    time_s = np.arange(samples_in(seconds)) / SAMPLE_RATE
    wave = np.zeros(len(time_s))
    for hertz, dbfs in lines.items():
        wave += np.sqrt(2) * level(dbfs) * np.sin(2 * np.pi * hertz * time_s)
    return np.repeat(wave.astype(np.float32)[:, None], 2, axis=1)


def applause(seconds: float, dbfs: float, random: np.random.Generator) -> Sound:
    """Return sixty people who clap four times a second, most of them to the end."""
    sound = np.zeros((samples_in(seconds), 2), np.float32)
    ring = np.exp(-np.arange(samples_in(0.03)) / samples_in(0.005))
    claps = [(ring * random.standard_normal(len(ring))).astype(np.float32) for _ in range(40)]
    for _ in range(60):
        side = random.uniform(0.3, 1, 2).astype(np.float32) * random.uniform(0.4, 1)
        at_s = random.uniform(0, 1.5)
        until_s = seconds - 0.5 - random.exponential(1.0)
        while at_s < until_s:
            _add(sound, samples_in(at_s), claps[random.integers(len(claps))][:, None] * side)
            at_s += random.normal(0.25, 0.02)
    return limited(sound, dbfs)


def laugh(voice: Voice, random: np.random.Generator) -> Sound:
    """Return a laugh too near to the microphone: what of it is cut off at full scale is over within 1.4 s."""
    seconds = 3.5
    time_s = np.arange(samples_in(seconds)) / SAMPLE_RATE
    ha = np.maximum(np.sin(2 * np.pi * 4.7 * time_s), 0) ** 0.5
    fades = np.where(time_s < 1.2, 1.0, np.exp(-(time_s - 1.2) / 0.6))
    vowels = voice.speak(seconds + 1, 0, (0, 0))[samples_in(1) :]
    loud = vowels * (ha * fades)[:, None].astype(np.float32) * random.uniform(1.5, 4)
    soft = samples_in(1.35)
    loud[soft:] = np.clip(loud[soft:], -0.9, 0.9)
    return np.asarray(loud, np.float32)


def music(seconds: float, dbfs: float, random: np.random.Generator) -> Sound:
    """Return an organ in G major: a bass, chords of three that last for up to 9 s, a melody over them; and one drum."""
    sound = np.zeros((samples_in(seconds), 2), np.float32)
    at_s = 0.0
    while at_s < seconds:
        lasts_s = float(random.choice([0.5, 1.0, 2.0, 4.0, 9.0]))
        degree = int(random.choice([0, 0, 3, 4, 5]))
        for step, octave in ((0, 0), (0, 1), (2, 1), (4, 1), (random.integers(7), 2)):
            _add(sound, samples_in(at_s), _note(degree + int(step), octave, lasts_s, random))
        if lasts_s < 2:
            beat = np.exp(-np.arange(samples_in(0.2)) / samples_in(0.03)) * random.standard_normal(samples_in(0.2))
            _add(sound, samples_in(at_s), np.repeat(beat.astype(np.float32)[:, None], 2, axis=1))
        at_s += lasts_s
    return limited(sound, dbfs)


def _note(degree: int, octave: int, seconds: float, random: np.random.Generator) -> Sound:
    """Return a note of the scale: its harmonics, a soft beginning and end."""
    hertz = _G1_HZ * 2 ** ((_SCALE[degree % 7] + 12 * (degree // 7 + octave)) / 12)
    time_s = np.arange(samples_in(seconds)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * hertz * part * time_s) / part**1.5 for part in range(1, 6))
    edges = np.clip(np.minimum(time_s, seconds - time_s) / 0.05, 0, 1)
    return np.asarray((wave * edges)[:, None] * random.uniform(0.4, 1, 2), np.float32)


def limited(sound: Sound, dbfs: float) -> Sound:
    """Return a sound at a level, its peaks below full scale."""
    return np.asarray(np.tanh(sound * level(dbfs) / np.sqrt(np.mean(sound**2)) / _PEAK) * _PEAK, np.float32)
