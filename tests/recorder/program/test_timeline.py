"""Media time, and stalls of this PC."""

from collections.abc import Callable, Iterable

import pytest

from devices.host.clock import NANOSECONDS as SECOND
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


def fast(ending: Iterable[Track] = (), release: Callable[[str], None] | None = None) -> Timeline:
    return Timeline(SimulatedClock(), live=False, tracks=BOTH, ending=ending, release=release)


def test_a_live_session_passes_with_the_clock_from_the_first_picture_on() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock, live=True, tracks=BOTH, ending=())
    clock.advance_to(clock.now_ns() + 5 * SECOND)
    assert timeline.now_ns() == 0
    timeline.start(clock.now_ns() - SECOND // 10)
    assert timeline.now_ns() == SECOND // 10
    clock.advance_to(clock.now_ns() + SECOND)
    assert timeline.now_ns() == timeline.program_ns(clock.now_ns()) == SECOND + SECOND // 10


def test_a_fast_session_is_where_its_furthest_track_is_and_complete_up_to_its_slowest() -> None:
    timeline = fast()
    timeline.advance(Track.VIDEO, SECOND)
    assert (timeline.now_ns(), timeline.program_ns(7)) == (0, 7), "before its first picture it is nowhere"
    timeline.start(0)
    timeline.advance(Track.VIDEO, 3 * SECOND)
    timeline.advance(Track.AUDIO, 2 * SECOND)
    assert (timeline.now_ns(), timeline.position_ns()) == (3 * SECOND, 2 * SECOND)
    assert timeline.media_now_ns() == timeline.now_ns()


def test_the_earliest_end_counts() -> None:
    timeline = fast(ending=[Track.VIDEO])
    for seconds in (60, 10, 20):
        timeline.end_at(seconds * SECOND)
    timeline.advance(Track.VIDEO, 15 * SECOND)
    timeline.source_ended(Track.VIDEO)
    assert timeline.end_ns == 10 * SECOND


@pytest.mark.parametrize(("ending", "end_s"), [(BOTH, 7), ([Track.VIDEO], 5), ([], None)])
def test_the_last_source_to_end_ends_the_session_where_the_longest_of_them_ended(
    ending: Iterable[Track], end_s: int | None
) -> None:
    timeline = fast(ending)
    timeline.advance(Track.VIDEO, 5 * SECOND)
    timeline.advance(Track.AUDIO, 7 * SECOND)
    for track in ending:
        assert timeline.end_ns is None
        timeline.source_ended(track)
    timeline.advance(Track.VIDEO, 9 * SECOND)
    timeline.source_ended(Track.VIDEO)  # said again and again while the track runs on; and of a device that is gone
    assert timeline.end_ns == (end_s and end_s * SECOND)


def test_the_other_tracks_are_released_after_the_end_is_known() -> None:
    released: list[tuple[str, int | None]] = []
    timeline = fast([Track.VIDEO], lambda track: released.append((track, timeline.end_ns)))
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
    timeline = fast()
    timeline.origin_ns = 3 * SECOND
    positions = []
    for seconds in (2, 3, 8):
        timeline.advance(Track.VIDEO, seconds * SECOND)
        timeline.advance(Track.AUDIO, (seconds + 1) * SECOND)
        positions.append(timeline.media_position_ns())
    assert positions == [0, 0, 5 * SECOND]


STEP_NS = 20_000_000
STOOD_NS = 10 * STALL_NS


@pytest.fixture
def stalls() -> StallDetector:
    """Return one that has just seen its PC stand still, up to STOOD_NS."""
    stalls = StallDetector()
    stalls.update(0, came=True)
    assert stalls.update(STOOD_NS, came=False) == STOOD_NS
    assert stalls.is_excused
    return stalls


def test_who_looks_often_enough_does_not_stand_still() -> None:
    stalls = StallDetector()
    for number in range(5):
        assert stalls.update(7 * STALL_NS + number * STALL_NS, came=number % 2 == 0) == 0
        assert not stalls.is_excused


def test_a_source_is_excused_until_it_was_waited_for_in_vain(stalls: StallDetector) -> None:
    looks = EMPTY_WAIT_NS // STEP_NS
    for number in range(1, looks + 1):
        assert stalls.update(STOOD_NS + number * STEP_NS, came=False) == 0
        assert stalls.is_excused is (number < looks)
    stalls.update(STOOD_NS + (looks + 1) * STEP_NS, came=True)
    assert not stalls.is_excused, "it has nothing of before any more"


def test_what_comes_says_that_there_may_be_more(stalls: StallDetector) -> None:
    for number, came in enumerate((False, False, False, False, True) * 3, 1):
        stalls.update(STOOD_NS + number * STEP_NS, came=came)
        assert stalls.is_excused


def test_one_look_in_vain_is_not_enough_however_long_it_took(stalls: StallDetector) -> None:
    stalls.update(STOOD_NS + STALL_NS, came=False)
    assert stalls.is_excused
    stalls.update(STOOD_NS + STALL_NS + MAX_LOOK_NS, came=False)
    assert not stalls.is_excused


def test_a_source_that_gives_little_by_little_is_not_excused_for_ever(stalls: StallDetector) -> None:
    at_ns = STOOD_NS
    while stalls.is_excused:
        at_ns += STEP_NS
        stalls.update(at_ns, came=True)
    assert at_ns - STOOD_NS == MAX_EXCUSE_NS


def test_who_stands_still_again_has_all_the_time_again(stalls: StallDetector) -> None:
    stalls.update(STOOD_NS + EMPTY_WAIT_NS - 1, came=False)
    assert stalls.update(2 * STOOD_NS, came=False) == STOOD_NS - EMPTY_WAIT_NS + 1
    stalls.update(2 * STOOD_NS + MAX_LOOK_NS, came=False)
    assert stalls.is_excused


class Pc:
    """A PC that sleeps when it is told to, and the watch of a session on it."""

    def __init__(self) -> None:
        self.slept_ns = 5 * SECOND
        self.told: list[tuple[object, object]] = []
        self._clock = SimulatedClock()
        self._watch = SleepWatch(self._emit, self._clock, lambda: self.slept_ns)

    def _emit(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert (kind, subject) == ("pc-slept", "session")
        self.told.append((detail["media_s"], detail["slept_s"]))

    def pass_time(self, seconds: float, media_s: float | None) -> None:
        self._clock.advance_to(self._clock.now_ns() + round(seconds * SECOND))
        self._watch.update(media_s)


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


@pytest.mark.parametrize(("slept_s", "media_s", "told"), [(60, 1.0, []), (60, 12.5, [(2.5, 60.0)]), (0, 12.5, [])])
def test_one_before_it_recorded_is_told_only_where_the_recording_reaches_back_across_it(
    slept_s: int, media_s: float, told: list[tuple[object, object]]
) -> None:
    pc = Pc()
    pc.pass_time(1, None)
    pc.slept_ns += slept_s * SECOND
    pc.pass_time(1, None)
    assert pc.told == []
    pc.pass_time(10, media_s)
    pc.pass_time(10, media_s + 10)
    assert pc.told == told
