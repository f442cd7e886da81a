"""One input of the program's sound, block by block, on a clock that moves when told."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from capture.pacing import RealPace
from capture.source import SAMPLE_RATE, AudioBlock
from capture.sources.worker import AudioWorker, DeviceSupervision, FixedLocator, SourceWorker
from capture.synthetic.audio import SyntheticAudio
from config.errors import DeviceNotFound
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind
from recorder.encode.encoder import AAC_FRAME
from recorder.model.packet import Track
from recorder.program.mixer_input import DRIFT_TOLERANCE, GAP_SAMPLES, IDLE_S, PATIENCE_NS, MixerInput
from recorder.program.timeline import RunContext, Timeline
from tests.support.simulated import ScriptedQueue, SimulatedClock
from tests.support.tracks import audio_worker, microphone

BLOCK = 480
PATIENCE_S = PATIENCE_NS / NANOSECONDS


class Told(list[tuple[str, dict[str, object]]]):
    """An Emit that keeps the kind and the details of every event, and the last message."""

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert subject == "mimbar"
        assert "mimbar" in message
        self.message = message
        self.append((kind, detail))


class GivenQueue(ScriptedQueue[AudioBlock]):
    """A queue that has a block as soon as it is given one."""

    def give(self, block: AudioBlock) -> None:
        self._items.append((self._clock.now_ns(), block))


class Case:
    """A lane, on a clock that begins with the program, and what it is given."""

    def __init__(self, channels: int = 1, *, live: bool = True, ends: bool = False, worker: AudioWorker | None = None):
        self.clock = SimulatedClock()
        self.zero_ns = self.clock.now_ns()
        self.timeline = Timeline(self.clock, live=live, tracks=[Track.AUDIO], ending=[Track.AUDIO])
        self.timeline.start(self.zero_ns)
        self.queue = GivenQueue(self.clock, [], ends=ends)
        self.told = Told()
        run = RunContext(self.timeline, self.clock, self.told)
        worker = worker or audio_worker(self.queue, self.clock)
        self.lane = MixerInput(microphone("mimbar"), worker, run, channels=channels)

    def give(self, at_sample: float, samples: Sequence[Sequence[int]] | int = 7, *, lost: bool = False) -> None:
        """Give a block that was captured at that sample of the program: one level, or what is told."""
        block = np.full((BLOCK, 1), samples, np.int16) if isinstance(samples, int) else np.array(samples, np.int16)
        at_ns = self.zero_ns + round(at_sample * NANOSECONDS / SAMPLE_RATE)
        self.queue.give(AudioBlock(at_ns, block, lost))
        assert self.lane.pull(0.0)

    def to(self, seconds: float) -> None:
        self.clock.advance_to(self.zero_ns + round(seconds * NANOSECONDS))

    def look_thrice(self) -> None:
        """Look for a block as a lane does that has just seen its PC stand still: then it takes its time."""
        for _ in range(3):
            assert not self.lane.pull(IDLE_S)

    def is_done(self) -> bool:
        return self.lane.has_reached_end

    def heard(self) -> list[int]:
        return [int(value) for value in self.lane.take(self.lane.ready)[:, 0]]


def test_blocks_that_are_about_where_they_belong_stand_one_behind_the_other() -> None:
    case = Case()
    case.give(0, 1)
    case.give(BLOCK + DRIFT_TOLERANCE - 1, 2)
    case.give(2 * BLOCK + GAP_SAMPLES, 3)
    assert case.heard() == [1] * BLOCK + [2] * BLOCK + [3] * BLOCK
    assert (case.lane.silence, case.told) == (0, [])


def test_a_gap_becomes_silence_of_its_length_and_is_told() -> None:
    for gap, length in ((GAP_SAMPLES + 1, "0.10 s"), (SAMPLE_RATE + 1, "1.00 s")):
        case = Case()
        case.give(0, 1)
        case.give(BLOCK + gap, 2)
        assert case.heard() == [1] * BLOCK + [0] * gap + [2] * BLOCK
        assert case.lane.silence == gap
        assert case.told == [("sound-gap", {"samples": gap})]
        assert length in case.told.message


def test_what_overlaps_is_cut_off() -> None:
    case = Case()
    for number in range(20):
        case.give(number * BLOCK, 1)
    case.give(20 * BLOCK - GAP_SAMPLES - 1, 2)  # all of it is there already
    case.give(20 * BLOCK - 100, 3)
    assert case.heard() == [1] * 20 * BLOCK + [3] * (BLOCK - 100)


def test_where_a_device_lost_some_a_small_gap_is_one_too() -> None:
    gaps = ((offset, offset) for offset in (DRIFT_TOLERANCE + 1, GAP_SAMPLES))
    for offset, silence in ((DRIFT_TOLERANCE, 0), *gaps, (-1000, 0)):
        case = Case()
        case.give(0)
        for number in range(1, 4):
            case.give(number * BLOCK)
        case.give(4 * BLOCK + offset, lost=True)
        assert (case.lane.silence, case.lane.position) == (silence, 5 * BLOCK + silence)
        assert (case.lane.lost, case.told) == (1, []), "what was lost is told once for many blocks"


def test_a_gap_of_a_file_is_one_too_and_this_pc_has_lost_nothing() -> None:
    case = Case()
    case.give(0)
    block = AudioBlock(case.zero_ns + NANOSECONDS // 10, np.full((BLOCK, 1), 7, np.int16), jumps=True)
    case.queue.give(block)
    assert case.lane.pull(0.0)
    assert (case.lane.silence, case.lane.lost) == (SAMPLE_RATE // 10 - BLOCK, 0)


def test_what_was_lost_before_the_program_began_is_not_missing() -> None:
    case = Case()
    case.give(-BLOCK / 2, lost=True)
    assert case.heard() == [7] * (BLOCK // 2)
    assert case.lane.lost == 0
    case.queue.dropped = 3
    assert case.lane.lost == 3


def test_channels_are_those_of_the_program() -> None:
    for channels, given, taken in (
        (1, [[1, 3], [5, 8]], [[2], [6]]),
        (2, [[1], [5]], [[1, 1], [5, 5]]),
        (2, [[1, 2, 3], [4, 5, 6]], [[1, 2], [4, 5]]),
        (2, [[1, 2], [4, 5]], [[1, 2], [4, 5]]),
    ):
        case = Case(channels)
        case.give(0, given)
        assert case.lane.take(2).tolist() == taken
        assert case.lane.take(0).shape == (0, channels)


def test_samples_are_taken_as_they_are_wanted() -> None:
    case = Case()
    case.give(0, 1)
    case.give(BLOCK, 2)
    assert len(case.lane.take(BLOCK - 1)) == BLOCK - 1
    assert [int(value) for value in case.lane.take(3)[:, 0]] == [1, 2, 2]
    assert case.lane.ready == BLOCK - 2
    assert case.heard() == [2] * (BLOCK - 2)


def test_silence_comes_when_our_patience_is_over_and_is_told_once() -> None:
    case = Case()
    case.timeline.origin_ns = NANOSECONDS
    case.give(0)
    case.to(PATIENCE_S)
    assert not case.lane.pull(0.0)
    assert case.lane.silence == 0
    case.to(2 + PATIENCE_S - 3 * IDLE_S)
    case.look_thrice()
    for _ in range(3):
        assert not case.lane.pull(0.0)
    assert 2 * SAMPLE_RATE <= case.lane.position - AAC_FRAME <= 2 * SAMPLE_RATE + 1
    assert case.told == [("source-silent", {"since_s": -0.99})]
    case.give(3 * SAMPLE_RATE, 5)
    assert [kind for kind, _ in case.told] == ["source-silent", "source-returned"]
    assert case.told[1][1] == {"at_s": pytest.approx(2.0, abs=0.001)}
    assert case.lane.position == 3 * SAMPLE_RATE + BLOCK
    assert case.lane.silence == 3 * SAMPLE_RATE - BLOCK
    case.give(3 * SAMPLE_RATE + BLOCK, 5)
    assert len(case.told) == 2, "it has returned once"


def test_how_long_to_wait_is_until_silence_is_due_and_never_long() -> None:
    case = Case()
    case.give(0)
    assert case.lane.wait_s() == IDLE_S
    case.to(PATIENCE_S - 0.03)
    assert case.lane.wait_s() == pytest.approx(0.04)
    case.to(PATIENCE_S + 1)
    assert case.lane.wait_s() == 0.0
    assert Case(live=False).lane.wait_s() == IDLE_S


def test_of_a_device_that_is_not_there_is_told_why_and_once() -> None:
    clock, stop = SimulatedClock(), threading.Event()
    source = SyntheticAudio(RealPace(clock, stop), stop)
    where = FixedLocator(Device(id="x", kind=DeviceKind.MICROPHONE, name="Mimbar"))
    missing = DeviceNotFound("it is not plugged in", hint="plug it in")
    worker = SourceWorker(source, clock, supervision=DeviceSupervision(where, missing=missing))
    with pytest.raises(DeviceNotFound):
        worker.open()
    case = Case(worker=worker)
    for look in range(60):
        case.to(look * IDLE_S)
        case.lane.pull(0.0)
    assert case.told == [("source-missing", {"reason": "missing", "since_s": 0.0})]


def test_one_that_gives_nothing_by_the_start_is_told_then() -> None:
    for late, told in (({"is_late": True}, [("source-silent", {"since_s": 0.0})]), ({}, [])):
        case = Case()
        case.lane.report_missing(**late)
        assert case.told == told


def test_nothing_goes_beyond_the_end_of_the_session() -> None:
    for give in (True, False):
        case = Case()
        case.timeline.end_at(NANOSECONDS // 100 + NANOSECONDS // 200)
        assert not case.is_done()
        case.give(0)
        assert not case.is_done()
        if give:
            case.give(BLOCK)
        else:
            case.to(5)
            case.look_thrice()
        assert case.is_done()
        assert (case.lane.position, case.lane.ready) == (BLOCK * 3 // 2, BLOCK * 3 // 2)
        assert case.lane.silence == (0 if give else BLOCK // 2)


def test_a_file_that_is_over_gives_silence_as_far_as_the_others_are() -> None:
    case = Case(live=False)
    case.give(0)
    case.lane.pull(0.0, others_at=9 * SAMPLE_RATE)
    assert case.lane.position == BLOCK, "it may give more"
    case = Case(live=False, ends=True)
    case.give(0)
    assert case.lane.is_over
    case.lane.pull(0.0, others_at=BLOCK - 1)
    assert case.lane.position == BLOCK
    case.lane.pull(0.0, others_at=9 * SAMPLE_RATE)
    assert (case.lane.position, case.lane.silence) == (9 * SAMPLE_RATE, 9 * SAMPLE_RATE - BLOCK)
    assert case.told == []


LONG = 4 * SAMPLE_RATE // 10


def hear(case: Case, count: int, begin: float = 0.0, speed: float = 1.0) -> list[float]:
    """Give long blocks from the sample `begin` on, of a device of some speed; return how far each is from its place."""
    away = []
    for number in range(count):
        case.give(begin + number * LONG / speed, [[7]] * LONG)
        away.append(case.lane.position - begin - (number + 1) * LONG / speed)
        case.lane.take(case.lane.ready)
    return away


def test_a_device_that_is_too_fast_is_followed_without_a_swing() -> None:
    case = Case()
    away = hear(case, 240, speed=1.0005)
    assert case.lane.ppm == pytest.approx(500, abs=1)
    assert max(map(abs, away)) == pytest.approx(2 * DRIFT_TOLERANCE, abs=1), "until the clock is known"
    assert max(map(abs, away[-50:])) < DRIFT_TOLERANCE / 4


def test_after_a_gap_the_clock_is_measured_anew() -> None:
    for is_told in (False, True):
        case = Case()
        hear(case, 54)
        begin = case.lane.position + SAMPLE_RATE
        if is_told:
            case.to(begin / SAMPLE_RATE)
            case.look_thrice()
        hear(case, 54, begin)
        assert (case.lane.silence >= SAMPLE_RATE * 0.9, case.lane.resampled) == (True, 0)
