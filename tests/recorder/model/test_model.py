"""What the rest of the recorder talks about: names, marks, chapters, states and faults."""

import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import UsageError
from config.events import Event
from devices.host.clock import NANOSECONDS
from recorder.model.marks import MOST_MARKS, MOST_MARKS_SHOWN, Mark, Marks
from recorder.model.names import (
    LONGEST_QUOTE,
    NAME,
    SLUG_LENGTH,
    one_line,
    package_name,
    quoted,
    slug,
    start_in_name,
    utf8_safe,
)
from recorder.model.session_faults import AWAY_KINDS, HOLD_S, NOT_OPENED_KINDS, ActiveFaults, ends_fault
from recorder.model.status import TRANSITIONS, SessionState, StateMachine
from recorder.model.titles import chapters
from tests.support.simulated import SimulatedClock

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
WIB = timezone(timedelta(hours=7))


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("  Rapat: Senat / 2026  ", "rapat-senat-2026"),
        ("../../etc/passwd", "etc-passwd"),
        ("Café Ødegård Łódź straße", "cafe-odegard-lodz-strasse"),
        ("\ufb01nal \uff12\uff10\uff12\uff16", "final-2026"),  # a ligature, digits of full width
        ("会議", "sesi"),
        ("kata " * 60, "-".join(["kata"] * 12)),
    ],
)
def test_a_slug_is_made_of_the_words_of_a_title(title: str, expected: str) -> None:
    assert slug(title) == expected


@given(ANY_TEXT, st.datetimes(timezones=st.just(WIB)).filter(lambda time: time.year >= 1000), st.uuids())
def test_a_package_name_is_a_safe_file_name_whatever_the_title(title: str, started_at: datetime, uuid: UUID) -> None:
    made = slug(title)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", made)
    assert len(made) <= SLUG_LENGTH
    assert NAME.fullmatch(package_name(title, started_at, uuid))


def test_a_package_name_says_local_date_title_and_uuid() -> None:
    uuid = UUID("3f2a91c0-0000-4000-8000-000000000000")
    name = package_name("Rapat Senat", datetime(2026, 11, 24, 9, 0, tzinfo=WIB), uuid)
    assert name == "2026-11-24_0900_rapat-senat_3f2a91c0"


def test_a_name_says_when_a_session_began_where_that_is_a_time() -> None:
    found = start_in_name("2026-11-24_0900_rapat_3f2a91c0")
    assert found
    assert (f"{found:%Y-%m-%dT%H:%M}", found.tzinfo is None) == ("2026-11-24T09:00", False)
    for at in ("2026-13-40_0900", "9999-12-31_2359", "0000-01-01_0000"):
        assert start_in_name(f"{at}_rapat_3f2a91c0") is None, at
    assert start_in_name("2026-11-24_0900") is None


@given(ANY_TEXT)
def test_any_text_is_made_fit_to_be_stored_and_to_stand_on_a_line(text: str) -> None:
    stored, line, quote = utf8_safe(text), one_line(text), quoted(text)
    assert all(ours in {theirs, "\ufffd"} for ours, theirs in zip(stored, text, strict=True))
    assert stored.encode().decode() == stored
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    assert line.encode().decode() == line == line.strip()
    assert quote == one_line(quote)
    assert len(quote) <= LONGEST_QUOTE
    assert quote.removesuffix("…") in line


def test_a_long_quote_is_cut() -> None:
    assert quoted("a" * 50, 40) == "a" * 39 + "…"


def test_a_session_takes_many_marks_and_says_when_there_are_too_many() -> None:
    told: list[object] = []
    marks = Marks(SimulatedClock(), lambda kind, subject, message, **detail: told.append((kind, detail["number"])))
    for number in range(MOST_MARKS):
        marks.add(f"{number}", float(number))
    with pytest.raises(UsageError, match=str(MOST_MARKS)):
        marks.add("one more", 0.0)
    texts = [str(number) for number in range(MOST_MARKS)]
    assert [mark.text for mark in marks.all] == texts
    assert [line.text for line in marks.lines()] == texts[-MOST_MARKS_SHOWN:]
    assert told == [("mark", number) for number in range(1, MOST_MARKS + 1)]


