"""A lecture for the watches of sound: what its microphones and its capture card give, the same for each seed."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capture.source import SAMPLE_RATE
from capture.synthetic.audio import LOOP_SECONDS, speech_loop, syllables
from tests.proofs.lecture import STAYS_S
from tests.support.workers import BLOCK, Chunk

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
    hertz = _G1_HZ * 2 ** ((_SCALE[degree % 7] + 12 * (degree // 7 + octave)) / 12)
    time_s = np.arange(samples_in(seconds)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * hertz * part * time_s) / part**1.5 for part in range(1, 6))
    edges = np.clip(np.minimum(time_s, seconds - time_s) / 0.05, 0, 1)
    return np.asarray((wave * edges)[:, None] * random.uniform(0.4, 1, 2), np.float32)


def limited(sound: Sound, dbfs: float) -> Sound:
    """Return a sound at a level, its peaks below full scale."""
    return np.asarray(np.tanh(sound * level(dbfs) / np.sqrt(np.mean(sound**2)) / _PEAK) * _PEAK, np.float32)


ROOM_DBFS = -68.0
HUM_DBFS = -66.0
"""Under everything; hum is a fault above -60 dBFS."""
OWN_DBFS = -88.0
"""The noise of the input itself, which is all that the second channel of a lapel microphone's receiver has."""
MINUTE_S = 62.0
"""A minute's silence is the minute, and what it takes until somebody speaks again."""
_LOSES = 1 / 10_000
"""One block of so many is lost on the way: one in three minutes."""

type Scene = Callable[[], Sound]


def microphone(seconds: float, seed: int) -> Iterator[Chunk]:
    """Give the sound of a lectern's microphone, in stereo: every scene in a new order, again and again."""
    return _chunks(_Hall(seed).sounds(), seconds, seed)


def lapel(seconds: float, seed: int) -> Iterator[Chunk]:
    """Give the same of a lapel microphone, whose receiver fills the left one of two channels."""
    random = np.random.default_rng(seed)
    return _chunks((_left_only(sound, random) for sound in _Hall(seed + 1).sounds()), seconds, seed)


def card(seconds: float, seed: int) -> Iterator[Chunk]:
    """Give a computer's sound: it plays now and then, and nothing for the last 25 minutes, or most of the time."""
    stays_from_s = max(seconds - STAYS_S, seconds * 0.2)
    return _chunks(_Computer(seed).sounds(stays_from_s), seconds, seed)


def _left_only(sound: Sound, random: np.random.Generator) -> Sound:
    left = sound.copy()
    left[:, 1] = random.standard_normal(len(sound), np.float32) * level(OWN_DBFS)
    return left


class _Hall:
    """The scenes of a hall, without end."""

    def __init__(self, seed: int) -> None:
        self._random = random = np.random.default_rng(seed)
        self._voices = [Voice(random, pitch) for pitch in (0.85, 1.0, 1.2, 1.45)]
        hum = {50.02: HUM_DBFS - 3, 100.04: HUM_DBFS - 5, 150.06: HUM_DBFS - 8}
        self._air = pink(20, random)
        # 20 s of a frequency in fiftieths of a hertz repeat without a seam.
        self._floor = self._air * level(ROOM_DBFS) + tones(50, hum)[: samples_in(20)]
        motor = tones(20, {24.35: -60, 48.7: -54, 97.4: -58})
        self._ventilated = np.roll(self._air, samples_in(7), axis=0) * level(-50) + motor

    def sounds(self) -> Iterator[Sound]:
        """Give scene after scene, with the room under it."""
        scenes: list[Scene] = [
            self._talk, self._quiet, self._board, self._minute, self._applauded, self._laughed, self._music,
            self._mono, self._ventilation,
        ]  # fmt: skip
        at = 0
        while True:
            for number in self._random.permutation(len(scenes)):
                sound = scenes[number]()
                own = self._random.standard_normal(sound.shape, np.float32) * level(OWN_DBFS)
                yield sound + _repeated(self._floor, at, len(sound)) + own
                at += len(sound)

    def _voice(self) -> Voice:
        return self._voices[self._random.integers(len(self._voices))]

    def _lasts(self) -> float:
        return float(self._random.uniform(15, 40))

    def _talk(self) -> Sound:
        """Speak, more to the one side or the other."""
        side = level(self._random.uniform(-12, 0))
        gains = np.array((1, side) if self._random.random() < 0.5 else (side, 1), np.float32)
        return self._voice().speak(self._lasts(), -20, (0.2, 1.5)) * gains

    def _quiet(self) -> Sound:
        return self._voice().speak(self._lasts(), self._random.uniform(-48, -40), (0.5, 3))

    def _board(self) -> Sound:
        """Write on the board and say little."""
        return self._voice().speak(self._lasts(), -26, (5, 15))

    def _minute(self) -> Sound:
        """Give a minute's silence, in which nobody so much as coughs."""
        voice = self._voice()
        silence = np.zeros((samples_in(MINUTE_S), 2), np.float32)
        return np.concatenate([voice.speak(6, -22, (0.5, 1)), silence, voice.speak(4, -22, (0.5, 1))])

    def _applauded(self) -> Sound:
        clapping = applause(self._random.uniform(6, 15), self._random.uniform(-22, -14), self._random)
        return np.concatenate([self._voice().speak(5, -20, (0.2, 1)), clapping])

    def _laughed(self) -> Sound:
        """Laugh right before the microphone, and then with everybody."""
        voice, other = self._voice(), self._voice()
        all_laugh = limited(np.sum([laugh(each, self._random) for each in self._voices], axis=0), -22)
        parts = [
            voice.speak(7, -20, (0.2, 1)),
            laugh(voice, self._random),
            all_laugh,
            other.speak(9, -20, (0, 1)),
        ]
        return np.concatenate(parts).astype(np.float32)

    def _music(self) -> Sound:
        return music(self._lasts(), self._random.uniform(-28, -16), self._random)

    def _mono(self) -> Sound:
        """Speak through a mixer that gives one signal to both channels."""
        return np.repeat(self._talk().mean(axis=1, keepdims=True), 2, axis=1)

    def _ventilation(self) -> Sound:
        """Run the ventilation, whose motor makes 1461 turns a minute: twice that is nearly the mains."""
        sound = self._talk()
        return sound + _repeated(self._ventilated, 0, len(sound))


