"""`liput archive prune`: removes local media that have enough copies elsewhere."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from agent.archives.selection import archive_option, find_package
from agent.commands.archive.targets import copy_queue
from agent.terminal.parameters import json_lines_option, print_json
from agent.terminal.terminal import can_ask
from config.errors import ArchiveError, CopyError, LiputError, UsageError
from config.settings.quantities import brief_size
from devices.health.log_line import PC, LogKind
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import FixityEntry, FixityLog
from recorder.disk.durable import DurableFiles
from recorder.features.copies.copy_queue import CopyQueue, package_place
from recorder.features.copies.package_copy import MEDIA, local_version
from recorder.features.copies.pruning import prune
from recorder.features.copies.target import Target, refuse_same
from recorder.package.metadata import Package, PackageState

EXAMPLES = """\b
Examples:
  liput archive prune 3f2a91c0 --keep-copies 2
  liput archive prune --all --keep-copies 2 --yes
\b
Liput verifies each of these copies completely before it removes anything. The package's description stays for lists
and searches, and `liput archive fetch` fetches its media again.
"""


class PruneResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="prune"):
    """The outcome for one package: bytes removed, places of the verified copies, or the reason for keeping it."""

    id: str
    pruned: bool
    bytes: int = 0
    targets: tuple[str, ...] = ()
    reason: str | None = None


@click.command("prune", epilog=EXAMPLES)
@click.argument("package_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every package with enough copies.")
@click.option(
    "--keep-copies", "least", metavar="N", type=click.IntRange(min=1), required=True,
    help="Only packages with at least N whole copies elsewhere.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@archive_option
@json_lines_option
def prune_command(
    package_id: str | None, least: int, folder: Path | None, *, every: bool, yes: bool, as_json: bool
) -> int:
    """Remove local media of packages with enough copies, after verifying those copies."""
    if every == (package_id is not None):
        raise click.UsageError("Name one package, or say --all.")
    with copy_queue(folder) as (queue, _settings, archives):
        packages = _to_prune(queue, archives, package_id, least)
        if packages and not yes:
            _ask(packages, least)
        wanted = len(packages)
        for package in packages:
            result = _pruned(queue, package, least)
            wanted -= result.pruned
            _print(result, as_json=as_json)
    return 1 if wanted else 0


def _to_prune(queue: CopyQueue, archives: Sequence[Archive], key: str | None, least: int) -> list[Package]:
    """Return the packages to prune: the named one, or all with enough known copies."""
    if key is not None:
        _, package = find_package(archives, key)
        if not _has_media(package):
            raise ArchiveError(f"{package.id} is {package.state}; only whole, sealed packages can be pruned")
        return [package]
    return [
        package
        for archive in archives
        for package in archive.list()
        if _has_media(package) and len(_counted_copies(queue, package)) >= least
    ]


def _has_media(package: Package) -> bool:
    """Return whether there are media to remove, also after an interrupted prune."""
    if package.state is PackageState.ELSEWHERE:
        return any((package.folder / MEDIA).glob("*"))
    return package.state is PackageState.SEALED


def _counted_copies(queue: CopyQueue, package: Package) -> list[str]:
    version = local_version(package.folder)
    return [
        name
        for name, row in queue.rows_of(package.id).items()
        if name in queue.targets and row.state == "copied" and row.version == version
    ]


def _ask(packages: list[Package], least: int) -> None:
    size = brief_size(sum(package.bytes for package in packages))
    what = packages[0].id if len(packages) == 1 else f"{len(packages)} packages"
    question = f"Remove the media of {what} here ({size}), after verifying {least} copies of each?"
    if not can_ask():
        raise UsageError(f"there is no terminal to ask: {question}", hint="say --yes")
    if not click.confirm(question, err=True):
        raise click.Abort


def _pruned(queue: CopyQueue, package: Package, least: int) -> PruneResult:
    """Prune one package; an error becomes the result's reason."""
    counted = _counted_copies(queue, package)
    if len(counted) < least:
        return PruneResult(id=package.id, pruned=False, reason=f"it has {len(counted)} whole copies, not {least}")
    with ExitStack() as stack:
        try:
            targets = _open_targets(queue, counted, least, stack)
            pairs = [(target, queue.targets[target.name]) for target in targets]
            size = prune(
                package.folder, package_place(package.folder), pairs, DurableFiles(), lambda: queue.go_on("the archive")
            )
        except LiputError as error:
            return PruneResult(id=package.id, pruned=False, reason=error.message)
    names = tuple(target.name for target in targets)
    note = f"media removed here; copies read at {', '.join(names)}"
    FixityLog().add(FixityEntry(at=queue.clock.now(), package=package.id, bytes=size, outcome="pruned", note=note))
    queue.record(PC, LogKind.PACKAGE_PRUNED, f"{package.id}: {note}", package=package.id, bytes=size)
    return PruneResult(id=package.id, pruned=True, bytes=size, targets=names)


def _open_targets(queue: CopyQueue, names: list[str], least: int, stack: ExitStack) -> list[Target]:
    """Open `least` different places that can be reached; raises CopyError."""
    chosen: list[Target] = []
    failed: list[CopyError] = []
    for name in names:
        if len(chosen) == least:
            break
        try:
            target = queue.open_target(name)
            stack.callback(target.close)
            refuse_same([*chosen, target])
        except CopyError as error:
            failed.append(error)
        else:
            chosen.append(target)
    if len(chosen) < least:
        raise failed[-1]
    return chosen


def _print(result: PruneResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    elif result.pruned:
        where = ", ".join(result.targets)
        click.echo(f"{result.id}: {brief_size(result.bytes)} removed here; copies at {where}")
    else:
        click.echo(f"{result.id}: nothing is removed: {result.reason}", err=True)
