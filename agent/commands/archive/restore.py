"""`liput archive repair` and `fetch`: restore packages from their copies."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from agent.archives.selection import archive_option, find_package
from agent.commands.archive.targets import copy_queue, places_of
from agent.terminal.parameters import json_lines_option, json_option, print_json
from agent.terminal.progress import progress_bar
from config.errors import ArchiveError, CopyError, PackageBusy, PackageDamaged
from devices.health.log_line import PC, LogKind
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import FixityEntry, FixityLog, FixityOutcome
from recorder.disk.durable import DurableFiles
from recorder.features.copies.copy_queue import CopyQueue, package_place
from recorder.features.copies.package_copy import list_local
from recorder.features.copies.restoring import PackageRestorer
from recorder.features.copies.target import PACKAGE_REASONS, CopyReason, copy_error
from recorder.package.metadata import Package, Problem, ProblemKind
from recorder.package.verification import is_pruned, require_sealed

REPAIR_EXAMPLES = """\b
Examples:
  liput archive repair 3f2a91c0
  liput archive repair 3f2a91c0 --from nas
\b
The damaged package stays in ARCHIVE/.damaged until you remove it.
"""
FETCH_EXAMPLES = """\b
Examples:
  liput archive list --at nas                  the packages there
  liput archive fetch 3f2a91c0 --from nas
  liput archive fetch --all --from nas         every package that is missing here, as after a lost disk
"""


class RestoreResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one package: `target` of its copy, files `fetched`, where the damaged one is `kept`.

    `reason`: why it is not whole. `of_copy`: it lacks the corrections since the copy.
    """

    id: str
    ok: bool
    target: str | None = None
    fetched: tuple[str, ...] = ()
    kept: str | None = None
    of_copy: bool = False
    reason: str | None = None


