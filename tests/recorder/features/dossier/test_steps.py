"""The steps of the SOP against their standard times."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings.office import INDONESIAN_ZONES, STANDARD, WEEKDAYS, Office, RequestSettings, StandardTime
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


def test_the_steps_of_the_sop_are_the_default() -> None:
    procedure = procedure_of(RequestSettings())
    assert [(step.kind, step.by, step.to, step.standard.days, step.standard.seconds) for step in procedure.steps] == [
        ("receive", "WR III", "", 1, 0),
        ("dispose", "WR III", "Kepala BPKH", 0, 7200),
        ("dispose", "Kepala BPKH", "Koord. PKIH", 0, 3600),
        ("dispose", "Koord. PKIH", "Wakor Humas", 0, 600),
        ("carry-out", "Staf Humas", "", 1, 0),
        ("archive", "Staf Humas", "", 1, 0),
    ]


def test_a_letter_that_came_in_is_due_within_a_working_day() -> None:
    first, *others = steps(request(), "2026-11-23 09:00")
    assert (first.state, first.due_at, first.used_s, first.left_s) == (DUE, at("2026-11-24 08:00"), 3600, 6.5 * 3600)
    assert {step.state for step in others} == {WAITING}


def test_what_is_not_done_when_it_is_due_is_late_by_office_hours() -> None:
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


# Counting in office hours: examples of the SOP, and what must hold for any office and any moment.

WIB = INDONESIAN_ZONES["WIB"]
WIB_OFFICE = Office(time_zone="WIB", holidays=(date(2026, 12, 25),))


def wib(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=WIB)


@pytest.mark.parametrize(
    ("begin", "standard", "due"),
    [
        ("2026-11-24 10:00", "1 day", "2026-11-25 10:00"),
        ("2026-11-24 11:00", "2 h", "2026-11-24 14:00"),  # the break from 12 to 13 does not count
        ("2026-11-24 15:00", "2 h", "2026-11-25 08:30"),
        ("2026-11-24 14:00", "2 h", "2026-11-24 16:00"),  # at closing time, not at the next opening
        ("2026-11-24 15:55", "10 min", "2026-11-25 07:35"),
        ("2026-11-24 06:00", "1 h", "2026-11-24 08:30"),
        ("2026-11-24 16:00", "1 day", "2026-11-26 07:30"),  # a closing time is outside: it counts from the morning
        ("2026-11-24 12:30", "10 min", "2026-11-24 13:10"),
        ("2026-11-26 11:45", "1 day", "2026-11-27 11:30"),  # on Fridays the break begins at 11:30
        ("2026-11-27 16:15", "1 day", "2026-11-30 16:00"),  # and the office closes at 16:30
        ("2026-11-28 10:00", "1 day", "2026-12-01 07:30"),  # a Saturday counts as Monday's opening
        ("2026-12-24 09:00", "1 day", "2026-12-28 09:00"),  # a holiday and a weekend
        ("2026-12-25 09:00", "1 h", "2026-12-28 08:30"),
        ("2026-11-24 08:00", "20 h", "2026-11-26 14:00"),
    ],
)
def test_when_something_is_due(begin: str, standard: str, due: str) -> None:
    assert WorkingHours(WIB_OFFICE).due(wib(begin), STANDARD.read(standard)) == wib(due)


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-11-24 07:30", "2026-11-24 16:00", 7.5),
        ("2026-11-24 16:00", "2026-11-25 07:30", 0.0),
        ("2026-11-27 16:00", "2026-11-30 08:00", 1.0),
        ("2026-11-23 00:00", "2026-11-30 00:00", 37.5),
        ("2026-12-21 00:00", "2026-12-28 00:00", 30.0),
        ("2026-11-25 10:00", "2026-11-24 10:00", 0.0),
    ],
)
def test_working_time_between_two_moments(begin: str, end: str, hours: float) -> None:
    assert WorkingHours(WIB_OFFICE).between(wib(begin), wib(end)) == hours * 3600


def test_a_day_is_due_at_the_same_time_on_the_wall_where_clocks_are_changed() -> None:
    berlin = WorkingHours(Office(time_zone="Europe/Berlin", sunday=("00:00-24:00",)))
    due = berlin.due(datetime(2026, 10, 23, 10, 0, tzinfo=berlin.zone), StandardTime(days=2))  # Friday to Monday
    assert due.isoformat() == "2026-10-26T10:00:00+01:00"
    long_sunday = berlin.between(datetime(2026, 10, 24, tzinfo=berlin.zone), datetime(2026, 10, 26, tzinfo=berlin.zone))
    assert long_sunday == 25 * 3600


# What must hold for any office


def spans(minutes: list[int]) -> tuple[str, ...]:
    ends = sorted(minutes)[: len(minutes) // 2 * 2]
    text = [f"{minute // 60:02}:{minute % 60:02}" for minute in ends]
    return tuple(f"{begin}-{end}" for begin, end in zip(text[::2], text[1::2], strict=True))


hours_of_a_day = st.lists(st.integers(0, 24 * 60 - 1), max_size=6, unique=True).map(spans)
days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
offices = st.builds(
    lambda zone, week, monday, holidays: Office(
        time_zone=zone,
        holidays=tuple(sorted(holidays)),
        **(dict(zip(WEEKDAYS, week, strict=True)) | {"monday": monday}),
    ),
    st.sampled_from(["WIB", "WITA", "WIT", "Europe/Berlin", "local"]),
    st.lists(hours_of_a_day, min_size=7, max_size=7),
    hours_of_a_day.filter(bool),
    st.sets(days, max_size=40),
)
moments = st.integers(0, 2 * 365 * 86_400 * 1000).map(
    lambda passed: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=passed)
)
seconds = st.integers(1, 60 * 3600)
standards = st.builds(lambda s: StandardTime(seconds=s), seconds) | st.builds(
    lambda d: StandardTime(days=d), st.integers(1, 30)
)


def is_working(office: Office, hours: WorkingHours, moment: datetime) -> bool:
    """Return whether a moment is within the hours on the wall, their ends as well; written anew for the test."""
    wall = moment.astimezone(hours.zone)
    if wall.date() in office.holidays:
        return False
    return any(
        time.fromisoformat(begin) <= wall.time() <= time.fromisoformat(end)
        for begin, end in (span.split("-") for span in office.hours_of(wall.weekday()))
    )


@given(offices, moments, standards)
def test_what_is_due_is_due_within_office_hours_and_after_it_began(
    office: Office, begin: datetime, standard: StandardTime
) -> None:
    hours = WorkingHours(office)
    due = hours.due(begin, standard)
    assert due >= begin
    if office.time_zone != "Europe/Berlin":  # where an hour of the wall may not exist
        assert is_working(office, hours, due)


@given(offices, moments, seconds)
def test_hours_are_due_after_just_so_much_working_time(office: Office, begin: datetime, length: int) -> None:
    hours = WorkingHours(office)
    assert hours.between(begin, hours.due(begin, StandardTime(seconds=length))) == length


@given(offices, moments, moments, standards)
def test_what_begins_later_is_not_due_earlier(
    office: Office, one: datetime, other: datetime, standard: StandardTime
) -> None:
    hours = WorkingHours(office)
    earlier, later = sorted((one, other))
    assert hours.due(earlier, standard) <= hours.due(later, standard)


@given(offices, moments, moments, moments)
def test_working_time_adds_up(office: Office, one: datetime, two: datetime, three: datetime) -> None:
    hours = WorkingHours(office)
    first, middle, last = sorted((one, two, three))
    whole = hours.between(first, last)
    assert whole == pytest.approx(hours.between(first, middle) + hours.between(middle, last), abs=1e-6)
    assert 0 <= whole <= (last - first).total_seconds()


@given(offices, moments, st.integers(1, 30))
def test_days_are_working_days(office: Office, begin: datetime, count: int) -> None:
    hours = WorkingHours(office)
    first = hours.opens(begin).date()
    last = hours.due(begin, StandardTime(days=count)).date()
    later = [first + timedelta(days=number + 1) for number in range((last - first).days)]
    worked = [day for day in later if hours.opens(datetime.combine(day, time(), hours.zone)).date() == day]
    assert len(worked) == count
    assert worked[-1] == last


@given(offices, moments, standards, st.sets(days, max_size=10))
def test_a_further_holiday_makes_nothing_due_earlier(
    office: Office, begin: datetime, standard: StandardTime, more: set[date]
) -> None:
    closed = msgspec.structs.replace(office, holidays=tuple(sorted({*office.holidays, *more})))
    assert WorkingHours(closed).due(begin, standard) >= WorkingHours(office).due(begin, standard)


@given(offices, moments, st.integers(-14 * 3600, 14 * 3600))
def test_the_zone_a_moment_is_given_in_does_not_matter(office: Office, begin: datetime, offset: int) -> None:
    hours = WorkingHours(office)
    elsewhere = begin.astimezone(timezone(timedelta(seconds=offset)))
    assert hours.due(elsewhere, StandardTime(days=1)) == hours.due(begin, StandardTime(days=1))
    assert hours.opens(elsewhere) == hours.opens(begin)


MINUTE = timedelta(minutes=1)
HORIZON = 120
"""Days after which an office of these tests has had hours enough for whatever is asked."""


class Wall:
    """A wall clock and a calendar, with the hours of an office marked on every single minute."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.open = {
            weekday: {
                minute
                for span in office.hours_of(weekday)
                for minute in range(*(int(at[:2]) * 60 + int(at[3:]) for at in span.split("-")))
            }
            for weekday in range(7)
        }

    def of(self, day: date) -> set[int]:
        """Return the minutes of a day, counted from midnight, in which the office works."""
        return set() if day in self.office.holidays else self.open[day.weekday()]

    def works(self, at: datetime) -> bool:
        return at.hour * 60 + at.minute in self.of(at.date())

    def minutes(self, begin: datetime) -> Iterator[datetime]:
        """Yield the beginning of each minute from `begin` on in which the office works."""
        at = begin
        while at < begin + timedelta(days=HORIZON):
            if not self.of(at.date()):
                at = datetime.combine(at.date() + timedelta(days=1), time())
                continue
            if self.works(at):
                yield at
            at += MINUTE

    def after_minutes(self, begin: datetime, count: int) -> datetime:
        """Return the end of the `count`th minute of work."""
        left = self.minutes(begin)
        for _ in range(count - 1):
            next(left)
        return next(left) + MINUTE

    def after_days(self, begin: datetime, count: int) -> datetime:
        """Return the same time of day `count` working days later, or the last moment of work that is not after it."""
        first = next(self.minutes(begin))
        day = first.date()
        while count:
            day += timedelta(days=1)
            count -= bool(self.of(day))
        midnight = datetime.combine(day, time())
        reached = sorted({midnight + (minute + ends) * MINUTE for minute in self.of(day) for ends in (0, 1)})
        return max((at for at in reached if at <= datetime.combine(day, first.time())), default=reached[0])