def _repeated(loop: Sound, at: int, length: int) -> Sound:
    return np.take(loop, np.arange(at, at + length), axis=0, mode="wrap")


class _Computer:
    """What a computer plays, and nothing between."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._voice = Voice(self._random, 1.1)

    def sounds(self, until_s: float) -> Iterator[Sound]:
        """Give what it plays until `until_s`, and then nothing, without end."""
        plays: list[Scene] = [self._film, self._music, self._old_recording, self._notice, self._call]
        given = 0
        while given < samples_in(until_s):
            for number in self._random.permutation(len(plays)):
                pause = np.zeros((samples_in(self._random.uniform(1, 25)), 2), np.float32)
                sound = np.concatenate([plays[number](), pause])[: max(0, samples_in(until_s) - given)]
                given += len(sound)
                yield sound
        while True:
            yield np.zeros((10 * SAMPLE_RATE, 2), np.float32)

    def _film(self) -> Sound:
        seconds = self._random.uniform(10, 30)
        under = music(seconds, -30, self._random)
        return limited(self._voice.speak(seconds, -18, (0.2, 2)) + under, -20)

    def _music(self) -> Sound:
        """Play music as loud as it is sold: limited, 0.3 dB below full scale."""
        return music(self._random.uniform(8, 25), -8, self._random)

    def _old_recording(self) -> Sound:
        played = music(12, -18, self._random)
        played[: samples_in(4), 1] = 0
        return played

    def _notice(self) -> Sound:
        return tones(0.4, {880: -18, 1760: -26})

    def _call(self) -> Sound:
        """Call somebody up, who is in both channels alike."""
        return np.repeat(self._voice.speak(15, -24, (0.5, 3))[:, :1], 2, axis=1)


def _chunks(sounds: Iterator[Sound], seconds: float, seed: int) -> Iterator[Chunk]:
    """Give sounds one behind the other as blocks of a device: 16 bits, stamps that are a little off, a few lost."""
    random = np.random.default_rng(seed + 7)
    rest = np.zeros((0, 2), np.int16)
    numbers, is_lost = count(), False
    for sound in sounds:
        pcm = np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype(np.int16)
        rest = np.concatenate([rest, pcm])
        whole = len(rest) // BLOCK
        for place in range(whole):
            at_s = next(numbers) * BLOCK / SAMPLE_RATE
            if at_s >= seconds:
                return
            if random.random() < _LOSES:
                is_lost = True
                continue
            off_s = min(max(random.normal(0, 0.0004), -0.002), 0.002)
            yield max(0.0, at_s + off_s), rest[place * BLOCK : (place + 1) * BLOCK], is_lost
            is_lost = False
        rest = rest[whole * BLOCK :]
