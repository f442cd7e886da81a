"""`liput archive verify`: compares packages with their manifests."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from agent.archives.selection import archive_option, archives_of, find_package
from agent.commands.archive.targets import at_option, verified_at
from agent.terminal.parameters import json_option, print_json
from agent.terminal.progress import progress_bar
from config.errors import PackageBusy
from config.settings.quantities import brief_size
from recorder.archive.archive import Archive
from recorder.model.names import one_line
from recorder.package.bag import DECLARATION_FILE
from recorder.package.metadata import PackageState, Problem, ProblemKind
from recorder.package.verification import VerificationResult, verify_any_bag


@click.command("verify")
@click.argument("package_id", metavar="ID|PATH", required=False)
@click.option("--all", "every", is_flag=True, help="Every package of the archive and the [storage] paths.")
@click.option("--decode", is_flag=True, help="Also decode every frame of all media.")
@at_option
@archive_option
@json_option
def verify_command(
    package_id: str | None, target_name: str | None, folder: Path | None, *, every: bool, decode: bool, as_json: bool
) -> int:
    """Hash every file of a package and compare with its manifests. Exit status 1: a difference.

    ID may be the path of a folder outside any archive. Bags from other programs are verified by RFC 8493.
    """
    if every == (package_id is not None):
        raise click.UsageError("Name one package, or say --all.")
    if target_name is not None and (decode or folder is not None):
        raise click.UsageError("--at goes with neither --decode nor --archive.")
    if target_name is not None:
        found = verified_at(target_name, package_id, shown=not as_json)
    else:
        archives = archives_of(folder)
        outside = _folder_outside(archives, package_id)
        if outside is None:
            found = _verify_packages(archives, package_id, decode=decode, as_json=as_json)
        else:
            found = _verify_folder(outside, decode=decode, as_json=as_json)
    verdicts = []
    for verdict, size in found:
        verdicts.append(verdict)
        if not as_json:
            _print_verdict(verdict, size)
    if as_json:
        print_json(verdicts if every else verdicts[0])
    elif not verdicts:
        click.echo("There is no package.", err=True)
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _folder_outside(archives: Sequence[Archive], key: str | None) -> Path | None:
    """Return `key` as a folder outside all archives; None for an ID."""
    if key is None or not (path := Path(key)).is_dir():
        return None
    is_path = "/" in key or (path / DECLARATION_FILE).is_file()
    is_inside = any(archive.root.resolve() in path.resolve().parents for archive in archives)
    return path if is_path and not is_inside else None


def _verify_folder(folder: Path, *, decode: bool, as_json: bool) -> Iterator[tuple[VerificationResult, int]]:
    with progress_bar(folder.name, shown=not as_json) as progress:
        verdict = verify_any_bag(folder, decode=decode, progress=progress)
    yield verdict, sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _verify_packages(
    archives: Sequence[Archive], key: str | None, *, decode: bool, as_json: bool
) -> Iterator[tuple[VerificationResult, int]]:
    if key is not None:
        packages = [find_package(archives, key)]
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
        yield VerificationResult.of(package, problems, decoded=decode), package.bytes


def _print_verdict(verdict: VerificationResult, size: int) -> None:
    checked = "hashed and decoded" if verdict.decoded else "hashed"
    more = "; its media are elsewhere" if verdict.elsewhere else "" if verdict.ours else "; a bag, but none of Liput's"
    if verdict.ok:
        click.echo(f"{verdict.id}: whole ({brief_size(size)} {checked}){more}")
        return
    click.echo(f"{verdict.id}: {len(verdict.problems)} problem{'s' * (len(verdict.problems) != 1)}{more}")
    for problem in verdict.problems:
        click.echo(f"  {one_line(problem.file)} {one_line(problem.problem)}")
