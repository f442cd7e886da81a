"""`liput archive fixity`: verifies packages in turn, up to a number of bytes."""

from pathlib import Path

import click

from agent.archives.selection import archive_option, archives_of
from agent.terminal.parameters import json_lines_option, option_callback, print_json
from agent.terminal.progress import progress_bar
from config.settings.quantities import brief_size
from config.settings.schema import load_settings
from config.settings.value_kinds import size
from devices.health.log_line import PC, LogKind, LogLevel
from devices.health.log_writer import open_health_log
from devices.host.clock import SystemClock
from recorder.archive.fixity_round import FixityEntry, FixityLog, FixityRound, use_idle_priority
from recorder.model.names import one_line
from recorder.running.runtime_directory import is_session_running

EXAMPLES = """\b
Examples:
  liput archive fixity                         up to the budget of the settings, as by a nightly timer
  liput archive fixity --budget "200 GB"
  liput archive fixity --log                   earlier results
\b
Packages with the oldest verification come first. A session's start ends the round; the next round continues.
Exit status 1: a package is damaged.
"""
_ENDS = {
    "done": "everything was read",
    "budget": "the rest is for the next rounds",
    "session": "a session runs; the rest is for the next rounds",
}


@click.command("fixity", epilog=EXAMPLES)
@click.option(
    "--budget",
    metavar="SIZE",
    callback=option_callback(size(1, 2**60).read),
    help="The most data to read.  [default: from [fixity]]",
)
@click.option("--log", "show_log", is_flag=True, help="Only show results of earlier rounds and repairs.")
@archive_option
@json_lines_option
def fixity_command(folder: Path | None, budget: int | None, *, show_log: bool, as_json: bool) -> int:
    """Verify packages against their manifests, up to a number of bytes."""
    if show_log:
        for entry in FixityLog().entries():
            _print(entry, as_json=as_json)
        return 0
    settings, clock = load_settings(), SystemClock()
    roots = [archive.root for archive in archives_of(folder)]
    use_idle_priority()
    with open_health_log(settings, clock) as record, progress_bar("fixity", shown=not as_json) as progress:
        done = FixityRound(
            roots, clock, is_session_running, record=record, told=lambda entry: _print(entry, as_json=as_json),
            progress=progress, max_rate=settings.fixity.max_rate,
        ).run(settings.fixity.budget if budget is None else budget)  # fmt: skip
        if done.packages:
            record(
                PC, LogKind.ARCHIVE_READ, f"{done}", level=LogLevel.ERROR if done.damaged else LogLevel.INFO,
                packages=done.packages, bytes=done.bytes, damaged=len(done.damaged), left=done.left, ended=done.ended,
            )  # fmt: skip
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done}: {_ENDS[done.ended]}", err=True)
    return 1 if done.damaged else 0


def _print(entry: FixityEntry, *, as_json: bool) -> None:
    if as_json:
        print_json(entry)
        return
    note = f", {one_line(entry.note)}" if entry.note else ""
    click.echo(f"{entry.at:%Y-%m-%d %H:%M}  {entry.package}: {entry.outcome} ({brief_size(entry.bytes)}{note})")
    if entry.outcome in {"damaged", "copy-damaged"}:
        for problem in entry.problems:
            click.echo(f"  {one_line(problem.file)} {one_line(problem.problem)}")
