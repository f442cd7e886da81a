"""`liput request list` and `show`."""

import sys

import click
import msgspec

from agent.requests.commands.steps import id_argument
from agent.requests.options import RequestContext, redact_option, with_request_context
from agent.requests.request_documents import RequestLine, read_lines, request_document, text_lines
from agent.terminal.columns import Column, fit_columns
from agent.terminal.parameters import json_option
from agent.terminal.terminal import own_output
from config.settings.quantities import brief_duration
from recorder.model.names import one_line

COLUMNS = (
    Column("came in"),
    Column("id"),
    Column("event", least=12),
    Column("applicant", least=8, is_spare=True),
    Column("unit", least=8, is_spare=True),
    Column("letter", least=8, is_spare=True),
    Column("stage"),
    Column("with", least=8, is_spare=True),
    Column("due"),
)


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Include closed and cancelled requests.")
@click.option("--late", is_flag=True, help="Only requests with a late step.")
@redact_option
@json_option
@with_request_context
def list_command(*, context: RequestContext, every: bool, late: bool, redact: bool, as_json: bool) -> int:
    """List open requests with their due steps, earliest first."""
    lines, damaged = read_lines(context, every=every, late=late, redact=redact)
    if as_json:
        click.echo(msgspec.json.encode(lines))
    elif not lines:
        click.echo(f"No request in {context.dossiers.root}{'' if every else ' is open'}{' and late' * late}.", err=True)
    else:
        _print(lines)
    for reason in damaged.values():
        click.echo(f"liput: {reason}", err=True)
    return 1 if damaged else 0


def _print(lines: list[RequestLine]) -> None:
    texts = list(fit_columns(COLUMNS, [_cells(each) for each in lines]))
    click.echo(click.style(texts[0], bold=True), file=own_output(sys.stdout))
    coloured = sys.stdout.isatty()
    body = (
        click.style(text, fg="red") if coloured and each.late_s is not None else text
        for text, each in zip(texts[1:], lines, strict=True)
    )
    click.echo("\n".join(body), file=own_output(sys.stdout))


def _cells(each: RequestLine) -> tuple[str, ...]:
    return (
        f"{each.received_at:%Y-%m-%d}",
        each.uuid[:8],
        one_line(each.event),
        one_line(each.applicant),
        one_line(each.unit),
        one_line(each.letter_number),
        str(each.stage),
        one_line(each.holder),
        _due(each),
    )


def _due(each: RequestLine) -> str:
    if each.due_at is None:
        return ""
    if each.late_s is not None:
        return f"late by {brief_duration(each.late_s)}"
    return f"{each.due_at:%m-%d %H:%M}, {brief_duration(each.left_s or 0.0)} left"


@click.command("show")
@id_argument
@redact_option
@json_option
@with_request_context
def show_command(*, context: RequestContext, key: str, redact: bool, as_json: bool) -> None:
    """Show a request: papers, recordings, changes, and each step with its standard time."""
    dossier = context.dossiers.find(key)
    found = request_document(dossier, dossier.read(), context, redact=redact)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        click.echo("\n".join(text_lines(found, context.hours.zone)))