def test_a_mark_is_at_the_sessions_time_and_has_its_text_on_one_line() -> None:
    told: list[tuple[str, str, str, object]] = []
    clock = SimulatedClock()
    marks = Marks(clock, lambda kind, subject, message, **facts: told.append((kind, subject, message, facts)))
    assert marks.add("Sambutan", 0.25).media_s == 0.25
    marks.offset_s = 600.0  # an earlier recorder was ended after ten minutes
    mark = marks.add("  Tanya \n jawab ", 12.34567)
    assert (mark.at, mark.media_s, mark.text) == (clock.now(), 612.346, "Tanya jawab")
    assert [(line.media_s, line.text) for line in marks.lines()] == [(600.25, "Sambutan"), (612.346, "Tanya jawab")]
    # What is written beside the recording counts in that one's own time.
    assert [one.media_s for one in marks.all] == [0.25, 12.34567]
    assert told[1:] == [("mark", "Tanya jawab", "Marked: Tanya jawab", {"media_s": 12.34567, "number": 2})]


def test_a_mark_without_a_text_is_refused() -> None:
    marks = Marks(SimulatedClock(), lambda *_args, **_facts: pytest.fail("it was told"))
    with pytest.raises(UsageError, match="no text"):
        marks.add(" \n\t", 1.0)
    assert marks.all == ()


@pytest.mark.parametrize(
    ("marks", "end_s", "expected"),
    [
        ([], 4.0, []),
        ([(1.5, "b")], 4.0, [(0, 1500, "Rapat"), (1500, 4000, "b")]),
        ([(3, "c"), (0, "a")], 4.0, [(0, 3000, "a"), (3000, 4000, "c")]),
        ([(1, "b"), (1.0001, "c")], 4.0, [(0, 1000, "Rapat"), (1000, 4000, "b / c")]),
        ([(9, "late")], 4.0, [(0, 3999, "Rapat"), (3999, 4000, "late")]),
        ([(0, "a")], 0.0, [(0, 1, "a")]),
    ],
)
def test_chapters_begin_at_0_never_overlap_and_end_with_the_file(
    marks: list[tuple[float, str]], end_s: float, expected: list[tuple[int, int, str]]
) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    made = chapters([Mark(at=at, media_s=at_s, text=text) for at_s, text in marks], end_s, "Rapat")
    assert [(each["start"], each["end"], each["metadata"]["title"]) for each in made] == expected
    assert [each["id"] for each in made] == list(range(1, len(expected) + 1))


def test_a_session_goes_only_the_ways_of_the_table() -> None:
    machine = StateMachine()
    for state in (SessionState.ARMED, SessionState.LIVE, SessionState.SEALING, SessionState.SEALED):
        assert state in TRANSITIONS[machine.state]
        machine.to(state)
        assert machine.state is state
    with pytest.raises(ValueError, match="sealed cannot become live"):
        machine.to(SessionState.LIVE)
    assert machine.state is SessionState.SEALED


def test_troubles_move_a_session_that_records_and_no_other() -> None:
    machine = StateMachine()
    assert machine.judge(is_troubled=True) is SessionState.IDLE
    machine.to(SessionState.ARMED)
    machine.to(SessionState.LIVE)
    assert machine.judge(is_troubled=True) is SessionState.DEGRADED
    assert machine.judge(is_troubled=False) is SessionState.LIVE
    machine.to(SessionState.SEALING)
    assert machine.judge(is_troubled=True) is SessionState.SEALING


