"""The steps of the SOP against their standard times."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings.office import STANDARD, WEEKDAYS, Office, RequestSettings, StandardTime
from recorder.features.dossier.steps import WorkingHours, current_role, missing_parts, procedure_of, stage_of, steps_of
from recorder.package.request import Letter, Receipt, RecordedSession, Request, RequestState, Stage, Step, StepState
from tests.support.dossiers import OFFICE, at, disposition, request

MET, LATE, DUE, WAITING, DROPPED = StepState.MET, StepState.LATE, StepState.DUE, StepState.WAITING, StepState.DROPPED
RECEIPT = Receipt(at=at("2026-11-23 09:00"))
CHAIN = (
    disposition("WR III", "Kepala BPKH", "2026-11-23 10:00"),
    disposition("Kepala BPKH", "Koord. PKIH", "2026-11-23 10:45"),
    disposition("Koord. PKIH", "Wakor Humas", "2026-11-23 11:00"),
    disposition("Wakor Humas", "Staf Humas", "2026-11-23 13:30"),
)


def recorded(ended: str, archived: str | None, **more: Any) -> RecordedSession:
    return RecordedSession(
        package="2026-12-01_0855_rapat-senat_77b0c2e1", uuid="77b0c2e1", path="/arsip/x", title="Rapat Senat",
        started_at=at(ended) - timedelta(hours=1), ended_at=at(ended), archived_at=at(archived) if archived else None,
        **more,
    )  # fmt: skip


def steps(found: Request, now: str) -> tuple[Step, ...]:
    return steps_of(found, WorkingHours(OFFICE), at(now))


def states(found: Request, now: str) -> list[StepState]:
    return [step.state for step in steps(found, now)]


def test_a_letter_is_due_within_a_working_day_and_late_by_office_hours() -> None:
    first, *others = steps(request(), "2026-11-23 09:00")
    assert (first.state, first.due_at, first.used_s, first.left_s) == (DUE, at("2026-11-24 08:00"), 3600, 6.5 * 3600)
    assert {step.state for step in others} == {WAITING}
    first = steps(request(), "2026-11-25 09:30")[0]
    assert (first.state, first.late_s, first.left_s, first.done_at) == (LATE, 9 * 3600, None, None)


def test_each_disposition_ends_a_step_and_begins_the_next() -> None:
    found = request(receipt=RECEIPT, dispositions=CHAIN[:1])
    first, second, third, *_ = steps(found, "2026-11-23 10:30")
    assert (first.state, first.done_at, first.used_s) == (MET, at("2026-11-23 09:00"), 3600)
    assert (second.state, second.started_at, second.used_s) == (MET, at("2026-11-23 09:00"), 3600)
    assert (third.state, third.started_at, third.left_s) == (DUE, at("2026-11-23 10:00"), 1800)


def test_ten_minutes_that_became_fifteen_are_late_by_five() -> None:
    step = steps(request(dispositions=CHAIN), "2026-11-24 10:00")[3]
    assert (step.state, step.used_s, step.late_s, step.due_at) == (LATE, 900, 300, at("2026-11-23 10:55"))


def test_a_role_that_is_passed_over_has_had_it_as_well() -> None:
    found = request(dispositions=(CHAIN[0], disposition("Kepala BPKH", "Staf Humas", "2026-11-23 10:30")))
    assert states(found, "2026-11-23 10:31")[:5] == [MET, MET, MET, MET, DUE]
    assert current_role(found) == "Staf Humas"


def test_a_disposition_after_closing_time_is_no_later_than_one_at_it() -> None:
    found = request(dispositions=(disposition("WR III", "Kepala BPKH", "2026-11-23 15:00"),
                                  disposition("Kepala BPKH", "Koord. PKIH", "2026-11-23 19:00")))  # fmt: skip
    assert steps(found, "2026-11-23 20:00")[2].state is MET


def test_the_time_to_carry_it_out_begins_with_the_event() -> None:
    found = request(dispositions=CHAIN, starts_at=at("2026-12-01 09:00"))
    step = steps(found, "2026-11-26 10:00")[4]
    assert (step.state, step.started_at, step.due_at) == (DUE, at("2026-12-01 09:00"), at("2026-12-02 09:00"))
    assert (step.used_s, step.left_s) == (0, 29 * 3600)  # Thursday 10:00 to Wednesday 9:00


def test_a_recorded_session_ends_the_fifth_and_its_package_the_sixth() -> None:
    found = request(dispositions=CHAIN, starts_at=at("2026-12-01 09:00"),
                    recordings=(recorded("2026-12-01 11:30", "2026-12-01 11:31"),))  # fmt: skip
    fifth, sixth = steps(found, "2026-12-05 10:00")[4:]
    assert (fifth.state, fifth.done_at) == (MET, at("2026-12-01 11:30"))
    assert (sixth.state, sixth.done_at, sixth.used_s) == (MET, at("2026-12-01 11:31"), 60)
    assert stage_of(found) is Stage.ARCHIVED


def test_a_recording_that_waits_for_its_package_is_due() -> None:
    found = request(dispositions=CHAIN, recordings=(recorded("2026-12-01 11:00", None),))
    assert steps(found, "2026-12-01 13:30")[5].state is DUE
    assert steps(found, "2026-12-03 13:30")[5].state is LATE
    assert stage_of(found) is not Stage.ARCHIVED


def test_without_its_paper_a_recording_is_judged_from_the_letter_on() -> None:
    found = request(recordings=(recorded("2026-11-23 11:00", "2026-11-23 11:01"),))
    assert states(found, "2026-11-25 11:30") == [LATE, WAITING, WAITING, WAITING, MET, MET]
    late = request(recordings=(recorded("2026-11-25 11:00", "2026-11-25 11:01"),))
    assert states(late, "2026-11-25 11:30")[4] is LATE


def test_a_cancelled_request_waits_for_nothing() -> None:
    found = request(dispositions=CHAIN[:1], state=RequestState.CANCELLED)
    assert states(found, "2026-12-24 10:00") == [MET, MET, DROPPED, DROPPED, DROPPED, DROPPED]
    assert stage_of(found) is Stage.CANCELLED


@pytest.mark.parametrize(
    ("more", "stage", "lacking"),
    [
        ({}, Stage.NEW, ("letter", "dispositions", "staff", "recording")),
        ({"receipt": RECEIPT}, Stage.RECEIVED, ("letter", "dispositions", "staff", "recording")),
        ({"dispositions": CHAIN}, Stage.DISPOSED, ("letter", "staff", "recording")),
        ({"dispositions": CHAIN, "staff": ("Budi",)}, Stage.ASSIGNED, ("letter", "recording")),
    ],
)  # fmt: skip
def test_how_far_a_request_has_come(more: dict[str, Any], stage: Stage, lacking: tuple[str, ...]) -> None:
    assert (stage_of(request(**more)), missing_parts(request(**more))) == (stage, lacking)


def test_a_complete_request_has_a_time_for_every_step_a_check_and_all_its_packages() -> None:
    letter = Letter(
        file="surat/permohonan-1.pdf", kind="request", media_type="application/pdf", bytes=1, sha256="x",
        added_at=at("2026-11-23 08:00"),
    )  # fmt: skip
    one, other = (
        recorded("2026-12-01 11:30", "2026-12-01 11:31", ready=False),
        recorded("2026-12-01 15:30", "2026-12-01 15:31"),
    )
    whole = request(letters=(letter,), dispositions=CHAIN, staff=("Budi",), recordings=(one, other))
    assert missing_parts(whole) == ()
    assert all(step.done_at for step in steps(whole, "2026-12-02 08:00"))
    for more, lacking in (
        ({"dispositions": CHAIN[-1:]}, ("dispositions",)),  # the last one only: nobody knows when the others were
        ({"recordings": (other,)}, ("check",)),
        ({"recordings": (one, recorded("2026-12-01 15:30", None))}, ("recording",)),
        ({"recordings": ()}, ("recording",)),
        ({"letters": (msgspec.structs.replace(letter, kind="other"),)}, ("letter",)),
    ):
        assert missing_parts(msgspec.structs.replace(whole, **more)) == lacking, more


def test_another_office_has_another_chain() -> None:
    settings = RequestSettings(roles=("Dekan", "Staf"), dispose=(), receive=StandardTime(days=2))
    found = msgspec.structs.replace(
        request(dispositions=(disposition("Dekan", "Staf", "2026-11-24 09:00"),)), procedure=procedure_of(settings)
    )
    assert [(step.kind, step.state) for step in steps(found, "2026-11-24 09:10")] == [
        ("receive", MET), ("carry-out", DUE), ("archive", WAITING),
    ]  # fmt: skip


def test_moments_in_the_answer_are_those_of_the_office() -> None:
    found = request(received_at=datetime.fromisoformat("2026-11-23T01:00:00+00:00"))
    first = steps(found, "2026-11-23 09:00")[0]
    assert [str(at) for at in (first.started_at, first.due_at)] == [
        "2026-11-23 08:00:00+07:00", "2026-11-24 08:00:00+07:00",
    ]  # fmt: skip


# Counting in office hours

HOURS = WorkingHours(Office(time_zone="WIB", holidays=(date(2026, 12, 25),)))


@pytest.mark.parametrize(
    ("begin", "standard", "due"),
    [
        ("2026-11-24 10:00", "1 day", "2026-11-25 10:00"),
        ("2026-11-24 11:00", "2 h", "2026-11-24 14:00"),  # the break from 12 to 13 does not count
        ("2026-11-24 14:00", "2 h", "2026-11-24 16:00"),  # at closing time, not at the next opening
        ("2026-11-24 15:55", "10 min", "2026-11-25 07:35"),
        ("2026-11-24 16:00", "1 day", "2026-11-26 07:30"),  # a closing time is outside: it counts from the morning
        ("2026-11-26 11:45", "1 day", "2026-11-27 11:30"),  # on Fridays the break begins at 11:30
        ("2026-11-28 10:00", "1 day", "2026-12-01 07:30"),  # a Saturday counts as Monday's opening
        ("2026-12-24 09:00", "1 day", "2026-12-28 09:00"),  # a holiday and a weekend
    ],
)
def test_when_something_is_due(begin: str, standard: str, due: str) -> None:
    assert HOURS.due(at(begin), STANDARD.read(standard)) == at(due)


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-11-24 16:00", "2026-11-25 07:30", 0.0),
        ("2026-11-27 16:00", "2026-11-30 08:00", 1.0),
        ("2026-12-21 00:00", "2026-12-28 00:00", 30.0),
        ("2026-11-25 10:00", "2026-11-24 10:00", 0.0),
    ],
)
def test_working_time_between_two_moments(begin: str, end: str, hours: float) -> None:
    assert HOURS.between(at(begin), at(end)) == hours * 3600


def test_a_day_is_due_at_the_same_time_on_the_wall_where_clocks_are_changed() -> None:
    berlin = WorkingHours(Office(time_zone="Europe/Berlin", sunday=("00:00-24:00",)))
    due = berlin.due(datetime(2026, 10, 23, 10, 0, tzinfo=berlin.zone), StandardTime(days=2))  # Friday to Monday
    assert due.isoformat() == "2026-10-26T10:00:00+01:00"
    long_sunday = berlin.between(datetime(2026, 10, 24, tzinfo=berlin.zone), datetime(2026, 10, 26, tzinfo=berlin.zone))
    assert long_sunday == 25 * 3600


def spans(minutes: list[int]) -> tuple[str, ...]:
    ends = [f"{minute // 60:02}:{minute % 60:02}" for minute in sorted(minutes)]
    return tuple(f"{begin}-{end}" for begin, end in zip(ends[::2], ends[1::2], strict=False))


hours_of_a_day = st.lists(st.integers(0, 24 * 60 - 1), max_size=6, unique=True).map(spans)
offices = st.builds(
    lambda zone, week, holidays: WorkingHours(
        Office(time_zone=zone, holidays=tuple(sorted(holidays)), **dict(zip(WEEKDAYS[1:], week, strict=True)))
    ),
    st.sampled_from(["WIB", "Europe/Berlin"]),
    st.lists(hours_of_a_day, min_size=6, max_size=6),
    st.sets(st.dates(date(2026, 1, 1), date(2027, 12, 31)), max_size=40),
)
moments = st.integers(0, 2 * 365 * 86_400).map(lambda passed: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(0, passed))


@given(offices, moments, st.integers(1, 60 * 3600))
def test_hours_are_due_after_just_so_much_working_time(office: WorkingHours, begin: datetime, seconds: int) -> None:
    assert office.between(begin, office.due(begin, StandardTime(seconds=seconds))) == seconds


@given(offices, moments, moments, st.integers(1, 30))
def test_what_begins_later_is_not_due_earlier(office: WorkingHours, one: datetime, other: datetime, days: int) -> None:
    earlier, later = (office.due(begin, StandardTime(days=days)) for begin in sorted((one, other)))
    assert max(one, other) < later
    assert earlier <= later
