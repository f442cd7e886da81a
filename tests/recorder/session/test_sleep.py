"""A PC that sleeps while it records: what is missing is told, and the recording is not taken for a whole one."""

from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from devices.host.clock import NANOSECONDS, slept_ns
from recorder.program.timeline import SleepWatch
from recorder.session import session
from tests.support.sessions import Room
from tests.support.simulated import SimulatedClock

SECOND = NANOSECONDS


@dataclass
class Pc:
    """A PC that sleeps when it is told to, and the watch of a session on it."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    slept_ns: int = 5 * SECOND
    told: list[tuple[object, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = SleepWatch(self._emit, self.clock, lambda: self.slept_ns)

    def _emit(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert (kind, subject) == ("pc-slept", "session")
        self.told.append((detail["media_s"], detail["slept_s"]))

    def pass_time(self, seconds: float, media_s: float | None) -> None:
        self.clock.advance_to(self.clock.now_ns() + round(seconds * SECOND))
        self.watch.update(media_s)


def test_each_sleep_is_told_once_where_it_is_in_the_recording() -> None:
    pc = Pc()
    pc.pass_time(1, 1.0)
    pc.slept_ns += SECOND - 1
    pc.pass_time(1, 2.0)
    assert pc.told == [], "the clocks are not read at once"
    pc.slept_ns += 3600 * SECOND
    pc.pass_time(1, 3.0)
    pc.pass_time(1, 4.0)
    assert pc.told == [(3.0, 3601.0)]


def test_one_before_it_recorded_is_told_only_where_the_recording_reaches_back_across_it() -> None:
    for media_s, told in ((1.0, []), (12.5, [(2.5, 60.0)])):
        pc = Pc()
        pc.pass_time(1, None)
        pc.slept_ns += 60 * SECOND
        pc.pass_time(1, None)
        assert pc.told == []
        pc.pass_time(10, media_s)
        pc.pass_time(10, media_s + 10)
        assert pc.told == told


def test_what_the_kernel_says_of_sleep_is_read() -> None:
    assert slept_ns() >= -SECOND


def test_a_recording_with_a_sleep_in_it_is_no_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path, duration_s=2, live=True)

    asked: list[int] = []

    def slept() -> int:
        asked.append(3600 * SECOND if len(asked) > 3 else 0)
        return asked[-1]

    monkeypatch.setattr(session, "SleepWatch", partial(SleepWatch, slept=slept))
    result = room.run()
    assert "pc-slept: session" in result.degraded
    (told,) = [event for event in room.events if event.kind == "pc-slept"]
    assert told.message == "This PC was asleep for 3600 s; nothing was recorded meanwhile"
    assert 0 < float(str(told.detail["media_s"])) <= 2.0


def test_what_runs_as_fast_as_it_can_misses_nothing_by_a_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = count(step=3600 * SECOND)
    monkeypatch.setattr(session, "SleepWatch", partial(SleepWatch, slept=lambda: next(asleep)))
    assert Room(tmp_path, duration_s=2).run().degraded == []
