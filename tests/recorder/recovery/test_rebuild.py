"""The facts of a session whose recorder did not live to tell them, from its log and its media."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from config.events import Event
from recorder.model.eventlog import read_events
from recorder.package.metadata import Gap, PartFacts, RecordingFacts
from recorder.recovery.rebuild import PartEvidence, rebuild_facts
from tests.support.archives import STARTED
from tests.support.leftovers import event, live


def part(
    events: Sequence[Event],
    number: int = 1,
    offset_s: float = 0.0,
    duration_s: float = 60.0,
    written_s: float | None = None,
) -> PartEvidence:
    written_at = None if written_s is None else STARTED + timedelta(seconds=written_s)
    return PartEvidence(part=number, offset_s=offset_s, duration_s=duration_s, written_at=written_at, events=events)


def test_a_recorder_that_was_killed_lost_what_came_after_the_last_whole_fragment() -> None:
    facts = rebuild_facts([part([live()], written_s=60.62)], STARTED)
    (gap,) = facts.gaps
    assert (gap.start_s, gap.duration_s) == (60.0, 0.62)
    assert gap.reason == "at least so much of the end; the recorder was killed, or its disk failed at 09:01:00"
    assert facts.ended_at == STARTED + timedelta(seconds=60)
    assert facts.degraded == ("interrupted",)
    assert (facts.dropped, facts.repeated, facts.parts) == (0, 0, ())


def test_an_event_is_a_sign_of_life_too() -> None:
    facts = rebuild_facts([part([live(), event(61.5, "source-lost", "podium")], written_s=60.2)], STARTED)
    assert facts.gaps[0].duration_s == 1.5
    assert facts.degraded == ("source-lost: podium", "interrupted")


def test_a_clock_that_was_set_meanwhile_is_not_believed() -> None:
    assert rebuild_facts([part([live()], written_s=8e8)], STARTED).gaps == ()
    assert rebuild_facts([part([live()], written_s=-8e8)], STARTED).gaps == ()


def test_one_that_ended_in_order_and_was_not_sealed_lost_nothing() -> None:
    ended = event(60.9, "session-ended", "Rapat", media_time_s=60.0, frames=1800)
    facts = rebuild_facts([part([live(), ended], written_s=61.2)], STARTED)
    assert (facts.gaps, facts.degraded, facts.ended_at) == ((), (), ended.at)


def test_one_that_was_killed_while_it_closed_lost_what_it_says_it_had() -> None:
    ended = event(60.9, "session-ended", "Rapat", media_time_s=60.4, frames=1812)
    facts = rebuild_facts([part([live(), ended])], STARTED)
    assert facts.gaps == (Gap(start_s=60.0, duration_s=0.4, reason="it was recorded, and not written before the end"),)
    assert facts.degraded == ("interrupted",)


def test_what_was_lost_on_the_way_is_counted_from_the_events() -> None:
    events = [
        event(-3, "source-silent", "podium", since_s=0.0),
        live(),
        event(1, "frames-dropped", "podium", count=3),
        event(2, "source-silent", "podium", since_s=2.0),
        event(4, "source-returned", "podium", at_s=4.5),
        event(5, "source-silent", "mikrofon", since_s=5.0),
        event(6, "frames-dropped", "podium", count=4),
        event(50, "source-silent", "podium", since_s=59.0),
    ]
    facts = rebuild_facts([part(events)], STARTED)
    assert facts.dropped == 7
    assert facts.degraded == (
        "source-silent: podium", "frames-dropped: podium", "source-silent: mikrofon", "interrupted",
    )  # fmt: skip


def test_pictures_that_stood_still_are_counted_by_how_long() -> None:
    events = [
        event(-9, "source-silent", "podium", since_s=3.0), event(-5, "source-returned", "podium", at_s=7.0),
        live(), event(2, "source-silent", "podium", since_s=2.0), event(4, "source-returned", "podium", at_s=4.5),
        event(50, "source-silent", "podium", since_s=59.0),
    ]  # fmt: skip
    assert rebuild_facts([part(events)], STARTED).repeated == round((2.5 + 1.0) * 30)
    assert rebuild_facts([part([events[0], live()])], STARTED).repeated == 60 * 30
    assert rebuild_facts([part([events[0], live(still_rate=5.0)])], STARTED).repeated == 60 * 5
    assert rebuild_facts([part([events[0], live(still_rate=None)])], STARTED).repeated == 60 * 30


def test_what_was_wrong_while_it_was_armed_only_does_not_count() -> None:
    armed = [
        event(-9, "frames-dropped", "podium", count=1), event(-7, "start-failed", "Rapat"),
        event(-5, "source-lost", "layar"),
    ]  # fmt: skip
    assert rebuild_facts([part([*armed, live()])], STARTED).degraded == ("source-lost: layar", "interrupted")


def test_marks_are_in_the_time_of_the_session() -> None:
    first = [live(), event(10, "mark", "Sambutan", media_s=10.0, number=1)]
    second = [live(75), event(80, "mark", "Tanya jawab", media_s=5.25, number=1)]
    facts = rebuild_facts([part(first), part(second, 2, 74.5)], STARTED)
    assert [(mark.media_s, mark.text) for mark in facts.marks] == [(10.0, "Sambutan"), (79.75, "Tanya jawab")]
    assert facts.marks[1].at == STARTED + timedelta(seconds=80)


def test_the_gap_between_two_recorders_says_when_the_first_was_killed() -> None:
    facts = rebuild_facts([part([live()], written_s=60.6), part([live(72.5)], 2, 72.4, written_s=132.4)], STARTED)
    (gap,) = facts.gaps
    assert (gap.start_s, gap.duration_s) == (60.0, 12.4)
    assert (
        gap.reason == "between part 1 and part 2; the recorder was killed at 09:01:00, and another one took its place"
    )
    assert facts.parts == (
        PartFacts(part=1, offset_s=0.0, duration_s=60.0), PartFacts(part=2, offset_s=72.4, duration_s=60.0),
    )  # fmt: skip
    assert facts.ended_at == STARTED + timedelta(seconds=132.4)


def test_a_recorder_that_went_on_with_another_disk_is_one_recorder() -> None:
    """Both logs hold every event; nothing counts twice, and times go on from the first part."""
    ended = event(120, "session-ended", "Rapat", media_time_s=120.0, frames=3600)
    events = [
        live(), event(50, "frames-dropped", "podium", count=2), event(59, "storage-full", "arsip"),
        event(70, "mark", "Istirahat", media_s=70.0, number=1), ended,
    ]  # fmt: skip
    facts = rebuild_facts([part(events[:3], duration_s=60.0), part(events, 2, 58.0, 62.0)], STARTED)
    assert (facts.gaps, facts.dropped) == ((), 2)
    assert [mark.media_s for mark in facts.marks] == [70.0]
    assert facts.degraded == ("frames-dropped: podium", "storage-full: arsip")
    assert facts.ended_at == ended.at


def test_a_gap_when_the_disk_was_changed_says_so() -> None:
    facts = rebuild_facts([part([live()]), part([live()], 2, 61.0, 5.0)], STARTED)
    assert facts.gaps[0].reason == "between part 1 and part 2, when the recording moved to another disk"


@pytest.mark.parametrize(
    ("numbers", "reasons"),
    [
        ((2, 3), ["the recording before part 2 was not found"]),
        ((1, 3), ["between part 1 and part 3; the recording there was not found"]),
    ],
)
def test_parts_that_are_not_there_are_gaps(numbers: tuple[int, int], reasons: list[str]) -> None:
    first, second = numbers
    parts = [part([live()], first, 100.0 * (first - 1)), part([live(300)], second, 200.0 if first == 1 else 160.0)]
    assert [gap.reason for gap in rebuild_facts(parts, STARTED).gaps][:1] == reasons


def test_a_log_is_read_past_lines_that_are_none() -> None:
    log = (
        b'{"type":"event","kind":"started"}\n\xff\xfe\n'
        b'{"type":"event","at":"2026-11-24T09:00:01","kind":"mark","subject":"no zone","detail":{},"message":"m"}\n'
        b'{"type":"event","at":"2026-11-24T09:00:01+07:00","kind":"mark",'
    )
    whole = b'{"type":"event","at":"2026-11-24T09:00:01+07:00","kind":"mark","subject":"a","detail":{},"message":"m"}\n'
    assert [each.subject for each in read_events(whole + log)] == ["a"]


def test_detail_that_is_no_number_counts_as_none() -> None:
    events = [live(), event(1, "frames-dropped", "podium", count="many"), event(2, "mark", "x", media_s=None)]
    facts = rebuild_facts([part(events)], STARTED)
    assert (facts.dropped, facts.marks[0].media_s) == (0, 0.0)


def test_how_loud_it_was_is_what_the_recorder_said_last() -> None:
    told = [event(at, "sound-measured", "program", loudness_lufs=lufs, loudness_range_lu=5.0) for at, lufs in
            ((60, -30.0), (120, -22.5))]  # fmt: skip
    facts = rebuild_facts([part([live(), *told], duration_s=150.0)], STARTED)
    assert (facts.loudness_lufs, facts.loudness_range_lu) == (-22.5, 5.0)
    ended = event(149, "session-ended", "Rapat", media_time_s=150.0, frames=1, loudness_lufs=-21.0)
    assert rebuild_facts([part([live(), *told, ended], duration_s=150.0)], STARTED).loudness_lufs == -21.0
    assert rebuild_facts([part([live()])], STARTED).loudness_lufs is None


def test_how_loud_several_recorders_were_is_their_mean_by_energy() -> None:
    first = part([live(), event(60, "sound-measured", "program", loudness_lufs=-20.0)], duration_s=100.0)
    second = part([live(110)], number=2, offset_s=110.0, duration_s=300.0)
    said = RecordingFacts(ended_at=STARTED, loudness_lufs=-40.0, loudness_range_lu=3.0)
    facts = rebuild_facts([first, second], STARTED, said)
    assert facts.loudness_lufs == pytest.approx(-25.9, abs=0.1)
    assert facts.loudness_range_lu is None
    silent = RecordingFacts(ended_at=STARTED)
    assert rebuild_facts([first, second], STARTED, silent).loudness_lufs == -20.0


def test_who_was_streamed_to_is_kept_of_every_recorder() -> None:
    first = [
        event(-3, "destination-added", "dicabut"),
        event(-2, "destination-removed", "dicabut"),
        event(0, "session-live", "rapat", destinations=["kampus"]),
        event(5, "destination-added", "youtube"),
        event(6, "destination-removed", "kampus"),
    ]
    second = [event(120, "session-live", "rapat", destinations=["youtube", "aula"])]
    facts = rebuild_facts([part(first, duration_s=100.0), part(second, number=2, offset_s=120.0)], STARTED)
    assert facts.destinations == ("kampus", "youtube", "aula")