quarters = st.lists(st.integers(0, 95).map(lambda quarter: quarter * 15), max_size=6, unique=True)
hours_of_a_day = quarters.map(
    lambda minutes: tuple(
        f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
        for begin, end in zip(sorted(minutes)[::2], sorted(minutes)[1::2], strict=False)
    )
)
SOP = Office()
weeks = st.lists(hours_of_a_day, min_size=6, max_size=6).map(lambda days: (SOP.monday, *days)) | st.just(
    tuple(map(SOP.hours_of, range(7)))
)
dates = st.dates(date(2026, 11, 1), date(2027, 1, 31))
offices = st.builds(
    lambda zone, week, holidays: Office(
        time_zone=zone, holidays=tuple(sorted(holidays)), **dict(zip(WEEKDAYS, week, strict=True))
    ),
    st.sampled_from(sorted(INDONESIAN_ZONES)),
    weeks,
    st.sets(dates, max_size=12),
)
ends = sorted(
    {int(at[:2]) * 60 + int(at[3:]) for day in (SOP.monday, SOP.friday) for span in day for at in span.split("-")}
)
minutes_of_a_day = st.sampled_from(ends) | st.integers(0, 24 * 60 - 1)
"""Every other one where hours begin or end: that is where counting goes wrong."""
walls = st.builds(lambda day, minute: datetime.combine(day, time()) + minute * MINUTE, dates, minutes_of_a_day)


