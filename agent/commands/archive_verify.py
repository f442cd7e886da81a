"""`liput archive verify`: whether what was recorded still is what it was."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click

from agent.archive_options import archive_option
from agent.archives import archives_of, find_in
from agent.commands.archive_at import at_option, verified_at
from agent.parameters import json_option, print_json
from agent.progress import progress_bar
from config.errors import PackageBusy
from config.quantities import brief_size
from recorder.archive.archive import Archive
from recorder.archive.model import PackageState, Problem, ProblemKind
from recorder.archive.names import one_line
from recorder.archive.verification import Verdict

PROBLEMS_FOUND = 1
"""Exit status when a package is not whole."""


@click.command("verify")
@click.argument("package_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every package of the archive and of [storage] paths.")
@click.option("--decode", is_flag=True, help="Also decode every frame of every file of media.")
@at_option
@archive_option
@json_option
@click.pass_context
def verify_command(
    ctx: click.Context,
    package_id: str | None,
    target_name: str | None,
    folder: Path | None,
    *,
    every: bool,
    decode: bool,
    as_json: bool,
) -> None:
    """Hash every file of a package and compare with its manifests; exit status 1 when something is wrong."""
    if every == (package_id is not None):
        raise click.UsageError("Name one package, or say --all.", ctx)
    if target_name is not None and (decode or folder is not None):
        raise click.UsageError("--at goes with neither --decode nor --archive.", ctx)
    if target_name is not None:
        found = _there(ctx, target_name, package_id, as_json=as_json)
    else:
        found = _here(archives_of(ctx, folder), package_id, decode=decode, as_json=as_json)
    verdicts = []
    for verdict, size in found:
        verdicts.append(verdict)
        if not as_json:
            _print_verdict(verdict, size)
    if as_json:
        print_json(verdicts if every else verdicts[0])
    elif not verdicts:
        click.echo("There is no package.", err=True)
    ctx.exit(0 if all(verdict.ok for verdict in verdicts) else PROBLEMS_FOUND)


def _here(
    archives: Sequence[Archive], key: str | None, *, decode: bool, as_json: bool
) -> Iterator[tuple[Verdict, int]]:
    """Yield what is found of packages of some archives, with their bytes."""
    if key is not None:
        packages = [find_in(archives, key)]
    else:
        packages = [(archive, package) for archive in archives for package in archive.list()]
    for archive, package in packages:
        if key is None and package.state is PackageState.UNFINISHED:
            continue
        with progress_bar(package.id, shown=not as_json) as progress:
            try:
                problems = archive.verify(package, decode=decode, progress=progress)
            except PackageBusy:
                if key is not None:
                    raise
                problems = [Problem(".", "is being changed by another Liput; look again", ProblemKind.UNREADABLE)]
        yield Verdict.of(package, problems, decoded=decode), package.bytes


def _there(ctx: click.Context, target: str, key: str | None, *, as_json: bool) -> Iterator[tuple[Verdict, int]]:
    """Yield what is found of copies at a place, with their bytes."""
    for name, size, problems in verified_at(ctx, target, key, partial(progress_bar, shown=not as_json)):
        yield Verdict(id=name, ok=not problems, problems=problems, decoded=False), size


def _print_verdict(verdict: Verdict, size: int) -> None:
    checked = "hashed and decoded" if verdict.decoded else "hashed"
    if verdict.ok:
        holes = "; its media are elsewhere" if verdict.elsewhere else ""
        click.echo(f"{verdict.id}: whole ({brief_size(size)} {checked}){holes}")
        return
    click.echo(f"{verdict.id}: {len(verdict.problems)} problem{'s' * (len(verdict.problems) != 1)}")
    for problem in verdict.problems:
        click.echo(f"  {one_line(problem.file)} {one_line(problem.problem)}")
