"""The parts of the daemon: one that breaks is begun anew, one that hangs is seen, none takes another with it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from agent.daemon.parts import HANGS_AFTER_S, Beat, Part, Parts
from devices.host.clock import NANOSECONDS
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


@dataclass
class Scripted:
    """Breaks as often as it is told to, then waits for the end; or hangs without a word."""

    name: str = "scripted"
    breaks: int = 0
    hangs: bool = False
    begun: int = 0
    beats: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)

    def run(self, stop: threading.Event, beat: Beat) -> None:
        self.begun += 1
        if self.begun <= self.breaks:
            raise OSError(f"broken {self.begun}")
        if self.hangs:
            self.let_go.wait(30)
            return
        while not stop.wait(0.005):
            beat()
            self.beats += 1


type Run = Callable[..., Parts]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def run(clock: SimulatedClock, told: list[str]) -> Iterator[Run]:
    begun: list[Parts] = []

    def make(*parts: Part) -> Parts:
        made = Parts(parts, clock, told.append)
        begun.append(made)
        made.start()
        return made

    yield make
    for made in begun:
        for each in made.parts:
            if isinstance(each, Scripted):
                each.let_go.set()
        assert made.stop() == []


def test_one_that_breaks_is_begun_anew_and_the_others_go_on(run: Run, told: list[str]) -> None:
    broken, whole = Scripted("broken", breaks=3), Scripted("whole")
    run(broken, whole)
    wait_for(lambda: broken.beats and whole.beats)
    assert broken.begun == 4
    assert whole.begun == 1
    assert [text for text in told if text.startswith("broken has broken")] == told
    assert "broken 3" in told[2]


def test_one_that_hangs_is_seen_and_only_that(run: Run, clock: SimulatedClock) -> None:
    hung, whole = Scripted("hung", hangs=True), Scripted("whole")
    parts = run(hung, whole)
    wait_for(lambda: hung.begun and whole.beats)
    assert parts.standing() == []
    clock.advance_to(clock.now_ns() + int((HANGS_AFTER_S + 1) * NANOSECONDS))
    wait_for(lambda: parts.standing() == ["hung"])


def test_one_that_has_ended_does_not_count_as_hung(run: Run, clock: SimulatedClock) -> None:
    short = Scripted(hangs=True)
    parts = run(short)
    wait_for(lambda: short.begun)
    clock.advance_to(clock.now_ns() + int(10 * HANGS_AFTER_S * NANOSECONDS))
    assert parts.standing() == ["scripted"]
    short.let_go.set()
    wait_for(lambda: parts.standing() == [])


def test_what_does_not_end_is_named_and_left(clock: SimulatedClock, told: list[str]) -> None:
    hung = Scripted("hung", hangs=True)
    parts = Parts([hung], clock, told.append)
    parts.start()
    wait_for(lambda: hung.begun)
    clock.advance_to(clock.now_ns())
    parts.clock = Hurried(clock)
    assert parts.stop() == ["hung"]
    hung.let_go.set()


class Hurried(SimulatedClock):
    """Each look at it is a second later."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock.now_ns())

    def now_ns(self) -> int:
        self.advance_to(super().now_ns() + NANOSECONDS)
        return super().now_ns()
