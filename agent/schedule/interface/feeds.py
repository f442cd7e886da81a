"""`liput schedule import` and `feeds`: sessions from calendars."""

from datetime import timedelta
from pathlib import Path

import click

from agent.schedule.calendar_messages import CalendarAnswer, CalendarRequest
from agent.schedule.feeds import (
    READ_BACK,
    FeedState,
    FeedStates,
    events_of_room,
    feed_states,
    read_now,
    request_for_feed,
    take_answer,
)
from agent.schedule.interface.plan_documents import plan_documents, when_text
from agent.schedule.interface.planner import Planner, command_planner
from agent.schedule.store import imported_feed
from agent.terminal.columns import Column, fit_columns
from agent.terminal.parameters import config_option, json_option, print_json
from config.errors import LiputError
from config.settings.secrets import feed_address
from config.settings.serving import EVERYWHERE, MODES, FeedSettings
from devices.host.clock import SystemClock
from recorder.model.names import one_line

UNREAD = 1
COLUMNS = (Column("calendar"), Column("read"), Column("sessions"), Column("problem", least=20))
IMPORT_EXAMPLES = """\b
Examples:
  liput schedule import rapat.ics                   events in this room
  liput schedule import rapat.ics --location "*"    all events
  liput schedule import rapat.ics --location "Aula 1" --category Siaran --mode record
"""
FEEDS_EXAMPLES = """\b
Examples:
  liput schedule feeds             the last read of each calendar
  liput schedule feeds --read      read them now; liput serve reads them every 15 minutes
"""


@click.command("import", epilog=IMPORT_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--location", "locations", metavar="TEXT", multiple=True, help='Only events at this place; "*": any.')
@click.option("--category", "categories", metavar="TEXT", multiple=True, help="Only of this category; repeatable.")
@click.option("--mode", type=click.Choice(MODES), help="The mode of the sessions.  [default: from the settings]")
@click.option("--days", type=click.IntRange(1, 366), metavar="N", help="The next N days.  [default: 30, or as set]")
@config_option
@json_option
def import_command(
    *, file: Path, locations: tuple[str, ...], categories: tuple[str, ...], mode: str | None, days: int | None,
    config_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Import sessions from an iCalendar file. A repeated import updates them, except for changes made by hand.

    Without --location, only events in the room of the settings are imported. Sessions that disappear from the file stay
    planned.
    """
    desk = command_planner(config_file)
    until = desk.now + timedelta(days=days or desk.settings.schedule.days_ahead)
    wanted = CalendarRequest(
        address=file.absolute().as_uri(), zone=desk.settings.office.time_zone, since=desk.now - READ_BACK, until=until
    )
    answer = read_now(wanted, SystemClock())
    if answer.error:
        raise LiputError(f"{file}: {answer.error}", hint=answer.hint)
    feed = FeedSettings(locations=locations, categories=categories, mode=mode)
    name = imported_feed(file.name)
    sources = events_of_room(name, feed, answer.events, desk.settings)
    plans = desk.plans.take_events(name, sources, None)
    for note in answer.notes:
        click.echo(f"liput: {file}: {note}", err=True)
    if as_json:
        print_json(plan_documents(plans, desk))
        return
    for plan in plans:
        click.echo(f"{when_text(plan, desk.zone)}  {one_line(plan.title)}")
    click.echo(
        f"{len(plans)} sessions are new or changed; {len(answer.events)} events in these days, {len(sources)} of this"
        f" room.{_advice(desk, sources, answer.events, locations)}",
        err=True,
    )


def _advice(desk: Planner, sources: object, events: object, locations: tuple[str, ...]) -> str:
    if sources or not events or EVERYWHERE in locations:
        return ""
    place = ", ".join(locations) or desk.settings.general.room
    return f' None is in "{place}"; --location "{EVERYWHERE}" takes all.'


@click.command("feeds", epilog=FEEDS_EXAMPLES)
@click.option("--read", "now", is_flag=True, help="Read them now.")
@config_option
@json_option
@click.pass_context
def feeds_command(ctx: click.Context, *, now: bool, config_file: Path | None, as_json: bool) -> None:
    """Show the last read of each calendar in [feeds] of the settings: time, events, errors."""
    desk = command_planner(config_file)
    states = feed_states()
    if now:
        for name in desk.settings.feeds:
            _read(desk, name, states)
    kept = states.read()
    found = {name: kept.get(name) for name in desk.settings.feeds}
    if as_json:
        print_json([{"name": name, "state": state} for name, state in found.items()])
    elif not found:
        click.echo("The settings name no calendar: add [feeds.NAME] with its url.", err=True)
    else:
        click.echo("\n".join(fit_columns(COLUMNS, [_cells(name, state, desk) for name, state in found.items()])))
    ctx.exit(UNREAD if any(state and state.problem for state in found.values()) else 0)


def _read(desk: Planner, name: str, states: FeedStates) -> None:
    """Read one calendar; an error is kept in its state."""
    try:
        answer = read_now(request_for_feed(desk.settings, name, desk.now), SystemClock())
    except LiputError as error:
        answer = CalendarAnswer(error=error.message)
    take_answer(desk.settings, desk.plans, states, name, answer, desk.now)


def _cells(name: str, state: FeedState | None, desk: Planner) -> tuple[str, ...]:
    if state is None:
        return name, "never", "", _never(desk, name)
    read = f"{state.read_at.astimezone(desk.zone):%Y-%m-%d %H:%M}" if state.read_at else "never"
    return name, read, str(state.events), one_line("; ".join(filter(None, (state.problem, *state.notes))))


def _never(desk: Planner, name: str) -> str:
    try:
        feed_address(desk.settings, name)
    except LiputError as error:
        return error.message
    return ""