@click.command("repair", epilog=REPAIR_EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.option("--from", "name", metavar="TARGET", help="The copy to use: a name from [copies].")
@archive_option
@json_option
def repair_command(package_id: str, name: str | None, folder: Path | None, *, as_json: bool) -> None:
    """Restore a damaged package from a copy. Liput verifies the whole copy first.

    Only damaged files are fetched. The damaged package is kept.
    """
    with copy_queue(folder) as (queue, settings, archives):
        archive, package = find_package(archives, package_id)
        result = _Restoring(queue, settings.archive.reserve, archive, as_json=as_json).repair(package, name)
    if as_json:
        print_json(result)
    elif result.target is None:
        click.echo(f"{result.id}: whole; there is nothing to repair")
    else:
        click.echo(f"{result.id}: whole again; {_files(result.fetched)} came from {result.target}")
        click.echo(f"The damaged one is kept in {result.kept}", err=True)
        if result.of_copy:
            click.echo("It is as it was when it was copied: later corrections are in the one that is kept.", err=True)


@click.command("fetch", epilog=FETCH_EXAMPLES)
@click.argument("package_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every package that is missing here.")
@click.option("--from", "name", metavar="TARGET", required=True, help="The place of the copies: a name from [copies].")
@archive_option
@json_lines_option
def fetch_command(package_id: str | None, name: str, folder: Path | None, *, every: bool, as_json: bool) -> int:
    """Fetch packages that are missing in the archive from their copies. Each copy is verified first."""
    if every == (package_id is not None):
        raise click.UsageError("Name one package, or say --all.")
    with copy_queue(folder) as (queue, settings, archives):
        failed = 0
        restoring = [_Restoring(queue, settings.archive.reserve, archive, as_json=as_json) for archive in archives]
        for result in _fetch(queue, restoring, package_id, name):
            failed += not result.ok
            if as_json:
                print_json(result)
            elif result.ok:
                click.echo(f"{result.id}: fetched from {name}")
            else:
                click.echo(f"{result.id}: not fetched: {result.reason}", err=True)
    return 1 if failed else 0


class _Restoring:
    """Restores packages of one archive, and logs it: fixity log, ledger, health log."""

    def __init__(self, queue: CopyQueue, reserve_bytes: int, archive: Archive, *, as_json: bool) -> None:
        self.archive = archive
        self._queue = queue
        self._as_json = as_json
        self._log = FixityLog()
        self._restorer = PackageRestorer(
            archive.root, DurableFiles(), queue.clock.now, lambda: queue.go_on("the archive"),
            reserve_bytes=reserve_bytes,
        )  # fmt: skip
        for kept in self._restorer.settle():
            print(f"Cleaned up after an interrupted repair: {kept}", file=sys.stderr)

    def repair(self, package: Package, name: str | None) -> RestoreResult:
        """Restore a package from its first whole copy; raises the CopyError of the last one tried."""
        package = require_sealed(package)
        with progress_bar(package.id, shown=not self._as_json) as progress:
            problems = list(self.archive.verify(package, progress=progress))
        self._note(package.id, package.bytes, "damaged" if problems else "whole", problems)
        if not problems:
            return RestoreResult(id=package.id, ok=True)
        errors: list[CopyError | PackageDamaged] = []
        for target in [name] if name else self._candidates(package.id):
            try:
                return self._restore(package_place(package.folder), target, problems)
            except (CopyError, PackageDamaged) as error:
                errors.append(error)
        if not errors:
            raise copy_error(CopyReason.NOT_THERE, "[copies]", "the settings name no place for copies")
        raise errors[-1]

    def _candidates(self, package: str) -> list[str]:
        rows = self._queue.ledger.rows_of(package)
        counted = [name for name, row in rows.items() if row.state == "copied" and name in self._queue.targets]
        return [*counted, *(name for name in self._queue.targets if name not in counted)]

    def fetch(self, place: str, name: str) -> RestoreResult:
        """Fetch one package; raises CopyError, PackageDamaged, PackageBusy."""
        folder = self.archive.root / place
        if folder.exists() and not is_pruned(folder):
            raise ArchiveError(f"{folder} is there already", hint="`liput archive repair` restores damaged files.")
        here = list_local(folder).problems if folder.exists() else ()
        return self._restore(place, name, [problem for problem in here if problem.kind is ProblemKind.MISSING])

    def _restore(self, place: str, name: str, problems: list[Problem]) -> RestoreResult:
        package = place.rpartition("/")[2]
        with closing(self._queue.open_target(name)) as target:
            self._note(package, 0, "repair-begun", [], f"from {name}")
            try:
                with progress_bar(package, shown=not self._as_json) as progress:
                    restored = replace(self._restorer, progress=progress).restore(place, target, problems)
            except CopyError as error:
                if error.reason == CopyReason.DAMAGED_THERE:
                    self._queue.ledger.seen_damaged(package, name)
                    self._note(package, 0, "copy-damaged", [], error.message)
                raise
        copy = restored.copy
        self._queue.ledger.seen_whole(package, name, copy.version, copy.size, self._queue.clock.now())
        kept = str(restored.kept) if restored.kept else None
        note = f"{_files(restored.fetched)} from {name}" + (f"; the damaged one is in {kept}" if kept else "")
        self._note(package, copy.size, "repaired", [], note)
        self._queue.record(
            PC, LogKind.PACKAGE_REPAIRED, f"{package}: {note}", package=package, target=name,
            files=len(restored.fetched),
        )  # fmt: skip
        return RestoreResult(
            id=package, ok=True, target=name, fetched=restored.fetched, kept=kept, of_copy=restored.of_copy
        )

    def _note(self, package: str, size: int, outcome: FixityOutcome, problems: list[Problem], note: str = "") -> None:
        self._log.add(
            FixityEntry(
                at=self._queue.clock.now(), package=package, bytes=size, outcome=outcome, found=len(problems),
                problems=tuple(problems), note=note,
            )
        )  # fmt: skip


def _fetch(queue: CopyQueue, restoring: list[_Restoring], key: str | None, name: str) -> Iterator[RestoreResult]:
    """Fetch one package, or all missing ones into their former archive; one failure does not stop the others."""
    with closing(queue.open_target(name)) as target:
        wanted = places_of(target, key)
    for place in wanted:
        there = next((each for each in restoring if (each.archive.root / place).exists()), None)
        if key is None and there is not None:
            continue
        try:
            yield (there or restoring[0]).fetch(place, name)
        except (CopyError, PackageDamaged, PackageBusy) as error:
            if key is not None or (isinstance(error, CopyError) and error.reason not in PACKAGE_REASONS):
                raise
            yield RestoreResult(id=place.rpartition("/")[2], ok=False, target=name, reason=error.message)


def _files(fetched: tuple[str, ...]) -> str:
    return f"{len(fetched)} file{'s' * (len(fetched) != 1)}"
