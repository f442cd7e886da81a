"""`liput archive list`: what has been recorded."""

import sys
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
from pathlib import Path

import click
import msgspec

from agent.archives import archive_option, archives_of, from_option, room_option, to_option
from agent.commands.archive_at import at_option, packages_of
from agent.parameters import json_option, print_json
from config.quantities import brief_size, clock_text
from recorder.archive.entries import room_key
from recorder.archive.model import Package, PackageState
from recorder.archive.names import one_line

EXAMPLES = """\b
Examples:
  liput archive list
  liput archive list --from 2026-11-01 --to 2026-11-30 --room aula
  liput archive list --state unfinished
"""


@click.command("list", epilog=EXAMPLES)
@from_option
@to_option
@room_option
@click.option("--state", type=click.Choice([str(state) for state in PackageState]), help="Only these.")
@at_option
@click.option("--find", "words", metavar="WORDS", help="With --at: only those in whose description they stand.")
@archive_option
@json_option
@click.pass_context
def list_command(
    ctx: click.Context, since: datetime | None, until: datetime | None, room: str, state: str | None,
    target_name: str | None, words: str | None, folder: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    """List the recordings of all folders that sessions go to, the oldest first; those that were never sealed too."""
    if words is not None and target_name is None:
        raise click.UsageError("--find goes with --at.", ctx)
    if target_name is not None:
        where, packages = target_name, packages_of(ctx, target_name, words)
    else:
        archives = archives_of(ctx, folder)
        where = f"The archive {archives[0].root}"
        packages = sorted(chain.from_iterable(archive.list() for archive in archives), key=attrgetter("id"))
    wanted = [
        package
        for package in packages
        if (since is None or package.started_at >= since)
        and (until is None or package.started_at <= until)
        and (state is None or package.state == state)
        and (not room or (package.recording and room_key(room) in room_key(package.recording.room)))
    ]
    if as_json:
        print_json([msgspec.structs.replace(package, recording=msgspec.UNSET) for package in wanted])
    elif not wanted:
        click.echo(f"{where} {'has nothing like that' if packages else 'is empty'}.", err=True)
    elif sys.stdout.isatty():
        _print_table(wanted)
    else:
        for package in wanted:
            click.echo("  ".join(_columns(package)))


def _columns(package: Package) -> tuple[str, str, str, str, str]:
    """Return id, length, size, state and title of a package, as people read them."""
    length, size = clock_text(round(package.duration_s)), brief_size(package.bytes)
    return package.id, f"{length:>8}", f"{size:>9}", f"{package.state:<10}", one_line(package.title)


def _print_table(packages: Sequence[Package]) -> None:
    """Print what fits a terminal; of the id the 8 digits that are enough to name the package."""
    from rich.table import Table
    from rich.text import Text

    from agent.console import Console

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("started", "id", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("length", "size"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("title", overflow="fold")
    for package in packages:
        _, length, size, state, title = (column.strip() for column in _columns(package))
        cells = (f"{package.started_at:%Y-%m-%d %H:%M}", package.uuid[:8] or package.id, state, length, size, title)
        style = "" if package.state is PackageState.SEALED else "yellow"
        table.add_row(*(Text(cell, style) for cell in cells))
    Console().print(table)
