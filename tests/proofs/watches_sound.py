"""The watches of sound: the lectures they listen to, and the faults they are given."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from capture.detectors.source_health import Patience
from capture.source import SAMPLE_RATE
from config.errors import DeviceError
from devices.health.faults import Fault
from devices.health.log_line import LogKind
from tests.capture.detectors.sounds import Sound, mains, noise, samples, speech
from tests.proofs import lecture_sound
from tests.proofs.detection import Attended
from tests.support.workers import Chunk, WatchedInput, blocks

USUAL = Patience(frozen_s=3.0, black_s=5.0, silence_s=20.0)
FOR_A_LECTURE = Patience(frozen_s=1800.0, black_s=30.0, silence_s=1800.0)
"""A computer that plays now and then gives exactly nothing between: whoever has its sound sets more patience for it."""

AFTER_S = 2.0
"""How long is listened after the bar, for other faults that are found."""

LECTURES: dict[str, tuple[Callable[[float, int], Iterator[Chunk]], Patience]] = {
    "microphone": (lecture_sound.microphone, USUAL),
    "lapel microphone": (lecture_sound.lapel, USUAL),
    "sound of the capture card": (lecture_sound.card, FOR_A_LECTURE),
}


def attend(name: str, minutes: float, seed: int) -> Attended:
    """Listen to a lecture with the patience that is set for it."""
    chunks, patience = LECTURES[name]
    watched = WatchedInput(chunks(minutes * 60, seed), patience)
    watched.run(minutes * 60 - 0.1)
    watched.audio.close()
    (closed,) = watched.log.of(LogKind.CLOSED)
    kept = "open_s", "blocks", "overflows", "lost_s", "clipped_samples", "peak_dbfs"
    alarms = [f"{line.at:%H:%M:%S} {line.reason}" for line in watched.log.of(LogKind.DEGRADED)]
    return Attended(alarms, {key: closed.detail[key] for key in kept} | {"silence_s": patience.silence_s})


@dataclass(frozen=True)
class Injected:
    """A fault, how it is made of the speech that would follow, and how long it may take to be found."""

    name: str
    fault: Fault
    promise_s: float
    change: Callable[[Sound], Sound]
    is_lost: bool = False

    def watch(self, at_s: float) -> list[tuple[float, str, str]]:
        """Listen to speech that has the fault from `at_s` on; return the lines as (seconds, kind, fault)."""
        until_s = at_s + self.promise_s + AFTER_S
        at = round(at_s * SAMPLE_RATE)
        sound = speech(until_s)
        heard = np.concatenate([sound[:at], self.change(sound[at:])])
        watched = WatchedInput(blocks(samples(heard)), USUAL, lost_s=at_s if self.is_lost else None)
        with suppress(DeviceError):
            watched.run(until_s)
        return watched.log.faults()


def _noise(dbfs: float) -> Callable[[Sound], Sound]:
    return lambda sound: noise(len(sound) / SAMPLE_RATE, dbfs)


def _hum(dbfs: float, room_dbfs: float | None = None) -> Callable[[Sound], Sound]:
    """Add hum to what is spoken, or to the noise of a room."""

    def change(sound: Sound) -> Sound:
        seconds = len(sound) / SAMPLE_RATE
        return mains(seconds, dbfs) + (sound if room_dbfs is None else noise(seconds, room_dbfs))

    return change


FAULTS = (
    Injected("silence: exactly nothing", Fault.SILENCE, 20.6, lambda sound: sound * 0),
    Injected("silence: an input without a microphone", Fault.SILENCE, 20.6, _noise(-90)),
    Injected("silence: a microphone that lives", Fault.SILENCE, 80.6, _noise(-68)),
    Injected("dead channel", Fault.DEAD_CHANNEL, 6.5, lambda sound: sound * (1, 0)),
    Injected("clipping", Fault.CLIPPING, 3.5, lambda sound: sound * 30),
    Injected("clipping, the loudest only", Fault.CLIPPING, 3.5, lambda sound: sound * 4),
    Injected("hum, while somebody speaks", Fault.HUM, 6.2, _hum(-40)),
    Injected("hum, in a silent room", Fault.HUM, 6.2, _hum(-40, -66)),
    Injected("hum, little", Fault.HUM, 6.2, _hum(-56, -70)),
    Injected("no sound comes", Fault.NO_DATA, 0.85, lambda sound: sound[:0]),
    Injected("sound unplugged", Fault.LOST, 0.15, lambda sound: sound[:0], is_lost=True),
)
