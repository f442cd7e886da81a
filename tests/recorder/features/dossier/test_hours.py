"""Counting in office hours: examples of the SOP, and what must hold for any office and any moment."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings.office import INDONESIAN_ZONES, STANDARD, WEEKDAYS, Office, StandardTime
from recorder.features.dossier.steps import WorkingHours

WIB = INDONESIAN_ZONES["WIB"]
OFFICE = Office(time_zone="WIB", holidays=(date(2026, 12, 25),))


def at(text: str) -> datetime:
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
    assert WorkingHours(OFFICE).due(at(begin), STANDARD.read(standard)) == at(due)


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
    assert WorkingHours(OFFICE).between(at(begin), at(end)) == hours * 3600


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
