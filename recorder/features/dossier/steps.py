"""Working hours, and the state of a request: its steps against standard times, its stage, its gaps.

docs/request.md has the rules. Without dispositions the time of `carry-out` counts from the last known moment. Hours are
computed in UTC from wall time, so that zones with clock changes are right.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from msgspec.structs import replace

from config.settings.office import Office, RequestSettings, StandardTime, span_minutes, zone_of
from recorder.package.request import (
    Disposition,
    Procedure,
    ProcedureStep,
    Request,
    RequestState,
    Stage,
    Step,
    StepKind,
    StepState,
)

type Span = tuple[datetime, datetime]


class WorkingHours:
    """An office's hours on the calendar. Takes aware datetimes, and returns them in the office's zone."""

    def __init__(self, office: Office) -> None:
        self.zone: tzinfo = zone_of(office.time_zone)
        self._weekdays = [tuple(map(span_minutes, office.hours_of(weekday))) for weekday in range(7)]
        self._holidays = frozenset(day.toordinal() for day in office.holidays)
        self._days: dict[int, tuple[Span, ...]] = {}

    def opens(self, moment: datetime) -> datetime:
        """Return `moment` within working hours, else the start of the next ones; closing time is outside."""
        day = self._day_of(moment)
        while True:
            for begin, end in self._spans(day):
                if moment < end:
                    return max(moment, begin).astimezone(self.zone)
            day += 1

    def due(self, moment: datetime, standard: StandardTime) -> datetime:
        """Return the deadline of a step that starts at `moment`."""
        begin = self.opens(moment)
        return self._after_days(begin, standard.days) if standard.days else self._after_seconds(begin, standard.seconds)

    def between(self, begin: datetime, end: datetime) -> float:
        """Return the working seconds from `begin` to `end`; 0 if `end` is not later."""
        begin, end = begin.astimezone(UTC), end.astimezone(UTC)
        days = range(self._day_of(begin), self._day_of(end) + 1)
        spans = ((max(begin, opens), min(end, closes)) for day in days for opens, closes in self._spans(day))
        return sum((until - since for since, until in spans if since < until), timedelta()).total_seconds()

    def _after_days(self, begin: datetime, days: int) -> datetime:
        day = self._day_of(begin)
        for _ in range(days):
            day += 1
            while not self._spans(day):
                day += 1
        wanted = datetime.combine(date.fromordinal(day), begin.timetz()).astimezone(UTC)
        spans = self._spans(day)
        reached = [min(wanted, end) for start, end in spans if start <= wanted]
        return (reached[-1] if reached else spans[0][0]).astimezone(self.zone)

    def _after_seconds(self, begin: datetime, seconds: float) -> datetime:
        day, left = self._day_of(begin), timedelta(seconds=seconds)
        while True:
            for start, end in self._spans(day):
                from_here = max(start, begin)
                if end - from_here >= left and end > begin:
                    return (from_here + left).astimezone(self.zone)
                left -= max(timedelta(), end - from_here)
            day += 1

    def _day_of(self, moment: datetime) -> int:
        return moment.astimezone(self.zone).toordinal()

    def _spans(self, day: int) -> tuple[Span, ...]:
        if day not in self._days:
            on = date.fromordinal(day)
            hours = () if day in self._holidays else self._weekdays[on.weekday()]
            self._days[day] = tuple((self._at(on, begin), self._at(on, end)) for begin, end in hours)
        return self._days[day]

    def _at(self, day: date, minutes: int) -> datetime:
        wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
        return wall.replace(tzinfo=self.zone).astimezone(UTC)


def procedure_of(settings: RequestSettings) -> Procedure:
    roles = settings.roles
    steps = [
        ProcedureStep(kind=StepKind.RECEIVE, by=roles[0], standard=settings.receive),
        *(
            ProcedureStep(kind=StepKind.DISPOSE, by=giver, to=to, standard=standard)
            for giver, to, standard in zip(roles, roles[1:], settings.dispose, strict=False)
        ),
        ProcedureStep(kind=StepKind.CARRY_OUT, by=roles[-1], standard=settings.carry_out),
        ProcedureStep(kind=StepKind.ARCHIVE, by=roles[-1], standard=settings.archive),
    ]
    return Procedure(roles=roles, steps=tuple(steps))


def steps_of(request: Request, hours: WorkingHours, now: datetime) -> tuple[Step, ...]:
    """Return all steps with their state at `now`."""
    known = request.received_at
    before: datetime | None = request.received_at
    found = []
    is_over = request.state is not RequestState.OPEN
    for number, step in enumerate(request.procedure.steps, start=1):
        bare = Step(
            number=number, kind=step.kind, by=step.by, to=step.to, standard=step.standard, state=StepState.WAITING
        )
        done = _done(request, step)
        started = _started(request, step, before, known, done)
        found.append(_with_state(bare, started, done, hours, now, is_over=is_over))
        known = done or known
        before = done
    return tuple(found)


def _started(
    request: Request, step: ProcedureStep, before: datetime | None, known: datetime, done: datetime | None
) -> datetime | None:
    """Return the start of a step's time, or None; `before` ended the previous step, `known` the last known one."""
    if step.kind is StepKind.ARCHIVE:
        return max((recorded.ended_at for recorded in request.recordings), default=None)
    if step.kind is StepKind.CARRY_OUT:
        begins = before or (known if done else None)
        return begins and max(begins, request.starts_at or begins)
    return before


