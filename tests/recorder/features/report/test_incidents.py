"""What went wrong, and for how long, as a log tells it."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from recorder.features.report.incidents import Incident, incidents
from recorder.package.metadata import Gap, Recording
from tests.support.reports import STARTED, event, material

pytestmark = pytest.mark.computing


def only(found: list[Incident]) -> Incident:
    (one,) = found
    return one


def test_a_source_that_was_away_is_one_incident_from_its_last_picture_to_its_next() -> None:
    log = [
        event(10, "source-silent", "slides", since_s=9.3),
        event(11, "source-lost", "slides", hint=""),
        event(11, "source-missing", "slides", since_s=9.3, reason="lost"),
        event(30, "source-found", "slides"),
        event(31, "source-returned", "slides", at_s=30.3),
    ]
    one = only(incidents(log))
    assert (one.kind, one.subject, one.times, one.is_open) == ("source-away", "slides", 1, False)
    assert one.seconds == pytest.approx(21.0)


def test_what_happened_again_is_added_up() -> None:
    log = []
    for at_s in (100, 200, 300):
        log += [event(at_s, "destination-lost", "youtube"), event(at_s + 20, "destination-live", "youtube")]
    one = only(incidents(log))
    assert one.times == 3
    assert one.seconds == pytest.approx(60)
    assert one.first_at
    assert one.first_at.minute == 1


def test_a_fault_ends_with_its_own_recovery() -> None:
    log = [
        event(10, "source-frozen", "podium", fault="frozen"),
        event(12, "source-black", "podium", fault="black"),
        event(15, "source-recovered", "podium", fault="black"),
        event(40, "source-recovered", "podium", fault="frozen"),
    ]
    found = {one.kind: one.seconds for one in incidents(log)}
    assert found == {"source-frozen": pytest.approx(30), "source-black": pytest.approx(3)}


def test_a_pc_that_was_too_slow_was_so_from_the_first_step_to_the_last_one_that_was_taken_back() -> None:
    log = [
        event(10, "stepped-down", "PC", step="encoder"),
        event(12, "stepped-down", "PC", step="frame rate"),
        event(50, "stepped-up", "PC", step="frame rate"),
        event(90, "keeps-up", "PC", step="encoder"),
    ]
    one = only(incidents(log))
    assert (one.kind, one.times) == ("stepped-down", 1)
    assert one.seconds == pytest.approx(80)


def test_what_has_not_ended_lasts_to_the_end() -> None:
    one = only(incidents([event(100, "destination-lost", "youtube"), event(160, "session-ended", "Rapat")]))
    assert one.is_open
    assert one.seconds == pytest.approx(60)


def test_a_stream_that_nobody_saw_was_not_interrupted() -> None:
    log = [
        event(10, "destination-lost", "relay", reason="refused", live_s=0.0),
        event(12, "frames-dropped", "podium", count=1),
        event(50, "destination-lost", "relay", reason="rejected", live_s=0.0),
        event(60, "session-ended", "Rapat"),
    ]
    first, _ = incidents(log)
    assert (first.kind, first.subject, first.times) == ("never-live", "relay", 1)
    assert (first.seconds, first.is_open) == (None, False)
    late = [*log[:3], event(55, "destination-live", "relay", reconnects=0), log[-1]]
    assert {one.kind: one.seconds for one in incidents(late)}["destination-lost"] == pytest.approx(45)
    killed = [event(1, "destination-live", "relay"), event(5, "session-resumed", "x", missing_s=1.0), *log]
    assert "destination-lost" in {one.kind for one in incidents(killed)}, "the recorder before had streamed"
    unsaid = [event(10, "destination-lost", "relay", reason="stalled", live_s=9.5), log[-1]]
    assert only(incidents(unsaid)).kind == "destination-lost", "its line of being live was left out"


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


def described(**changed: Any) -> Recording:
    return msgspec.structs.replace(material().recording, **changed)


def test_gaps_of_the_description_count_and_what_is_harmless_does_not() -> None:
    log = [event(1, "mark", "Tanya jawab"), event(2, "source-hum", "podium", fault="hum")]
    gaps = Gap(start_s=60, duration_s=2.5, reason="killed"), Gap(start_s=90, duration_s=1, reason="")
    one = only(incidents(log, described(gaps=gaps)))
    assert (one.kind, one.times, one.seconds) == ("gap", 2, 3.5)
    assert one.first_at == STARTED + timedelta(seconds=60)


def test_what_is_missing_stands_first_and_once() -> None:
    log = [
        event(10, "destination-lost", "youtube"),
        event(700, "destination-live", "youtube"),
        event(800, "recording-gap", "/cadangan", start_s=799.0, duration_s=1.5),
    ]
    assert [(one.kind, one.seconds) for one in incidents(log)] == [("recording-gap", 1.5), ("destination-lost", 690)]
    gaps = (Gap(start_s=799, duration_s=1.6, reason="another disk"),)
    assert [(one.kind, one.seconds) for one in incidents(log, described(gaps=gaps))] == [
        ("gap", 1.6),
        ("destination-lost", 690),
    ]


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
    one = only(incidents(log))
    assert (one.kind, one.subject, one.times, one.is_open) == ("source-away", "podium", 1, False)
    assert one.seconds == pytest.approx(20)
    assert one.first_at == STARTED


def test_what_nothing_ends_is_of_the_recording_though_it_was_told_before() -> None:
    log = [
        event(1, "isolated-failed", "slides"),
        event(2, "wish-unknown", "no-such-profile"),
        event(3, "session-live", "x"),
        event(60, "isolated-failed", "podium"),
    ]
    found = {(one.kind, one.subject): one.times for one in incidents(log)}
    assert found == {
        ("isolated-failed", "slides"): 1,
        ("wish-unknown", "no-such-profile"): 1,
        ("isolated-failed", "podium"): 1,
    }


def test_that_it_could_not_begin_at_first_is_none_of_the_recording() -> None:
    assert incidents([event(-30, "start-failed", "Rapat", hint=""), event(0, "session-live", "paket")]) == []


KILLED = (
    event(0, "session-live", "Rapat"),
    event(100, "source-missing", "slides", since_s=100.0, reason="lost"),
    event(130, "destination-lost", "youtube"),
    # killed at 200; the next one finds its sources before it says that it goes on
    event(204, "source-lost", "podium", hint=""),
    event(210, "session-resumed", "x", part=2, offset_s=210.0, missing_s=10.0),
    event(210, "session-live", "Rapat"),
    event(225, "source-returned", "podium", at_s=15.0),
)


def test_what_the_next_recorder_does_not_say_again_has_ended_with_the_one_before_it() -> None:
    found = {one.kind + " " + one.subject: (one.seconds, one.is_open) for one in incidents(KILLED)}
    assert found == {
        "source-away slides": (100, False),
        "destination-lost youtube": (70, False),
        "source-away podium": (15, False),
    }


def test_what_the_next_recorder_says_again_goes_on() -> None:
    log = [*KILLED, event(240, "destination-lost", "youtube"), event(250, "destination-live", "youtube")]
    (one,) = (one for one in incidents(log) if one.subject == "youtube")
    assert (one.times, one.seconds, one.is_open) == (2, 80, False)


def test_a_session_that_was_recovered_later_does_not_last_until_then() -> None:
    log = [event(100, "destination-lost", "youtube"), event(90_000, "session-recovered", "x")]
    ended_at = STARTED + timedelta(seconds=160)
    one = only(incidents(log, described(ended_at=ended_at)))
    assert (one.seconds, one.is_open) == (60, True)


def test_reasons_of_which_no_log_tells_are_told() -> None:
    reasons = ("media-unreadable", "letter-missing: surat/permohonan-1.pdf", "frames-dropped: podium", "interrupted")
    found = incidents([event(1, "frames-dropped", "podium", count=2)], described(degraded=reasons))
    assert [(one.kind, one.subject, one.times) for one in found] == [
        ("frames-dropped", "podium", 1),
        ("letter-missing", "surat/permohonan-1.pdf", 1),
        ("media-unreadable", "", 1),
    ]


def test_a_detail_that_is_none_of_ours_counts_as_nothing() -> None:
    odd = event(1, "sound-gap", "a", samples="many")
    assert only(incidents([odd])).seconds == 0
