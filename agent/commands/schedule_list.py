"""`liput schedule list` and `show`."""

import sys
from pathlib import Path

import click
import msgspec

from agent.parameters import config_option, json_option
from agent.requests.columns import Column, fitted
from agent.schedule.answer import PlanDocument, document, listed, text_lines, when_text
from agent.schedule.done import DoneFile
from agent.schedule.planner import Planner, id_argument, planner
from agent.terminal import own_output
from recorder.archive.names import one_line

COLUMNS = (
    Column("when"),
    Column("id"),
    Column("title", least=12),
    Column("room", least=6, is_spare=True),
    Column("mode"),
    Column("status"),
    Column("calendar", least=6, is_spare=True),
)
EXAMPLES = """\b
Examples:
  liput schedule list                  what is to come, and what runs
  liput schedule list --days 7
  liput schedule list --all --json     also what is over, cancelled or removed
"""


@click.command("list", epilog=EXAMPLES)
@click.option("--all", "every", is_flag=True, help="Also what is over, cancelled or removed.")
@click.option("--days", type=click.IntRange(1, 3660), metavar="N", help="Only the next N days.")
@config_option
@json_option
def list_command(*, every: bool, days: int | None, config_file: Path | None, as_json: bool) -> None:
    """List the planned sessions, the earliest first; times are of the office's zone."""
    desk = planner(config_file)
    found = listed(desk, DoneFile().read(), every=every, days=days)
    if as_json:
        click.echo(msgspec.json.encode(found))
    elif not found:
        click.echo("Nothing is planned.", err=True)
    else:
        lines = list(fitted(COLUMNS, [_cells(each, desk) for each in found]))
        click.echo("\n".join([click.style(lines[0], bold=True), *lines[1:]]), file=own_output(sys.stdout))


def _cells(found: PlanDocument, desk: Planner) -> tuple[str, ...]:
    plan = found.plan
    return (
        when_text(plan, desk.zone),
        plan.id.rpartition("_")[2],
        one_line(plan.title),
        one_line(plan.room),
        str(plan.mode),
        found.status,
        one_line(plan.source.feed) if plan.source else "",
    )


@click.command("show", epilog="\b\nExample:\n  liput schedule show 5c1d")
@id_argument
@config_option
@json_option
def show_command(*, key: str, config_file: Path | None, as_json: bool) -> None:
    """Show a planned session: when, where, how, where it comes from, and what became of it."""
    desk = planner(config_file)
    found = document(desk.plans.find(key), DoneFile().read(), desk)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        title, *lines = text_lines(found, desk.zone)
        click.echo(title, file=own_output(sys.stdout))
        click.echo("\n".join(lines))