def _done(request: Request, step: ProcedureStep) -> datetime | None:
    """Return the end of a step; None if it is not done or not noted."""
    if step.kind is StepKind.RECEIVE:
        passed_on = min((each.at for each in request.dispositions), default=None)
        return request.receipt.at if request.receipt else passed_on
    if step.kind is StepKind.DISPOSE:
        return next((each.at for each in request.dispositions if _passes(each, step, request.procedure)), None)
    ended = [recorded.ended_at for recorded in request.recordings]
    if step.kind is StepKind.CARRY_OUT:
        return min(ended, default=None)
    archived = [recorded.archived_at for recorded in request.recordings]
    return max((moment for moment in archived if moment), default=None) if all(archived) else None


def _passes(disposition: Disposition, step: ProcedureStep, procedure: Procedure) -> bool:
    place = {role: number for number, role in enumerate(procedure.roles)}
    first, last = place.get(disposition.giver, 0), place.get(disposition.to, 0)
    return first <= place.get(step.by, 0) < last


def _with_state(
    step: Step, started: datetime | None, done: datetime | None, hours: WorkingHours, now: datetime, *, is_over: bool
) -> Step:
    if done is None and is_over:
        step = replace(step, state=StepState.DROPPED)
    started, done = (moment and moment.astimezone(hours.zone) for moment in (started, done))
    if started is None:
        return replace(step, done_at=done)
    due = hours.due(started, step.standard)
    step = replace(step, started_at=started, due_at=due, done_at=done)
    if step.state is StepState.DROPPED:
        return step
    until = done or now
    used_s, late_s = hours.between(started, until), hours.between(due, until)
    if late_s > 0:
        return replace(step, state=StepState.LATE, used_s=used_s, late_s=late_s)
    if done:
        return replace(step, state=StepState.MET, used_s=used_s)
    return replace(step, state=StepState.DUE, used_s=used_s, left_s=hours.between(now, due))


def current_role(request: Request) -> str:
    return request.dispositions[-1].to if request.dispositions else request.procedure.roles[0]


def stage_of(request: Request) -> Stage:
    if request.state is not RequestState.OPEN:
        return Stage(request.state)
    if request.recordings and all(recorded.archived_at for recorded in request.recordings):
        return Stage.ARCHIVED
    if request.staff:
        return Stage.ASSIGNED
    if request.dispositions and current_role(request) == request.procedure.roles[-1]:
        return Stage.DISPOSED
    return Stage.RECEIVED if request.receipt or request.dispositions else Stage.NEW


def missing_parts(request: Request) -> tuple[str, ...]:
    """Return the missing parts: letter, dispositions, staff, recording, check (one for all recordings)."""
    papers = (step for step in request.procedure.steps if step.kind in {StepKind.RECEIVE, StepKind.DISPOSE})
    passed_on = current_role(request) == request.procedure.roles[-1] and all(_done(request, step) for step in papers)
    archived = bool(request.recordings) and all(recorded.archived_at for recorded in request.recordings)
    there = {
        "letter": any(letter.kind == "request" for letter in request.letters),
        "dispositions": passed_on,
        "staff": bool(request.staff),
        "recording": archived,
        "check": not archived or any(recorded.ready is not None for recorded in request.recordings),
    }
    return tuple(name for name, is_there in there.items() if not is_there)
