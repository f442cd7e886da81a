"""Requests as the answers of `liput request`: a JSON document, text, and a line of a list."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo

import click
import msgspec

from agent.requests.options import RequestContext
from config.settings.quantities import brief_duration
from recorder.features.dossier.steps import current_role, missing_parts, stage_of, steps_of
from recorder.features.dossier.store import Dossier
from recorder.features.dossier.text import HIDDEN, format_moment, in_english, redacted, rows_of, step_text
from recorder.model.names import one_line
from recorder.package.request import Request, RequestState, Stage, Step, StepState

LABEL = 18
_ENGLISH = 1


class RequestDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A request as JSON. `holder`: the role that has it now; `lacks`: letter, dispositions, staff, recording, check."""

    id: str
    stage: Stage
    holder: str
    complete: bool
    lacks: tuple[str, ...]
    folder: str
    request: Request
    steps: tuple[Step, ...]


class RequestLine(msgspec.Struct, frozen=True, kw_only=True):
    """A request as `liput request list --json` prints it; `step` is the number of the running step."""

    id: str
    uuid: str
    letter_number: str
    applicant: str
    unit: str
    event: str
    place: str
    received_at: datetime
    starts_at: datetime | None
    stage: Stage
    holder: str
    complete: bool
    step: int | None = None
    due_at: datetime | None = None
    left_s: float | None = None
    late_s: float | None = None
    late_steps: int = 0


def request_document(
    dossier: Dossier, request: Request, context: RequestContext, *, redact: bool = False
) -> RequestDocument:
    """Return a request with its stage, its steps and its missing parts."""
    shown = redacted(request) if redact else request
    lacking = missing_parts(request)
    return RequestDocument(
        id=shown.id,
        stage=stage_of(request),
        holder=current_role(request),
        complete=not lacking,
        lacks=lacking,
        folder=HIDDEN if redact else str(dossier.folder),
        request=shown,
        steps=steps_of(request, context.hours, context.now),
    )


def request_line(request: Request, context: RequestContext, *, redact: bool = False) -> RequestLine:
    steps = steps_of(request, context.hours, context.now)
    runs = next((step for step in steps if step.done_at is None and step.state in _RUNNING), None)
    shown = redacted(request) if redact else request
    return RequestLine(
        id=shown.id,
        uuid=shown.uuid,
        letter_number=shown.letter_number,
        applicant=shown.applicant,
        unit=shown.unit,
        event=shown.event,
        place=shown.place,
        received_at=shown.received_at,
        starts_at=shown.starts_at,
        stage=stage_of(request),
        holder=current_role(request),
        complete=not missing_parts(request),
        step=runs.number if runs else None,
        due_at=runs.due_at if runs else None,
        left_s=runs.left_s if runs else None,
        late_s=runs.late_s if runs else None,
        late_steps=sum(step.state is StepState.LATE for step in steps),
    )


_RUNNING = {StepState.DUE, StepState.LATE}


def read_lines(
    context: RequestContext, *, every: bool, late: bool, redact: bool = False
) -> tuple[list[RequestLine], Mapping[str, str]]:
    """Return open requests (`every`: all; `late`: those with a late step), and why other folders cannot be read."""
    found, damaged = context.dossiers.read()
    shown = (each for each in found if every or each.state is RequestState.OPEN)
    lines = [request_line(request, context, redact=redact) for request in shown]
    return [line for line in lines if line.late_steps or not late], damaged


def change_request(
    context: RequestContext, key: str, change: Callable[[Request], Request], said: Callable[[Request], str], *,
    as_json: bool,
) -> None:  # fmt: skip
    """Change a request, and print it. Raises DossierError, UsageError."""
    dossier = context.dossiers.find(key)
    request = dossier.change(change)
    print_answer(dossier, request, context, f"{request.id}{said(request)}", as_json=as_json)


def print_answer(dossier: Dossier, request: Request, context: RequestContext, sentence: str, *, as_json: bool) -> None:
    """Print the whole request as JSON, or a sentence and the next due step."""
    if as_json:
        click.echo(msgspec.json.encode(request_document(dossier, request, context)))
        return
    click.echo(one_line(sentence))
    for step in steps_of(request, context.hours, context.now):
        if step.done_at is None and step.state in _RUNNING:
            click.echo(f"Next: {_step_line(step)}")


def text_lines(found: RequestDocument, zone: tzinfo) -> Iterator[str]:
    """Yield the lines of a request for people, with times in `zone`."""
    for label, value in rows_of(found.request, zone, in_english):
        yield f"{in_english(label):<{LABEL}}{one_line(value)}"
    yield f"{'Stage':<{LABEL}}{found.stage}, with {found.holder}"
    yield f"{'Complete':<{LABEL}}{'yes' if found.complete else f'no: without {", ".join(found.lacks)}'}"
    yield f"{'Folder':<{LABEL}}{one_line(found.folder)}"
    yield ""
    for step in found.steps:
        yield f"{step.number}. {_step_line(step)}"
    yield ""
    for change in found.request.history:
        fields = ", ".join(change.fields)
        said = "; ".join(filter(None, (fields, change.note)))
        yield f"{format_moment(change.at, zone)}  {one_line(change.kind):<10} {one_line(f'{change.who}  {said}')}"


def _step_line(step: Step) -> str:
    what = step_text(step, _ENGLISH)
    late = f"late by {brief_duration(step.late_s)}" if step.late_s is not None else ""
    if step.state is StepState.MET:
        said = f"met: done {_noted(step.done_at)}, due {_noted(step.due_at)}"
    elif step.state is StepState.LATE:
        done = f"done {_noted(step.done_at)}, " if step.done_at else "not done, "
        said = f"{late}: {done}due {_noted(step.due_at)}"
    elif step.state is StepState.DUE:
        said = f"due {_noted(step.due_at)}, {brief_duration(step.left_s or 0.0)} left"
    else:
        said = str(step.state)
    return one_line(f"{what} - {said}")


def _noted(at: datetime | None) -> str:
    return format_moment(at, at.tzinfo if at else None)  # steps have times in the office's zone
