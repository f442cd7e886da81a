"""`liput archive edit`: what a package says about its session, corrected."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from agent.archives.choice import archive_option, archives_of, find_in
from agent.terminal.parameters import json_option, print_json
from agent.terminal.progress import progress_bar
from config.settings.schema import CONSENTS
from devices.host.clock import SystemClock
from recorder.archive.catalog import sealed
from recorder.archive.editing import FIELDS, edit
from recorder.model.names import one_line

EXAMPLES = """\b
Examples:
  liput archive edit 3f2a91c0 --title "Rapat Senat Terbuka" --reason "salah ketik"
  liput archive edit 3f2a91c0 --classification HM.01 --retention-active "2 tahun" --disposition permanen
  liput archive edit 3f2a91c0 --consent given --consent-note "disetujui lisan, moderator" --by "Siti"
\b
Exit status: 0 corrected, or it was so already; 1 the package is damaged or in use; 2 wrong usage.
"""
_HELP = {
    "title": "What the session was. The package keeps its name.",
    "office": "Whose session it was.",
    "room": "Where it was recorded.",
    "records.classification": "The code of the file plan.",
    "records.security": "The security class.",
    "records.retention_active": "How long it is in use.",
    "records.retention_inactive": "How long it is kept after that.",
    "records.disposition": "What becomes of it then.",
    "consent.state": "Whether the speakers agreed to being recorded.",
    "consent.note": "Who said so, to whom, about what.",
    "request.letter_number": "The number of the letter of request.",
    "request.letter_date": "Its date.",
    "request.applicant": "Who asked for the session.",
    "request.unit": "For which unit.",
    "request.event": "What the event was.",
    "request.place": "Where the event was.",
}


def _option(field: str) -> str:
    """Return the option that corrects a field: `--room`, `--classification`, `--consent-note`."""
    section, _, name = field.rpartition(".")
    words = {"consent.state": "consent"}.get(field, f"consent_{name}" if section == "consent" else name)
    return f"--{words.replace('_', '-')}"


def _parameter(field: str) -> str:
    return field.replace(".", "_")


def _kind(field: str) -> click.ParamType[Any]:
    if field == "consent.state":
        return click.Choice(CONSENTS)
    return click.DateTime(("%Y-%m-%d",)) if field == "request.letter_date" else click.STRING


def _fields[Command: click.Command](command: Command) -> Command:
    options = [
        click.Option([_option(field), _parameter(field)], type=_kind(field), help=_HELP[field]) for field in FIELDS
    ]
    command.params[1:1] = options
    return command


@_fields
@click.command("edit", epilog=EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the correction.")
@click.option("--by", metavar="NAME", help="Who corrects it.  [default: the name of this account]")
@archive_option
@json_option
@click.pass_context
def edit_command(
    ctx: click.Context, /, package_id: str, reason: str, by: str | None, folder: Path | None, *, as_json: bool,
    **fields: object,
) -> None:  # fmt: skip
    """Correct what a package says about its session. Its media stay as they are, and so do their checksums.

    The corrected package takes the place of the former at one stroke. What it said before, who changed it, when and why
    stay in it.
    """
    given = {field: fields[_parameter(field)] for field in FIELDS}
    wanted = {field: _value(value) for field, value in given.items() if value is not None}
    if not wanted:
        raise click.UsageError('Say what to correct: --title "Rapat senat", for example.', ctx)
    package = sealed(find_in(archives_of(ctx, folder), package_id)[1])
    with progress_bar(package.id, shown=not as_json) as progress:
        changes = edit(package.folder, wanted, by=by, reason=reason, now=SystemClock().now(), progress=progress)
    if as_json:
        print_json({"id": package.id, "path": package.path, "changed": changes})
        return
    for change in changes:
        click.echo(f"{change.field}: {one_line(str(change.old or ''))!r} -> {one_line(str(change.new))!r}")
    if not changes:
        click.echo(f"{package.id} says so already; nothing is changed.", err=True)


def _value(value: object) -> str | date:
    return value.date() if isinstance(value, datetime) else str(value)
