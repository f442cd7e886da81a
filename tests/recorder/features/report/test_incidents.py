"""What went wrong, and for how long, as a log tells it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec

from config.events import Event
from recorder.features.report.incidents import incidents
from recorder.package.metadata import Gap, Recording
from tests.support.reports import STARTED, event, material


def described(**changed: Any) -> Recording:
    return msgspec.structs.replace(material().recording, **changed)


def told(log: Iterable[Event], **changed: Any) -> list[tuple[str, str, int, float | None, bool]]:
    """Return kind, subject, times, seconds and whether it lasts, of each incident."""
    found = incidents(list(log), described(**changed) if changed else None)
    return [
        (one.kind, one.subject, one.times, None if one.seconds is None else round(one.seconds, 3), one.is_open)
        for one in found
    ]


def test_a_source_that_was_away_is_one_incident_from_its_last_picture_to_its_next() -> None:
    log = [
        event(10, "source-silent", "slides", since_s=9.3),
        event(11, "source-lost", "slides", hint=""),
        event(11, "source-missing", "slides", since_s=9.3, reason="lost"),
        event(30, "source-found", "slides"),
        event(31, "source-returned", "slides", at_s=30.3),
    ]
    assert told(log) == [("source-away", "slides", 1, 21.0, False)]


def test_a_fault_ends_with_its_own_recovery() -> None:
    log = [
        event(10, "source-frozen", "podium", fault="frozen"),
        event(12, "source-black", "podium", fault="black"),
        event(15, "source-recovered", "podium", fault="black"),
        event(40, "source-recovered", "podium", fault="frozen"),
    ]
    assert set(told(log)) == {("source-frozen", "podium", 1, 30, False), ("source-black", "podium", 1, 3, False)}


def test_a_pc_was_too_slow_from_the_first_step_to_the_last_one_that_was_taken_back() -> None:
    log = [
        event(10, "stepped-down", "PC", step="encoder"),
        event(12, "stepped-down", "PC", step="frame rate"),
        event(50, "stepped-up", "PC", step="frame rate"),
        event(90, "keeps-up", "PC", step="encoder"),
    ]
    assert told(log) == [("stepped-down", "PC", 1, 80, False)]


def test_a_stream_that_nobody_saw_was_not_interrupted() -> None:
    log = [
        event(10, "destination-lost", "relay", reason="refused", live_s=0.0),
        event(50, "destination-lost", "relay", reason="rejected", live_s=0.0),
        event(60, "session-ended", "Rapat"),
    ]
    assert told(log) == [("never-live", "relay", 1, None, False)]
    late = [*log[:2], event(55, "destination-live", "relay", reconnects=0), log[-1]]
    assert told(late)[0][:4] == ("destination-lost", "relay", 1, 45)
    killed = [event(1, "destination-live", "relay"), event(5, "session-resumed", "x", missing_s=1.0), *log]
    assert "destination-lost" in {kind for kind, *_ in told(killed)}, "the recorder before had streamed"
    unsaid = [event(10, "destination-lost", "relay", reason="stalled", live_s=9.5), log[-1]]
    assert told(unsaid)[0][0] == "destination-lost", "its line of being live was left out"


def test_losses_are_counted() -> None:
    log = [
        event(1, "frames-dropped", "podium", count=7),
        event(6, "frames-dropped", "podium", count=5),
        event(7, "picture-damaged", "slides", count=1),
        event(8, "picture-damaged", "slides", count=4),
        event(9, "sound-gap", "microphone", samples=24_000),
    ]
    found = {one.kind: (one.count, one.seconds) for one in incidents(log)}
    assert found == {"frames-dropped": (12, None), "picture-damaged": (4, None), "sound-gap": (None, 0.5)}


def test_gaps_of_the_description_count_and_what_is_harmless_does_not() -> None:
    log = [event(1, "mark", "Tanya jawab"), event(2, "source-hum", "podium", fault="hum")]
    gaps = Gap(start_s=60, duration_s=2.5, reason="killed"), Gap(start_s=90, duration_s=1, reason="")
    (one,) = incidents(log, described(gaps=gaps))
    assert (one.kind, one.times, one.seconds) == ("gap", 2, 3.5)
    assert one.first_at == STARTED + timedelta(seconds=60)


def test_what_is_missing_stands_first_and_once() -> None:
    log = [
        event(10, "destination-lost", "youtube"),
        event(700, "destination-live", "youtube"),
        event(800, "recording-gap", "/cadangan", start_s=799.0, duration_s=1.5),
    ]
    found = [(kind, seconds) for kind, _, _, seconds, _ in told(log)]
    assert found == [("recording-gap", 1.5), ("destination-lost", 690)]
    gaps = (Gap(start_s=799, duration_s=1.6, reason="another disk"),)
    found = [(kind, seconds) for kind, _, _, seconds, _ in told(log, gaps=gaps)]
    assert found == [("gap", 1.6), ("destination-lost", 690)]


def test_what_was_over_before_the_recording_began_is_none_of_it() -> None:
    """A session may be armed for an hour before it records; times count from where it was armed until then."""
    log = [
        event(-600, "source-missing", "slides", since_s=2.0, reason="lost"),
        event(-400, "source-returned", "slides", at_s=202.0),
        event(-300, "source-missing", "podium", since_s=302.0, reason="lost"),
        event(-200, "frames-dropped", "podium", count=9),
        event(0, "session-live", "Rapat"),
        event(20, "source-returned", "podium", at_s=20.0),
    ]
    assert told(log) == [("source-away", "podium", 1, 20, False)]
    assert incidents(log)[0].first_at == STARTED


def test_what_nothing_ends_is_of_the_recording_though_it_was_told_before() -> None:
    log = [
        event(1, "isolated-failed", "slides"),
        event(3, "session-live", "x"),
        event(60, "isolated-failed", "podium"),
    ]
    found = {(kind, subject, times) for kind, subject, times, *_ in told(log)}
    assert found == {("isolated-failed", "slides", 1), ("isolated-failed", "podium", 1)}


def test_what_the_next_recorder_does_not_say_again_has_ended_with_the_one_before_it() -> None:
    log = [
        event(0, "session-live", "Rapat"),
        event(100, "source-missing", "slides", since_s=100.0, reason="lost"),
        event(130, "destination-lost", "youtube"),
        # killed at 200; the next one finds its sources before it says that it goes on
        event(204, "source-lost", "podium", hint=""),
        event(210, "session-resumed", "x", part=2, offset_s=210.0, missing_s=10.0),
        event(210, "session-live", "Rapat"),
        event(225, "source-returned", "podium", at_s=15.0),
    ]
    away = {("source-away", "slides", 1, 100, False), ("source-away", "podium", 1, 15, False)}
    assert set(told(log)) == {*away, ("destination-lost", "youtube", 1, 70, False)}
    log += [event(240, "destination-lost", "youtube"), event(250, "destination-live", "youtube")]
    assert ("destination-lost", "youtube", 2, 80, False) in told(log), "what it says again goes on"


def test_a_session_that_was_recovered_later_does_not_last_until_then() -> None:
    log = [event(100, "destination-lost", "youtube"), event(90_000, "session-recovered", "x")]
    assert told(log, ended_at=STARTED + timedelta(seconds=160)) == [("destination-lost", "youtube", 1, 60, True)]


def test_reasons_of_which_no_log_tells_are_told() -> None:
    reasons = ("media-unreadable", "letter-missing: a.pdf", "frames-dropped: podium", "interrupted")
    log = [event(1, "frames-dropped", "podium", count=2)]
    found = [(kind, subject) for kind, subject, *_ in told(log, degraded=reasons)]
    assert found == [("frames-dropped", "podium"), ("letter-missing", "a.pdf"), ("media-unreadable", "")]
