"""Media time, and stalls of this PC."""

from dataclasses import dataclass, field

from devices.host.clock import NANOSECONDS, slept_ns
from recorder.model.packet import Track
from recorder.program.timeline import (
    EMPTY_WAIT_NS,
    MAX_EXCUSE_NS,
    MAX_LOOK_NS,
    STALL_NS,
    SleepWatch,
    StallDetector,
    Timeline,
)
from tests.support.simulated import SimulatedClock

BOTH = (Track.VIDEO, Track.AUDIO)
SECOND = NANOSECONDS


def test_a_live_session_passes_with_the_clock_from_the_first_picture_on() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock, live=True, tracks=BOTH, ending=())
    assert timeline.now_ns() == 0
    clock.advance_to(clock.now_ns() + 5 * SECOND)
    assert timeline.now_ns() == 0
    timeline.start(clock.now_ns() - SECOND // 10)
    assert timeline.now_ns() == SECOND // 10
    clock.advance_to(clock.now_ns() + SECOND)
    assert timeline.now_ns() == SECOND + SECOND // 10
    assert timeline.program_ns(clock.now_ns()) == timeline.now_ns()


def test_a_fast_session_is_where_its_furthest_track_is_and_complete_up_to_its_slowest() -> None:
    timeline = Timeline(SimulatedClock(), live=False, tracks=BOTH, ending=())
    timeline.start(0)
    assert (timeline.now_ns(), timeline.position_ns(), timeline.media_now_ns()) == (0, 0, 0)
    timeline.advance(Track.VIDEO, 3 * SECOND)
    timeline.advance(Track.AUDIO, 2 * SECOND)
    assert (timeline.now_ns(), timeline.position_ns()) == (3 * SECOND, 2 * SECOND)


def test_the_earliest_end_counts() -> None:
    timeline = Timeline(SimulatedClock(), live=True, tracks=BOTH, ending=())
    timeline.end_at(60 * SECOND)
    timeline.end_at(10 * SECOND)
    timeline.end_at(20 * SECOND)
    assert timeline.end_ns == 10 * SECOND


def test_the_last_source_to_end_ends_the_session_where_the_longest_of_them_ended() -> None:
    timeline = Timeline(SimulatedClock(), live=False, tracks=BOTH, ending=BOTH)
    timeline.advance(Track.VIDEO, 5 * SECOND)
    ends = [timeline.end_ns]
    timeline.source_ended(Track.VIDEO)
    ends.append(timeline.end_ns)
    timeline.advance(Track.AUDIO, 4 * SECOND)
    timeline.source_ended(Track.AUDIO)
    ends.append(timeline.end_ns)
    timeline.advance(Track.AUDIO, 6 * SECOND)
    timeline.source_ended(Track.AUDIO)  # said again and again while the track runs on
    ends.append(timeline.end_ns)
    assert ends == [None, None, 5 * SECOND, 5 * SECOND]


def test_a_track_without_an_end_does_not_make_the_session_longer() -> None:
    timeline = Timeline(SimulatedClock(), live=False, tracks=BOTH, ending=(Track.VIDEO,))
    timeline.advance(Track.AUDIO, 7 * SECOND)
    timeline.advance(Track.VIDEO, 5 * SECOND)
    timeline.source_ended(Track.VIDEO)
    assert timeline.end_ns == 5 * SECOND


def test_a_device_that_is_gone_does_not_end_the_session() -> None:
    timeline = Timeline(SimulatedClock(), live=True, tracks=BOTH, ending=())
    timeline.source_ended(Track.VIDEO)
    assert timeline.end_ns is None


def test_the_other_tracks_are_released_after_the_end_is_known() -> None:
    released: list[tuple[str, int | None]] = []
    timeline = Timeline(
        SimulatedClock(), live=False, tracks=BOTH, ending=(Track.VIDEO,),
        release=lambda track: released.append((track, timeline.end_ns)),
    )  # fmt: skip
    timeline.advance(Track.VIDEO, 5 * SECOND)
    timeline.source_ended(Track.VIDEO)
    assert released == [("video", 5 * SECOND)]


def test_media_time_begins_with_the_recording_and_stands_still_at_its_end() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock, live=True, tracks=BOTH, ending=())
    zero_ns = clock.now_ns()
    timeline.start(zero_ns)
    timeline.origin_ns = 3 * SECOND
    assert timeline.media_now_ns() == -3 * SECOND
    clock.advance_to(zero_ns + 5 * SECOND)
    assert timeline.media_now_ns() == 2 * SECOND
    timeline.end_at(9 * SECOND)
    assert timeline.media_now_ns() == 2 * SECOND
    clock.advance_to(zero_ns + 60 * SECOND)
    assert timeline.media_now_ns() == 6 * SECOND


