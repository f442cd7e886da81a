"""Office hours counted once more, minute by minute on the wall: slowly, and in no way as the program does it."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from config.settings.office import INDONESIAN_ZONES, WEEKDAYS, Office, StandardTime
from recorder.features.dossier.steps import WorkingHours

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