class Told:
    """The faults of a session, on a clock that moves when told."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.faults = ActiveFaults(self.clock)

    def __call__(self, kind: str, subject: str, **detail: object) -> None:
        self.faults(Event(self.clock.now(), kind, subject, detail, "It happened."))

    def wait(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + round(seconds * NANOSECONDS))


@pytest.fixture
def tell() -> Told:
    return Told()


def test_reasons_for_being_degraded_are_kept_once_and_in_order(tell: Told) -> None:
    tell("session-live", "x")
    tell("source-lost", "podium")
    tell("source-returned", "podium")
    tell("destination-lost", "youtube")
    tell("source-lost", "podium")
    assert tell.faults.all == ["source-lost: podium", "destination-lost: youtube"]


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ("source-lost", "source-found"),
        ("destination-lost", "destination-live"),
        ("recording-stalled", "recording-resumed"),
        ("stepped-down", "keeps-up"),
        ("disk-critical", "storage-full"),
    ],
)
def test_a_fault_lasts_until_the_same_subject_is_well_again(tell: Told, begun: str, ended: str) -> None:
    tell(begun, "podium")
    tell.wait(3600)
    tell(ended, "slides")
    assert f"{begun}: podium" in tell.faults.now
    tell(ended, "podium")
    assert f"{begun}: podium" not in tell.faults.now
    assert f"{begun}: podium" in tell.faults.all


def test_any_fault_of_a_source_is_over_when_it_is_shown_again_or_that_fault_is_over() -> None:
    for kind in AWAY_KINDS:
        assert ends_fault("source-returned", "podium", {}, (kind, "podium"))
        assert not ends_fault("source-returned", "slides", {}, (kind, "podium"))
    for kind in (*NOT_OPENED_KINDS, "source-frozen"):
        fault = {"fault": kind.removeprefix("source-")}
        assert ends_fault("source-recovered", "podium", fault, (kind, "podium"))
        assert not ends_fault("source-recovered", "podium", {"fault": "lost"}, (kind, "podium"))
        assert not ends_fault("source-recovered", "podium", {}, (kind, "podium"))


def test_a_pc_that_is_too_slow_is_one_fault_until_the_last_step_is_taken_back(tell: Told) -> None:
    for kind in ("stepped-down", "stepped-down", "stepped-up"):
        tell(kind, "PC", step="encoder")
        tell.wait(3600)
        assert tell.faults.now == ["stepped-down: PC"]
    tell("keeps-up", "PC", step="encoder")
    assert (tell.faults.now, tell.faults.all) == ([], ["stepped-down: PC"])


def test_that_it_could_not_begin_lasts_until_it_records_and_is_nothing_that_the_recording_lacks(tell: Told) -> None:
    tell("start-failed", "Rapat")
    tell.wait(3600)
    assert tell.faults.now == ["start-failed: Rapat"]
    tell.faults.begin()  # which comes before anybody is told
    assert tell.faults.all == []
    tell("session-live", "2026-11-24_0900_rapat")
    assert (tell.faults.now, tell.faults.all) == ([], [])


def test_what_is_over_at_once_is_shown_for_some_seconds_and_what_nothing_ends_stays(tell: Told) -> None:
    tell("storage-vanished", "/media/usb")
    tell("frames-dropped", "podium")
    tell("source-hum", "mimbar", fault="hum")  # a warning
    tell("mark", "Pertanyaan")
    tell.wait(HOLD_S - 0.1)
    both = ["storage-vanished: /media/usb", "frames-dropped: podium"]
    assert tell.faults.now == both
    tell.wait(86_400)
    assert (tell.faults.now, tell.faults.all) == (both[:1], both)


def test_a_recording_begins_with_what_is_wrong_then_and_nothing_before(tell: Told) -> None:
    tell("source-lost", "podium")
    tell("frames-dropped", "slides")
    tell("source-lost", "slides")
    tell("source-returned", "slides")
    tell.faults.begin()
    assert tell.faults.all == tell.faults.now == ["source-lost: podium"]
