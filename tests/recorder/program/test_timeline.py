"""Media time: where it begins, where it is, and where it ends."""

from devices.host.clock import NANOSECONDS
from recorder.model.packet import Track
from recorder.program.timeline import Timeline
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