def test_what_was_encoded_before_the_recording_began_is_none_of_it() -> None:
    timeline = Timeline(SimulatedClock(), live=True, tracks=BOTH, ending=())
    timeline.origin_ns = 3 * SECOND
    positions = []
    for seconds in (2, 3, 8):
        timeline.advance(Track.VIDEO, seconds * SECOND)
        timeline.advance(Track.AUDIO, (seconds + 1) * SECOND)
        positions.append(timeline.media_position_ns())
    assert positions == [0, 0, 5 * SECOND]


def test_a_session_is_nowhere_before_its_first_picture_however_it_runs() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock, live=False, tracks=BOTH, ending=())
    timeline.advance(Track.VIDEO, SECOND)
    assert (timeline.zero_ns, timeline.now_ns(), timeline.program_ns(clock.now_ns())) == (0, 0, clock.now_ns())


def test_a_source_that_ends_after_the_end_that_was_decided_does_not_move_it() -> None:
    timeline = Timeline(SimulatedClock(), live=False, tracks=BOTH, ending=(Track.VIDEO,))
    timeline.end_at(4 * SECOND)
    timeline.advance(Track.VIDEO, 5 * SECOND)
    timeline.source_ended(Track.VIDEO)
    assert timeline.end_ns == 4 * SECOND


STEP_NS = 20_000_000


def stood(at_ns: int = 10 * STALL_NS) -> StallDetector:
    """Return one that has just seen its PC stand still, up to `at_ns`."""
    stalls = StallDetector()
    stalls.update(0, came=True)
    assert stalls.update(at_ns, came=False) == at_ns
    assert stalls.is_excused
    return stalls


def test_who_looks_often_enough_does_not_stand_still() -> None:
    stalls = StallDetector()
    for number in range(5):
        assert stalls.update(7 * STALL_NS + number * STALL_NS, came=number % 2 == 0) == 0
        assert not stalls.is_excused


def test_a_source_is_excused_until_it_was_waited_for_in_vain() -> None:
    at_ns = 10 * STALL_NS
    stalls = stood(at_ns)
    for _ in range(EMPTY_WAIT_NS // STEP_NS - 1):
        at_ns += STEP_NS
        assert stalls.update(at_ns, came=False) == 0
        assert stalls.is_excused
    at_ns += STEP_NS
    stalls.update(at_ns, came=False)
    assert not stalls.is_excused
    stalls.update(at_ns + STEP_NS, came=True)
    assert not stalls.is_excused, "it has nothing of before any more"


def test_what_comes_says_that_there_may_be_more() -> None:
    at_ns = 10 * STALL_NS
    stalls = stood(at_ns)
    for _ in range(3):
        for came in (False, False, False, False, True):
            at_ns += STEP_NS
            stalls.update(at_ns, came=came)
            assert stalls.is_excused


def test_one_look_in_vain_is_not_enough_however_long_it_took() -> None:
    at_ns = 10 * STALL_NS
    stalls = stood(at_ns)
    stalls.update(at_ns + STALL_NS, came=False)
    assert stalls.is_excused
    stalls.update(at_ns + STALL_NS + MAX_LOOK_NS, came=False)
    assert not stalls.is_excused


def test_a_source_that_gives_little_by_little_is_not_excused_for_ever() -> None:
    at_ns = first_ns = 10 * STALL_NS
    stalls = stood(at_ns)
    while stalls.is_excused:
        at_ns += STEP_NS
        stalls.update(at_ns, came=True)
    assert at_ns - first_ns == MAX_EXCUSE_NS


def test_who_stands_still_again_has_all_the_time_again() -> None:
    stalls = stood(10 * STALL_NS)
    stalls.update(10 * STALL_NS + EMPTY_WAIT_NS - 1, came=False)
    assert stalls.update(20 * STALL_NS, came=False) == 10 * STALL_NS - EMPTY_WAIT_NS + 1
    stalls.update(20 * STALL_NS + MAX_LOOK_NS, came=False)
    assert stalls.is_excused


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
