"""`liput schedule add`, `edit` and `remove`: sessions planned by hand, and calendars' sessions changed by hand."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.parameters import seconds
from agent.requests.options import text_of
from agent.schedule.answer import answer, document, when_text
from agent.schedule.done import DoneFile
from agent.schedule.plan import Mode, Plan, PlanState
from agent.schedule.planner import Planner, check_plan, config_option, id_argument, json_option, planner
from agent.schedule.store import new_id
from agent.schedule.zones import name_of
from config.errors import UsageError
from config.schedule import MODES
from recorder.dossier.dossiers import dossiers_of
from recorder.dossier.model import Request

ADD_EXAMPLES = """\b
Examples:
  liput schedule add --title "Rapat Senat" --starts "besok 09:00" --for 2h
  liput schedule add --title "Wisuda" --starts "1 Desember 2026 08.00 WITA" --ends 12:00 --mode record \\
      --stream youtube --video podium --layout single
  liput schedule add --request 3f2a --mode arm
"""
EDIT_EXAMPLES = """\b
Examples:
  liput schedule edit 5c1d --starts "2026-12-01 10:00"     it is as long as before
  liput schedule edit 5c1d --ends 12:30 --mode record
"""

type Command[Answer] = Callable[..., Answer]

_FIELDS = (
    click.option("--title", help="What the session is.  [default: the request's event]"),
    click.option("--starts", metavar="WHEN", help='"2026-12-01 09:00", "besok 09:00", "1 Desember 2026 09.00 WITA".'),
    click.option("--ends", metavar="WHEN", help="A time alone is of the day of the beginning."),
    click.option("--for", "length_s", callback=seconds, metavar="TIME", help="How long, instead of --ends: 90m, 2h."),
    click.option("--mode", type=click.Choice(MODES), help="What is done for it.  [default: as the settings have it]"),
    click.option("--room", metavar="TEXT", help="Where.  [default: the room of the settings]"),
    click.option("--request", metavar="ID", help="The request that it is for (liput request list)."),
    click.option("--video", "videos", metavar="DEVICE", multiple=True, help="As for `liput record`."),
    click.option("--audio", "audios", metavar="DEVICE", multiple=True, help="As for `liput record`."),
    click.option("--stream", "streams", metavar="NAME", multiple=True, help="A destination of the settings."),
    click.option("--layout", metavar="NAME", help="How several pictures are shown (liput config show)."),
    click.option("--profile", metavar="NAME", help="Size, rate and bit rates (liput config show)."),
)


def plan_options[Answer](command: Command[Answer]) -> Command[Answer]:
    """Give a click command the options of a plan's fields."""
    for option in reversed(_FIELDS):
        command = option(command)
    return command


@click.command("add", epilog=ADD_EXAMPLES)
@plan_options
@config_option
@json_option
def add_command(*, config_file: Path | None, as_json: bool, **given: Any) -> None:
    """Plan a session. `liput serve` reminds of it, arms it, or records it by time, as its mode says."""
    desk = planner(config_file)
    request = _request(desk, given["request"])
    of_request = request.starts_at if request else None
    starts_at = desk.when("--starts", given["starts"]) if given["starts"] else of_request
    if starts_at is None:
        raise UsageError("it is not said when the session begins", hint='say it: --starts "besok 09:00"')
    ends_at = _end(desk, given, starts_at) or (None if given["starts"] or request is None else request.ends_at)
    if ends_at is None:
        raise UsageError("it is not said when the session ends", hint="say it: --ends 11:00, or --for 2h")
    if ends_at <= desk.now:
        raise UsageError(f"the session is over already: {ends_at:%Y-%m-%d %H:%M}", hint="check --starts")
    title = text_of("title", given["title"] or (request.event if request else ""))
    plan = Plan(
        id=new_id(title, starts_at),
        title=title,
        room=desk.settings.general.room,
        starts_at=starts_at,
        ends_at=ends_at,
        zone=name_of(starts_at),
        mode=Mode(desk.settings.schedule.mode),
    )
    plan = check_plan(msgspec.structs.replace(plan, **_fields(given, request)), desk.settings)
    desk.plans.add(plan)
    _answer(desk, plan, "planned", as_json=as_json)


