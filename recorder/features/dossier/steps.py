"""How a request stands: each step of its procedure against the standard time, how far it has come, what it lacks.

docs/request.md says when the time of each step begins to run, and when it is done. Where no disposition was noted, that
of `carry-out` counts from the last that was, or from when the letter came.
"""

from datetime import datetime

from msgspec.structs import replace

from config.settings.office import RequestSettings
from recorder.features.dossier.hours import WorkingHours
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


def procedure_of(settings: RequestSettings) -> Procedure:
    """Return the procedure that the settings describe."""
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
    """Return every step of the procedure as it stands at `now`."""
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
        found.append(_judged(bare, started, done, hours, now, is_over=is_over))
        known = done or known
        before = done
    return tuple(found)


def _started(
    request: Request, step: ProcedureStep, before: datetime | None, known: datetime, done: datetime | None
) -> datetime | None:
    """Return when a step's time began to run; None where that is not known yet.

    `before` is when the step before it was done, `known` the last such moment that is known.
    """
    if step.kind is StepKind.ARCHIVE:
        return max((recorded.ended_at for recorded in request.recordings), default=None)
    if step.kind is StepKind.CARRY_OUT:
        begins = before or (known if done else None)
        return begins and max(begins, request.starts_at or begins)
    return before


def _done(request: Request, step: ProcedureStep) -> datetime | None:
    """Return when a step was done, None where it was not, or nobody has noted it."""
    if step.kind is StepKind.RECEIVE:
        passed_on = min((each.at for each in request.dispositions), default=None)
        return request.receipt.at if request.receipt else passed_on
    if step.kind is StepKind.DISPOSE:
        return next((each.at for each in request.dispositions if _leads_past(each, step, request.procedure)), None)
    ended = [recorded.ended_at for recorded in request.recordings]
    if step.kind is StepKind.CARRY_OUT:
        return min(ended, default=None)
    archived = [recorded.archived_at for recorded in request.recordings]
    return max((moment for moment in archived if moment), default=None) if all(archived) else None


def _leads_past(disposition: Disposition, step: ProcedureStep, procedure: Procedure) -> bool:
    place = {role: number for number, role in enumerate(procedure.roles)}
    first, last = place.get(disposition.giver, 0), place.get(disposition.to, 0)
    return first <= place.get(step.by, 0) < last


def _judged(
    step: Step, started: datetime | None, done: datetime | None, hours: WorkingHours, now: datetime, *, is_over: bool
) -> Step:
    """Return a step, of which only what it is is known, as it stands at `now`."""
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


def reached(request: Request) -> str:
    """Return the role that has the request now: the first, or the one that the last disposition went to."""
    return request.dispositions[-1].to if request.dispositions else request.procedure.roles[0]


def stage_of(request: Request) -> Stage:
    """Return how far a request has come."""
    if request.state is not RequestState.OPEN:
        return Stage(request.state)
    if request.recordings and all(recorded.archived_at for recorded in request.recordings):
        return Stage.ARCHIVED
    if request.staff:
        return Stage.ASSIGNED
    if request.dispositions and reached(request) == request.procedure.roles[-1]:
        return Stage.DISPOSED
    return Stage.RECEIVED if request.receipt or request.dispositions else Stage.NEW


def lacks(request: Request) -> tuple[str, ...]:
    """Return what a complete request has and this one has not: letter, dispositions, staff, recording, check.

    With all dispositions and recordings every step has its time. One check is enough for several recordings.
    """
    papers = (step for step in request.procedure.steps if step.kind in {StepKind.RECEIVE, StepKind.DISPOSE})
    passed_on = reached(request) == request.procedure.roles[-1] and all(_done(request, step) for step in papers)
    archived = bool(request.recordings) and all(recorded.archived_at for recorded in request.recordings)
    there = {
        "letter": any(letter.kind == "request" for letter in request.letters),
        "dispositions": passed_on,
        "staff": bool(request.staff),
        "recording": archived,
        "check": not archived or any(recorded.ready is not None for recorded in request.recordings),
    }
    return tuple(name for name, is_there in there.items() if not is_there)
