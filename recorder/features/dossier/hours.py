"""Counting in the office's hours: when something is due, and how much working time lies between two moments.

docs/request.md has the rules. All is computed in UTC from the hours on the wall, so that a zone whose clocks change is
right as well.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from config.settings.office import Office, StandardTime, minutes_of, zone_of

_KEPT_BEFORE = 366

type Span = tuple[datetime, datetime]


class WorkingHours:
    """An office's hours on the calendar. Moments are aware datetimes; what is returned is in the office's zone."""

    def __init__(self, office: Office) -> None:
        self.zone: tzinfo = zone_of(office.time_zone)
        self._weekdays = [tuple(map(minutes_of, office.hours_of(weekday))) for weekday in range(7)]
        self._holidays = frozenset(day.toordinal() for day in office.holidays)
        self._days: dict[int, tuple[Span, ...]] = {}
        self._first = 0
        self._sums: list[timedelta] = []

    def opens(self, moment: datetime) -> datetime:
        """Return `moment` if the office works then, else the beginning of its next hours; a closing time is outside."""
        day = self._day_of(moment)
        while True:
            for begin, end in self._spans(day):
                if moment < end:
                    return max(moment, begin).astimezone(self.zone)
            day += 1

    def due(self, moment: datetime, standard: StandardTime) -> datetime:
        """Return when something is due whose time begins to run at `moment`."""
        begin = self.opens(moment)
        return self._later_day(begin, standard.days) if standard.days else self._later(begin, standard.seconds)

    def between(self, begin: datetime, end: datetime) -> float:
        """Return the seconds of working time from `begin` to `end`; 0 where `end` is not after it."""
        if end <= begin:
            return 0.0
        earlier = self._worked(begin)  # first: it decides where the sums begin
        return (self._worked(end) - earlier).total_seconds()

    def _later_day(self, begin: datetime, days: int) -> datetime:
        day = self._day_of(begin)
        for _ in range(days):
            day += 1
            while not self._spans(day):
                day += 1
        wanted = datetime.combine(date.fromordinal(day), begin.timetz()).astimezone(UTC)
        spans = self._spans(day)
        reached = [min(wanted, end) for start, end in spans if start <= wanted]
        return (reached[-1] if reached else spans[0][0]).astimezone(self.zone)

    def _later(self, begin: datetime, seconds: float) -> datetime:
        day, left = self._day_of(begin), timedelta(seconds=seconds)
        while True:
            for start, end in self._spans(day):
                from_here = max(start, begin)
                if end - from_here >= left and end > begin:
                    return (from_here + left).astimezone(self.zone)
                left -= max(timedelta(), end - from_here)
            day += 1

    def _worked(self, moment: datetime) -> timedelta:
        """Return all working time from some day on up to `moment`."""
        day = self._day_of(moment)
        today = sum((min(moment, end) - start for start, end in self._spans(day) if start < moment), timedelta())
        return self._sum_before(day) + today

    def _sum_before(self, day: int) -> timedelta:
        """Return the working time of all days that are kept up to `day`, that one left out."""
        if not self._sums or day < self._first:
            self._first, self._sums = max(1, day - _KEPT_BEFORE), [timedelta()]
        while len(self._sums) <= day - self._first:
            spans = self._spans(self._first + len(self._sums) - 1)
            self._sums.append(self._sums[-1] + sum((end - start for start, end in spans), timedelta()))
        return self._sums[day - self._first]

    def _day_of(self, moment: datetime) -> int:
        return moment.astimezone(self.zone).toordinal()

    def _spans(self, day: int) -> tuple[Span, ...]:
        """Return the hours of a day, given by its ordinal, in UTC."""
        if day not in self._days:
            on = date.fromordinal(day)
            hours = () if day in self._holidays else self._weekdays[on.weekday()]
            self._days[day] = tuple((self._at(on, begin), self._at(on, end)) for begin, end in hours)
        return self._days[day]

    def _at(self, day: date, minutes: int) -> datetime:
        wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
        return wall.replace(tzinfo=self.zone).astimezone(UTC)
