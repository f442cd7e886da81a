"""Sound that was captured while this PC stood still: it waits in queues, and is not to find its place filled."""

import threading

import numpy as np
import pytest

from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import SourceEvents, SourceWorker
from config.errors import LiputError
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.encode.encoder import AAC_FRAME
from recorder.model.packet import Track
from recorder.program.mixer_input import PATIENCE_NS, MixerInput
from recorder.program.timeline import MAX_EXCUSE_NS, RunContext, Timeline
from tests.support.simulated import EventList
from tests.support.tracks import Rig, in_time, microphone

BLOCK = 960
BLOCK_S = BLOCK / SAMPLE_RATE
DELAY_S = 0.03
EVERY_S = 0.0002
"""How soon one block of what has waited comes after the other."""
FROM_S, TO_S = 2.0, 4.0
"""When this PC stands still, or from the next AAC frame on."""

type Script = list[tuple[int, AudioBlock]]


def script(rig: Rig, first_s: float, last_s: float, level: int = 1000) -> Script:
    """Return what a microphone gives in a span of time: every sample is `level`."""
    samples = np.full((BLOCK, 1), level, np.int16)
    starts = [first_s + number * BLOCK_S for number in range(round((last_s - first_s) / BLOCK_S))]
    return [(rig.at(start + BLOCK_S + DELAY_S), AudioBlock(rig.at(start), samples)) for start in starts]


def held_up(rig: Rig, given: Script, every_s: float = EVERY_S) -> Script:
    """Return `given` as it comes where this PC stands still: first of all later on, and one after the other."""
    late, free_ns = [], rig.at(TO_S)
    for arrives_ns, block in given:
        if arrives_ns > rig.at(FROM_S + 2 * BLOCK_S):
            free_ns = arrives_ns = max(arrives_ns, free_ns + round(every_s * NANOSECONDS))
        late.append((arrives_ns, block))
    return late


def stand_still(rig: Rig) -> list[float]:
    """Have the clock of `rig` stand still; return how far behind it each AAC frame is from then on, in seconds."""
    behind_s: list[float] = []

    def hear(at_s: float) -> None:
        now_ns = rig.clock.now_ns()
        if rig.at(FROM_S) <= now_ns < rig.at(TO_S):
            rig.clock.advance_to(rig.at(TO_S))
        elif now_ns >= rig.at(TO_S):
            behind_s.append((now_ns - rig.at(at_s)) / NANOSECONDS)

    rig.encoder.on_sound = hear
    return behind_s


def test_what_was_captured_meanwhile_is_all_heard() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    stand_still(rig)
    sound = rig.audio(held_up(rig, script(rig, 0, 9)))
    in_time(sound.run)
    assert (rig.encoder.samples == 1000).all()
    assert sound.lanes[0].silence == 0
    assert rig.events == []


def test_every_input_is_heard_where_it_belongs() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    stand_still(rig)
    podium, hall = held_up(rig, script(rig, 0, 9)), held_up(rig, script(rig, 0, 3, 20) + script(rig, 3.5, 9, 20))
    sound = rig.sound([(microphone("podium"), rig.reader(podium)), (microphone("ruang"), rig.reader(hall))])
    in_time(sound.run)
    edges = np.flatnonzero(np.diff(rig.encoder.samples[:, 0])) + 1
    assert edges / SAMPLE_RATE == pytest.approx([3, 3.5], abs=2 / SAMPLE_RATE)
    assert [lane.silence / SAMPLE_RATE for lane in sound.lanes] == pytest.approx([0, 0.5], abs=0.001)


