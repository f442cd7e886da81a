"""`liput schedule list`, `show`, `add`, `edit`, `remove`: planned sessions; a change by hand lasts."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.schedule.interface.plan_documents import PlanDocument, list_plans, plan_documents, text_lines, when_text
from agent.schedule.interface.planner import Planner, PlanRequest, add_plan, command_planner, edit_plan, id_argument
from agent.schedule.plan import Plan, PlanMode, PlanState
from agent.schedule.running import running_sessions
from agent.terminal.columns import Column, fit_columns
from agent.terminal.parameters import Command, config_option, duration_callback, json_option, print_json, with_options
from agent.terminal.terminal import own_output
from config.settings.serving import MODES
from recorder.model.names import one_line

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
  liput schedule list                  running and future sessions
  liput schedule list --days 7
  liput schedule list --all --json     also past, cancelled and removed sessions
"""


@click.command("list", epilog=EXAMPLES)
@click.option("--all", "every", is_flag=True, help="Include past, cancelled and removed sessions.")
@click.option("--days", type=click.IntRange(1, 3660), metavar="N", help="Only the next N days.")
@config_option
@json_option
def list_command(*, every: bool, days: int | None, config_file: Path | None, as_json: bool) -> None:
    """List planned sessions, earliest first, with times in the office's zone."""
    desk = command_planner(config_file)
    found = list_plans(desk, every=every, days=days)
    if as_json:
        print_json(found)
    elif not found:
        click.echo("Nothing is planned.", err=True)
    else:
        lines = list(fit_columns(COLUMNS, [_cells(each, desk) for each in found]))
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
    """Show a planned session: time, room, mode, origin and result."""
    desk = command_planner(config_file)
    (found,) = plan_documents([desk.plans.find(key)], desk)
    if as_json:
        print_json(found)
    else:
        title, *lines = text_lines(found, desk.zone)
        click.echo(title, file=own_output(sys.stdout))
        click.echo("\n".join(lines))


ADD_EXAMPLES = """\b
Examples:
  liput schedule add --title "Rapat Senat" --starts "besok 09:00" --for 2h
  liput schedule add --title "Wisuda" --starts "1 Desember 2026 08.00 WITA" --ends 12:00 --mode record \\
      --stream youtube --video podium --layout single
  liput schedule add --request 3f2a --mode arm
"""
EDIT_EXAMPLES = """\b
Examples:
  liput schedule edit 5c1d --starts "2026-12-01 10:00"     move it; the duration stays
  liput schedule edit 5c1d --ends 12:30 --mode record
"""


_FIELDS = (
    click.option("--title", help="The session's title.  [default: the request's event]"),
    click.option("--starts", metavar="WHEN", help='"2026-12-01 09:00", "besok 09:00", "1 Desember 2026 09.00 WITA".'),
    click.option("--ends", metavar="WHEN", help="The end; without a date, on the day of the start."),
    click.option(
        "--for", "for_s", callback=duration_callback, metavar="TIME", help="The duration, instead of --ends: 90m, 2h."
    ),
    click.option("--mode", type=click.Choice(MODES), help="The mode of the session.  [default: from the settings]"),
    click.option("--room", metavar="TEXT", help="The room.  [default: from the settings]"),
    click.option("--request", metavar="ID", help="The session's request (liput request list)."),
    click.option("--video", "videos", metavar="DEVICE", multiple=True, help="As for `liput record`."),
    click.option("--audio", "audios", metavar="DEVICE", multiple=True, help="As for `liput record`."),
    click.option("--stream", "streams", metavar="NAME", multiple=True, help="A destination of the settings."),
    click.option("--layout", metavar="NAME", help="The layout of several pictures (liput config show)."),
    click.option("--profile", metavar="NAME", help="Picture size, frame rate and bit rates (liput config show)."),
)


def plan_options[Answer](command: Command[Answer]) -> Command[Answer]:
    """Add the options of a plan's fields to a click command."""
    return with_options(_FIELDS, command)


@click.command("add", epilog=ADD_EXAMPLES)
@plan_options
@config_option
@json_option
def add_command(*, config_file: Path | None, as_json: bool, **given: Any) -> None:
    """Plan a session. By its mode, `liput serve` reminds of it, arms it or records it."""
    desk = command_planner(config_file)
    plan = add_plan(desk, _asked(given))
    _answer(desk, plan, "planned", as_json=as_json)


@click.command("edit", epilog=EDIT_EXAMPLES)
@id_argument
@plan_options
@config_option
@json_option
def edit_command(*, key: str, config_file: Path | None, as_json: bool, **given: Any) -> None:
    """Change a planned session. A later read of its calendar keeps the changed fields.

    --video, --audio and --stream replace all former values. A removed session is planned again.
    """
    desk = command_planner(config_file)
    plan = edit_plan(desk, desk.plans.find(key), _asked(given))
    _answer(desk, plan, "changed", as_json=as_json)


@click.command("remove", epilog="\b\nExample:\n  liput schedule remove 5c1d")
@id_argument
@config_option
@json_option
def remove_command(*, key: str, config_file: Path | None, as_json: bool) -> None:
    """Remove a planned session. Reading its calendar again does not restore it.

    A recording session continues to its end; an armed one is disarmed. A second removal deletes a session that was
    planned by hand, once it no longer runs.
    """
    desk = command_planner(config_file)
    plan = desk.plans.find(key)
    desk.plans.remove(plan.id, forgets=plan.id not in {run.plan for run in running_sessions()})
    _answer(desk, msgspec.structs.replace(plan, state=PlanState.REMOVED), "removed", as_json=as_json)


def _asked(given: Mapping[str, Any]) -> PlanRequest:
    """Return the given fields; files with absolute paths, since the session begins elsewhere."""
    asked = {name: value for name, value in given.items() if value not in (None, ())}
    for name in ("videos", "audios"):
        if name in asked:
            asked[name] = tuple(map(_whole, asked[name]))
    return PlanRequest(**asked | ({"mode": PlanMode(given["mode"])} if given["mode"] else {}))


def _whole(word: str) -> str:
    path = Path(word).expanduser()
    return str(path.absolute()) if path.is_file() else word


def _answer(desk: Planner, plan: Plan, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(plan_documents([plan], desk)[0])
    else:
        click.echo(f"{what.capitalize()}: {when_text(plan, desk.zone)}, {plan.title} ({plan.mode}), {plan.id}")
