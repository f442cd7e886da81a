"""The watches: no false alarm in half an hour of a lecture, and how long each fault takes to be found."""

import argparse
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from capture.detectors.source_health import Patience
from config.errors import DeviceError
from devices.health.faults import Fault
from devices.health.log_line import LogKind
from devices.model.device import DeviceKind
from tests.proofs import lecture, watches_sound
from tests.proofs.detection import Attended, detect
from tests.rig import pictures as rig
from tests.support.scenes import (
    RATE,
    Shot,
    Watched,
    before,
    bursts,
    camera_pictures,
    jpeg,
    live,
    nearly_the_same,
    paced,
    plain,
)

MINUTES = 30.0
LONGEST_S = 12.0
CARD = DeviceKind.CAPTURE_CARD


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Watch `--minutes` of a lecture, and inject each fault `--count` times."""
    return run(arguments.minutes or MINUTES, arguments.count, arguments.seed)


def run(minutes: float, count: int, seed: int, size: tuple[int, int] = lecture.SIZE) -> Mapping[str, object]:
    """Return the alarms of a lecture without faults, and the detection times of faults at random moments."""
    began = time.monotonic()
    sources = {
        "camera": (lecture.camera(minutes * 60, seed, size), DeviceKind.CAMERA),
        "capture card": (lecture.card(minutes * 60, seed, size), CARD),
    }
    lectures = {name: attend(shots, kind, minutes, size) for name, (shots, kind) in sources.items()}
    lectures |= {name: watches_sound.attend(name, minutes, seed) for name in watches_sound.LECTURES}
    took_s = time.monotonic() - began
    moments = random.Random(seed)
    faults: list[Injected | watches_sound.Injected] = [*FAULTS, *watches_sound.FAULTS]
    detection = {each.name: detect(each.watch, each.fault, each.promise_s, count, moments) for each in faults}
    alarms = [f"{name}: {alarm}" for name, each in lectures.items() for alarm in each.alarms]
    return {
        "minutes": minutes,
        "lecture_took_s": round(took_s, 1),
        "lectures": {name: each.facts for name, each in lectures.items()},
        "false_alarms": len(alarms),
        "alarms": alarms,
        "detection": detection,
        "holds": not alarms and all(each["holds"] for each in detection.values()),
    }


def attend(shots: Iterator[Shot], kind: DeviceKind, minutes: float, size: tuple[int, int]) -> Attended:
    """Watch a lecture with the patience of its kind of device."""
    watched = Watched(shots, kind=kind, size=size)
    watched.run(minutes * 60 - 0.1)
    watched.video.close()
    (closed,) = watched.log.of(LogKind.CLOSED)
    facts = {key: closed.detail[key] for key in ("open_s", "frames", "repeats", "damaged")}
    return Attended([f"{line.at:%H:%M:%S} {line.reason}" for line in watched.log.of(LogKind.DEGRADED)], facts)


@dataclass(frozen=True)
class Injected:
    """A fault, how it is made, and how long it may take to be found."""

    name: str
    fault: Fault
    promise_s: float
    shots: Callable[[float], Iterator[Shot]]
    """What comes from the given moment on."""
    kind: DeviceKind = DeviceKind.CAMERA
    rate: float = RATE
    says: str | None = None
    """What the driver says of its signal from that moment on."""
    is_lost: bool = False

    def watch(self, at_s: float) -> list[tuple[float, str, str]]:
        """Watch a source that has the fault from `at_s` on; return the lines as (seconds, kind, fault)."""
        watched = Watched(
            itertools.chain(before(at_s, paced(live(), self.rate, jitter_s=0.002)), self.shots(at_s)),
            kind=self.kind,
            patience=Patience(3.0, 5.0, 20.0) if self.kind is DeviceKind.CAMERA else None,
            rate=self.rate,
            lost_s=at_s if self.is_lost else None,
            signal=lambda seconds: self.says if seconds >= at_s else None,
        )
        with suppress(DeviceError):
            watched.run(at_s + LONGEST_S)
        return watched.faults()


def _nothing(_at_s: float) -> Iterator[Shot]:
    return iter(())


def _same(picture: Callable[[], bytes]) -> Callable[[float], Iterator[Shot]]:
    return lambda at_s: paced(itertools.repeat(picture()), from_s=at_s)


def _at_rate(rate: float) -> Callable[[float], Iterator[Shot]]:
    return lambda at_s: paced(live(), rate, from_s=at_s, jitter_s=0.003)


def _damaged(damage: Callable[[bytes], bytes]) -> Callable[[float], Iterator[Shot]]:
    return lambda at_s: paced(map(damage, live()), from_s=at_s)


FAULTS = (
    Injected("no data", Fault.NO_DATA, 0.85, _nothing),
    Injected("no data, at 5 pictures a second", Fault.NO_DATA, 1.15, _nothing, rate=5),
    Injected("unplugged", Fault.LOST, 0.15, _nothing, is_lost=True),
    Injected("a third of the rate", Fault.SLOW, 2.5, _at_rate(RATE / 3)),
    Injected("half of the rate", Fault.SLOW, 3.0, _at_rate(RATE / 2)),
    Injected("uneven", Fault.JITTER, 4.0, bursts),
    Injected("corrupt", Fault.DAMAGED, 0.3, _damaged(rig.damaged)),
    Injected("cut off", Fault.DAMAGED, 0.3, _damaged(lambda picture: picture[: len(picture) // 2])),
    Injected("frozen", Fault.FROZEN, 3.2, _same(lambda: camera_pictures()[7])),
    Injected("nearly frozen", Fault.FROZEN, 9.2, lambda at_s: paced(nearly_the_same(), from_s=at_s)),
    Injected("black", Fault.BLACK, 5.2, _same(lambda: jpeg(plain(0, 0, 0)))),
    Injected("slate of bars", Fault.NO_SIGNAL, 3.2, _same(lambda: rig.jpeg(rig.no_signal(320, 180))), CARD),
    Injected("slate of blue", Fault.NO_SIGNAL, 5.2, _same(lambda: jpeg(plain(0, 0, 255))), CARD),
    Injected("driver says no signal", Fault.NO_SIGNAL, 0.85, _nothing, CARD, says="nothing is plugged into it"),
    Injected("driver says it, pictures come", Fault.NO_SIGNAL, 2.1, _at_rate(RATE), CARD, says="it is unstable"),
)