def test_an_input_that_died_meanwhile_is_told_soon_and_holds_up_nobody() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    behind_s = stand_still(rig)
    dead = rig.reader(held_up(rig, script(rig, 0, 2.5, 20)))
    sound = rig.sound(
        [(microphone("podium"), rig.reader(held_up(rig, script(rig, 0, 9)))), (microphone("ruang"), dead)]
    )
    in_time(sound.run)
    podium, hall = sound.lanes
    assert (podium.silence, hall.silence) == (0, 5.5 * SAMPLE_RATE)
    assert [event for event in rig.events if event[1] == "ruang"] == [("source-silent", "ruang")]
    assert max(behind_s) < TO_S - FROM_S + 0.3
    assert max(behind_s[-3 * SAMPLE_RATE // AAC_FRAME :]) < PATIENCE_NS / NANOSECONDS + 0.1


def test_of_the_others_nothing_is_told_when_one_that_is_dead_comes_last_to_the_end() -> None:
    rig = Rig()
    rig.timeline.end_at(8 * NANOSECONDS)
    inputs = [("podium", script(rig, 0, 9)), ("ruang", script(rig, 0, 2.5, 20)), ("mimbar", script(rig, 0, 9))]
    sound = rig.sound([(microphone(name), rig.reader(given)) for name, given in inputs])
    in_time(sound.run)
    assert rig.events == [("source-silent", "ruang")]
    assert [lane.silence for lane in sound.lanes] == [0, 5.5 * SAMPLE_RATE, 0]


def test_what_comes_slower_than_it_was_captured_is_given_up() -> None:
    rig = Rig()
    rig.timeline.end_at(12 * NANOSECONDS)
    behind_s = stand_still(rig)
    sound = rig.audio(held_up(rig, script(rig, 0, 13), every_s=1.2 * BLOCK_S))
    in_time(sound.run)
    assert sound.lanes[0].silence > 0
    assert max(behind_s) < TO_S - FROM_S + MAX_EXCUSE_NS / NANOSECONDS
    assert behind_s[-1] < PATIENCE_NS / NANOSECONDS + 0.1


class Jumping(SystemClock):
    """A clock that can be put ahead, as it is after this PC stood still."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


class Microphone(AudioSource):
    """A source of blocks with the times of their capture, of which it gives none while it is `held`."""

    name = "mimbar"
    channels = 1

    def __init__(self, clock: Jumping) -> None:
        self.free = threading.Event()
        self.free.set()
        self._clock = clock
        self._next_ns = clock.now_ns()

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to let go of."""

    def read(self, timeout_s: float) -> AudioBlock | None:
        if not self.free.wait(timeout_s):
            return None
        at_ns = self._next_ns
        wait_s = max(EVERY_S, at_ns / NANOSECONDS + BLOCK_S - self._clock.now_ns() / NANOSECONDS)
        self._clock.wait(threading.Event(), wait_s)
        self._next_ns += round(BLOCK_S * NANOSECONDS)
        return AudioBlock(at_ns, np.full((BLOCK, 1), 7, np.int16))


class Losses(SourceEvents):
    """Keeps why a source gave nothing more."""

    def __init__(self) -> None:
        self.errors: list[LiputError] = []

    def failed(self, error: LiputError) -> None:
        self.errors.append(error)


def test_a_reader_that_had_no_turn_yet_is_waited_for() -> None:
    clock, events, lost = Jumping(), EventList(), Losses()
    timeline = Timeline(clock, live=True, tracks=[Track.AUDIO], ending=[Track.AUDIO])
    source = Microphone(clock)
    timeline.start(clock.now_ns())
    worker = SourceWorker(source, clock, queue=SourceQueue(250), events=lost)
    lane = MixerInput(microphone("mimbar"), worker, RunContext(timeline, clock, events), channels=1)
    worker.start()

    def pull_up_to(sample: int, behind: int) -> None:
        while lane.position < sample or lane.position < timeline.now_ns() * SAMPLE_RATE // NANOSECONDS - behind:
            lane.pull(lane.wait_s())

    in_time(lambda: pull_up_to(SAMPLE_RATE // 5, SAMPLE_RATE // 5))
    source.free.clear()
    clock.ahead_ns = 2 * NANOSECONDS
    while lane.pull(lane.wait_s()):  # what was queued before
        pass
    source.free.set()
    in_time(lambda: pull_up_to(2 * SAMPLE_RATE, SAMPLE_RATE // 5))
    worker.stop()
    assert lane.silence < SAMPLE_RATE // 10
    assert (list(events), lost.errors) == ([], [])