def on_the_wall(moment: datetime, office: Office) -> datetime:
    assert moment.utcoffset() == INDONESIAN_ZONES[office.time_zone].utcoffset(None)
    return moment.replace(tzinfo=None)


@given(offices, walls, st.integers(1, 20 * 60))
def test_minutes_are_due_when_so_many_of_them_have_been_worked(office: Office, begin: datetime, count: int) -> None:
    moment = begin.replace(tzinfo=INDONESIAN_ZONES[office.time_zone])
    due = WorkingHours(office).due(moment, StandardTime(seconds=count * 60))
    assert on_the_wall(due, office) == Wall(office).after_minutes(begin, count)


@given(offices, walls, st.integers(1, 5))
def test_days_are_due_at_the_same_time_or_the_last_moment_of_work_before(
    office: Office, begin: datetime, count: int
) -> None:
    moment = begin.replace(tzinfo=INDONESIAN_ZONES[office.time_zone])
    due = WorkingHours(office).due(moment, StandardTime(days=count))
    assert on_the_wall(due, office) == Wall(office).after_days(begin, count)


@given(offices, walls, st.integers(0, 14 * 24 * 60))
def test_working_time_is_as_many_minutes_as_the_office_worked(office: Office, begin: datetime, count: int) -> None:
    moment, wall = begin.replace(tzinfo=INDONESIAN_ZONES[office.time_zone]), Wall(office)
    worked = sum(wall.works(begin + number * MINUTE) for number in range(count))
    assert WorkingHours(office).between(moment, moment + count * MINUTE) == worked * 60