@click.command("edit", epilog=EDIT_EXAMPLES)
@id_argument
@plan_options
@config_option
@json_option
def edit_command(*, key: str, config_file: Path | None, as_json: bool, **given: Any) -> None:
    """Change a planned session. What is changed of one of a calendar stays so, whatever the calendar says later.

    --video, --audio and --stream replace all that were there. One that was removed is planned again.
    """
    desk = planner(config_file)
    if not any(value not in (None, ()) for value in given.values()):
        raise UsageError("nothing is to be changed", hint="name what is, such as --starts or --mode")
    request = _request(desk, given["request"])

    def change(plan: Plan) -> Plan:
        starts_at = desk.when("--starts", given["starts"], plan.starts_at) if given["starts"] else plan.starts_at
        ends_at = _end(desk, given, starts_at) or starts_at + (plan.ends_at - plan.starts_at)
        fields = _fields(given, request)
        if given["starts"] or given["ends"] or given["length_s"]:
            fields |= {"starts_at": starts_at, "ends_at": ends_at, "zone": name_of(starts_at), "all_day": False}
        if plan.state is PlanState.REMOVED:
            fields["state"] = PlanState.PLANNED
        return check_plan(msgspec.structs.replace(plan, **fields), desk.settings)

    plan = desk.plans.replace(desk.plans.find(key).id, change)
    _answer(desk, plan, "changed", as_json=as_json)


@click.command("remove", epilog="\b\nExample:\n  liput schedule remove 5c1d")
@id_argument
@config_option
@json_option
def remove_command(*, key: str, config_file: Path | None, as_json: bool) -> None:
    """Do nothing for a planned session any more. One of a calendar stays removed when the calendar is read again.

    A session that is recorded goes on until its end; one that is armed is let go. One that was planned by hand, and is
    removed already, is forgotten.
    """
    desk = planner(config_file)
    plan = desk.plans.find(key)
    desk.plans.remove(plan.id)
    _answer(desk, msgspec.structs.replace(plan, state=PlanState.REMOVED), "removed", as_json=as_json)


def _request(desk: Planner, key: str | None) -> Request | None:
    """Return the request that was named; raises DossierError."""
    return None if key is None else dossiers_of(desk.settings).find(key).read()


def _end(desk: Planner, given: Mapping[str, Any], starts_at: datetime) -> datetime | None:
    """Return the end that was given, by a time or by how long it is; None where none was. Raises UsageError."""
    if given["ends"] and given["length_s"]:
        raise UsageError("both --ends and --for are given", hint="one of them says when it ends")
    if given["length_s"]:
        return starts_at + timedelta(seconds=given["length_s"])
    return desk.when("--ends", given["ends"], starts_at) if given["ends"] else None


def _fields(given: Mapping[str, Any], request: Request | None) -> dict[str, Any]:
    """Return what was given of a plan's other fields."""
    plain = ("videos", "audios", "streams", "layout", "profile")
    fields = {name: given[name] for name in plain if given[name] not in (None, ())}
    fields |= {name: text_of(name, given[name]) for name in ("title", "room") if given[name] is not None}
    if given["mode"]:
        fields["mode"] = Mode(given["mode"])
    return fields | ({"request": request.id} if request else {})


def _answer(desk: Planner, plan: Plan, what: str, *, as_json: bool) -> None:
    found = document(plan, DoneFile().read(), desk.now)
    answer(found, f"{what.capitalize()}: {when_text(plan, desk.zone)}, {plan.title} ({plan.mode}), {plan.id}",
           as_json=as_json)  # fmt: skip
