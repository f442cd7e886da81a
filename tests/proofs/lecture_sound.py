"""A lecture for the watches of sound: what its microphones and its capture card give, the same for each seed.

Everything in it is in order, and much of it is close to something that is not. The room is quiet (-68 dBFS), its
wiring hums a little (-66 dBFS), and the gain is as it should be, so that somebody who speaks reaches -20 dBFS.
"""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np

from capture.source import SAMPLE_RATE
from tests.proofs import room
from tests.proofs.lecture import STAYS_S
from tests.proofs.room import Sound, samples_in
from tests.support.workers import BLOCK, Chunk

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
    """Give the sound of a computer: it plays now and then, between that exactly nothing; then nothing for 25 minutes.

    Or for most of the time if there is less.
    """
    stays_from_s = max(seconds - STAYS_S, seconds * 0.2)
    return _chunks(_Computer(seed).sounds(stays_from_s), seconds, seed)


def _left_only(sound: Sound, random: np.random.Generator) -> Sound:
    left = sound.copy()
    left[:, 1] = random.standard_normal(len(sound), np.float32) * room.level(OWN_DBFS)
    return left


class _Hall:
    """The scenes of a hall, without end."""

    def __init__(self, seed: int) -> None:
        self._random = random = np.random.default_rng(seed)
        self._voices = [room.Voice(random, pitch) for pitch in (0.85, 1.0, 1.2, 1.45)]
        hum = {50.02: HUM_DBFS - 3, 100.04: HUM_DBFS - 5, 150.06: HUM_DBFS - 8}
        self._air = room.pink(20, random)
        # 20 s of a frequency in fiftieths of a hertz repeat without a seam.
        self._floor = self._air * room.level(ROOM_DBFS) + room.tones(50, hum)[: samples_in(20)]
        motor = room.tones(20, {24.35: -60, 48.7: -54, 97.4: -58})
        self._ventilated = np.roll(self._air, samples_in(7), axis=0) * room.level(-50) + motor

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
                own = self._random.standard_normal(sound.shape, np.float32) * room.level(OWN_DBFS)
                yield sound + _repeated(self._floor, at, len(sound)) + own
                at += len(sound)

    def _voice(self) -> room.Voice:
        return self._voices[self._random.integers(len(self._voices))]

    def _lasts(self) -> float:
        return float(self._random.uniform(15, 40))

    def _talk(self) -> Sound:
        """Speak, more to the one side or the other."""
        side = room.level(self._random.uniform(-12, 0))
        gains = np.array((1, side) if self._random.random() < 0.5 else (side, 1), np.float32)
        return self._voice().speak(self._lasts(), -20, (0.2, 1.5)) * gains

    def _quiet(self) -> Sound:
        """Speak quietly, and away from the microphone."""
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
        clapping = room.applause(self._random.uniform(6, 15), self._random.uniform(-22, -14), self._random)
        return np.concatenate([self._voice().speak(5, -20, (0.2, 1)), clapping])

    def _laughed(self) -> Sound:
        """Laugh right before the microphone, and then with everybody."""
        voice, other = self._voice(), self._voice()
        all_laugh = room.limited(np.sum([room.laugh(each, self._random) for each in self._voices], axis=0), -22)
        parts = [voice.speak(7, -20, (0.2, 1)), room.laugh(voice, self._random), all_laugh, other.speak(9, -20, (0, 1))]
        return np.concatenate(parts).astype(np.float32)

    def _music(self) -> Sound:
        return room.music(self._lasts(), self._random.uniform(-28, -16), self._random)

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
        self._voice = room.Voice(self._random, 1.1)

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
        under = room.music(seconds, -30, self._random)
        return room.limited(self._voice.speak(seconds, -18, (0.2, 2)) + under, -20)

    def _music(self) -> Sound:
        """Play music as loud as it is sold: limited, 0.3 dB below full scale."""
        return room.music(self._random.uniform(8, 25), -8, self._random)

    def _old_recording(self) -> Sound:
        """Play a few seconds in one channel only, then in both."""
        music = room.music(12, -18, self._random)
        music[: samples_in(4), 1] = 0
        return music

    def _notice(self) -> Sound:
        return room.tones(0.4, {880: -18, 1760: -26})

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
