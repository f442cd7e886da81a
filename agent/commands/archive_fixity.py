"""`liput archive fixity`: the archive read again, a part of it in each round."""

from pathlib import Path

import click
import msgspec

from agent.archives import archive_option, archives_of
from agent.commands.archive_verify import PROBLEMS_FOUND
from agent.progress import progress_bar
from config import kinds
from config.quantities import NotAllowed, brief_size
from config.settings import load_settings
from devices.clock import SystemClock
from devices.health.line import PC, Kind, Level, Record
from devices.health.log import open_health_log
from recorder.archive.fixity_log import Entry, FixityLog, Outcome
from recorder.archive.fixity_round import FixityRound, Round, go_last
from recorder.archive.names import one_line
from recorder.control.directory import session_runs

EXAMPLES = """\b
Examples:
  liput archive fixity                         as much as the settings say, for a timer at night
  liput archive fixity --budget "200 GB"
  liput archive fixity --log                   what was found so far
\b
The packages that were not read for the longest time come first. Ends when a session begins; the next round goes on.
Exit status 1: a package is damaged.
"""
_ENDS = {
    "done": "everything was read",
    "budget": "the rest is for the next rounds",
    "session": "a session runs; the rest is for the next rounds",
}


def _bytes(_ctx: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Return the bytes of a size as the settings have it."""
    try:
        return None if value is None else kinds.size(1, 2**60).read(value)
    except NotAllowed as error:
        raise click.BadParameter(f"{value} {error}") from None


@click.command("fixity", epilog=EXAMPLES)
@click.option("--budget", metavar="SIZE", callback=_bytes, help="How much is read at most; else that of [fixity].")
@click.option("--log", "show_log", is_flag=True, help="Only show what earlier rounds and repairs have found.")
@archive_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md.")
@click.pass_context
def fixity_command(
    ctx: click.Context, folder: Path | None, budget: int | None, *, show_log: bool, as_json: bool
) -> None:
    """Read packages again and compare them with their manifests, up to a number of bytes."""
    if show_log:
        for entry in FixityLog().entries():
            _print(entry, as_json=as_json)
        return
    settings, clock = load_settings(ctx.find_object(Path)), SystemClock()
    roots = [archive.root for archive in archives_of(ctx, folder)]
    go_last()
    with open_health_log(settings, clock) as record, progress_bar("fixity", shown=not as_json) as progress:
        done = FixityRound(
            roots, clock, session_runs, record=record, told=lambda entry: _print(entry, as_json=as_json),
            progress=progress, max_rate=settings.fixity.max_rate,
        ).run(settings.fixity.budget if budget is None else budget)  # fmt: skip
        _note(record, done)
    _print_round(done, as_json=as_json)
    ctx.exit(PROBLEMS_FOUND if done.damaged else 0)


def _print(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(entry).decode(), flush=True)
        return
    note = f", {one_line(entry.note)}" if entry.note else ""
    click.echo(f"{entry.at:%Y-%m-%d %H:%M}  {entry.package}: {entry.outcome} ({brief_size(entry.bytes)}{note})")
    if entry.outcome in {Outcome.DAMAGED, Outcome.COPY_DAMAGED}:
        for problem in entry.problems:
            click.echo(f"  {one_line(problem.file)} {one_line(problem.problem)}")


def _print_round(done: Round, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(done).decode(), flush=True)
    else:
        click.echo(f"{done}: {_ENDS[done.ended]}", err=True)


def _note(record: Record, done: Round) -> None:
    """Put a round into the health log, where it has read something."""
    if done.packages:
        record(
            PC, Kind.ARCHIVE_READ, f"{done}", level=Level.ERROR if done.damaged else Level.INFO, packages=done.packages,
            bytes=done.bytes, damaged=len(done.damaged), left=done.left, ended=done.ended,
        )  # fmt: skip
