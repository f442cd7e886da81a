"""Options of the `liput request` commands, and the state they work on."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from agent.terminal.moments import parse_day, parse_when
from agent.terminal.parameters import Command, checked_text, config_option, with_options
from config.errors import UsageError
from config.settings.quantities import NotAllowed
from config.settings.schema import Settings, load_settings
from devices.host.clock import SystemClock
from recorder.features.dossier.steps import WorkingHours
from recorder.features.dossier.store import DossierStore, dossier_store
from recorder.package.request import Request


def papers_option[Answer](option: str, name: str, text: str) -> Callable[[Command[Answer]], Command[Answer]]:
    kind = click.Path(path_type=Path)
    text = f"{text}, copied: a PDF, JPEG or PNG; repeatable."
    return click.option(option, name, metavar="FILE", type=kind, multiple=True, help=text)


redact_option = click.option("--redact", is_flag=True, help="Without names, titles, contacts and free text.")
at_option = click.option("--at", metavar="WHEN", help="The time.  [default: now]")


@dataclass(frozen=True)
class RequestContext:
    settings: Settings
    dossiers: DossierStore
    hours: WorkingHours
    now: datetime

    def when(self, option: str, text: str | None) -> datetime | None:
        """Return the moment given with `option`; raises UsageError."""
        if text is None:
            return None
        return _read(option, text, lambda: parse_when(text, self.now, self.hours.zone)).replace(microsecond=0)

    def past(self, option: str, text: str | None) -> datetime:
        """As `when`, for a moment in the past; now without one."""
        moment = self.when(option, text) or self.now
        if moment > self.now:
            raise UsageError(
                f"{option} {text!r} is still to come: {moment:%Y-%m-%d %H:%M}", hint="Check the date.", why="step-order"
            )
        return moment

    def day(self, option: str, text: str | None) -> date | None:
        """Return the day given with `option`; raises UsageError."""
        return None if text is None else _read(option, text, lambda: parse_day(text, self.now.date()))


def _read[T](option: str, text: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except NotAllowed as error:
        raise UsageError(f"{option} {text!r} {error}") from None


def with_request_context[Answer](command: Command[Answer]) -> Command[Answer]:
    """Add `--config` and `--folder` to a click command; it gets a RequestContext as `context` instead."""

    @click.option("--folder", type=click.Path(path_type=Path), metavar="DIR", help="The folder of the dossiers.")
    @config_option
    @functools.wraps(command)
    def seated(*args: object, folder: Path | None, config_file: Path | None, **given: object) -> Answer:
        return command(*args, context=request_context(load_settings(config_file), folder), **given)

    return seated


def request_context(settings: Settings, folder: Path | None = None) -> RequestContext:
    """Return the state of now; the dossiers are in `folder`, or those of the settings."""
    hours = WorkingHours(settings.office)
    now = SystemClock().now().astimezone(hours.zone).replace(microsecond=0)
    return RequestContext(
        settings, DossierStore(folder, settings.office) if folder else dossier_store(settings), hours, now
    )


_FIELDS = (
    click.option("--letter-number", metavar="TEXT", help="The number of the letter of request."),
    click.option("--letter-date", metavar="DAY", help='Its date: "2026-11-23", "23 November 2026".'),
    click.option("--applicant", metavar="NAME", help="The applicant."),
    click.option("--unit", metavar="TEXT", help="Faculty, bureau or unit of the applicant."),
    click.option("--contact", metavar="TEXT", help="Telephone or mail of the applicant."),
    click.option("--place", metavar="TEXT", help="The place of the event."),
    click.option("--starts", metavar="WHEN", help='The start: "2026-12-01 09:00", "1 Desember 2026 09.00".'),
    click.option("--ends", metavar="WHEN", help="The end."),
    click.option("--need", "needs", metavar="TEXT", multiple=True, help="A need: Zoom, YouTube; repeatable."),
    click.option("--received", metavar="WHEN", help="The time at which the letter arrived."),
)
_TEXTS = ("letter_number", "applicant", "unit", "contact", "event", "place")


def field_options[Answer](command: Command[Answer]) -> Command[Answer]:
    """Add the options of a request's fields, except `--event`; `given_fields` reads them."""
    return with_options(_FIELDS, command)


def given_fields(context: RequestContext, given: Mapping[str, Any]) -> dict[str, object]:
    """Return the given fields of a request; raises UsageError."""
    fields: dict[str, object] = {
        name: checked_text(name, given[name]) for name in _TEXTS if given.get(name) is not None
    }
    if "event" in fields and not fields["event"]:
        raise UsageError("the event is empty", hint='name it: --event "Seminar Nasional"')
    if given["needs"]:
        fields["needs"] = tuple(checked_text("need", need) for need in given["needs"])
    times = {
        "letter_date": context.day("--letter-date", given["letter_date"]),
        "starts_at": context.when("--starts", given["starts"]),
        "ends_at": context.when("--ends", given["ends"]),
        "received_at": None if given["received"] is None else context.past("--received", given["received"]),
    }
    return fields | {name: value for name, value in times.items() if value is not None}


def check_times(request: Request) -> None:
    """Refuse a request with impossible times; raises UsageError."""
    if request.starts_at and request.ends_at and request.ends_at <= request.starts_at:
        raise UsageError("the event ends before it begins", hint="Check --starts and --ends.", why="backwards")
    noted = [("passed on", each.at) for each in request.dispositions]
    if request.receipt:
        noted.append(("accepted", request.receipt.at))
    for what, at in noted:
        if at < request.received_at:
            raise UsageError(
                f"the letter was {what} {at:%Y-%m-%d %H:%M}, before its arrival ({request.received_at:%Y-%m-%d %H:%M})",
                hint="Check --at; `liput request edit --received WHEN` corrects the arrival.",
                why="step-order",
            )
    passed_on = min((each.at for each in request.dispositions), default=None)
    if request.receipt and passed_on and request.receipt.at > passed_on:
        raise UsageError(
            f"the letter was accepted {request.receipt.at:%Y-%m-%d %H:%M}, after it was passed on"
            f" ({passed_on:%Y-%m-%d %H:%M})",
            hint="Check --at; `liput request edit --clear receipt` clears the time.",
            why="step-order",
        )
