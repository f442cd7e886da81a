"""`liput archive copy` and `copies`: makes and lists packages' copies at other places."""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import msgspec

from agent.archives.selection import archive_option, find_package
from agent.commands.archive.targets import copy_queue
from agent.terminal.parameters import json_lines_option, json_option, print_json
from agent.terminal.progress import progress_bar
from agent.terminal.redact import redactor_for
from config.errors import UsageError
from config.settings.quantities import brief_rate, brief_size
from config.settings.schema import Settings
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import use_idle_priority
from recorder.features.copies.copy_queue import CopyOutcome, CopyQueue, CopyRecord, name_of_package
from recorder.features.copies.package_copy import local_version
from recorder.features.copies.target import CopyReason
from recorder.model.names import one_line
from recorder.package.verification import refuse_pruned, require_sealed

_NO_FAILURE = frozenset({CopyReason.SESSION, CopyReason.BUSY})
"""Reasons that are no failure unless people asked for this copy."""

COPY_EXAMPLES = """\b
Examples:
  liput archive copy 3f2a91c0                  one package, to every automatic place
  liput archive copy --all --to nas            every package, to one place
  liput archive copy --pending                 pending copies that are due; `liput serve` makes them, too
\b
Existing copies are verified again, and repaired if damaged. Exit status 1: a copy is missing; the output gives the
reason, and Liput retries.
"""
COPIES_EXAMPLES = """\b
Examples:
  liput archive copies                         every package: its copies, and pending ones
  liput archive copies 3f2a91c0 --json
"""


@click.command("copy", epilog=COPY_EXAMPLES)
@click.argument("package_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every package without a copy there.")
@click.option("--pending", is_flag=True, help="Pending copies that are due; stops when a session starts.")
@click.option(
    "--to",
    "names",
    metavar="TARGET",
    multiple=True,
    help="A name from [copies]; repeatable.  [default: the automatic ones]",
)
@click.option("--new-place", is_flag=True, help="The place was emptied or replaced on purpose: copy everything again.")
@archive_option
@json_lines_option
def copy_command(
    package_id: str | None,
    names: tuple[str, ...],
    folder: Path | None,
    *,
    every: bool,
    pending: bool,
    new_place: bool,
    as_json: bool,
) -> int:
    """Copy packages to the places in the settings, and verify every copy.

    An interrupted copy resumes. Nothing is copied while a session runs.
    """
    if (package_id is not None) + every + pending != 1:
        raise click.UsageError("Name one package, or say --all or --pending.")
    if new_place and not names:
        raise click.UsageError("--new-place goes with --to: name the place.")
    if pending:
        use_idle_priority()
    with copy_queue(folder) as (queue, settings, archives):
        queue.new_place = new_place
        waiting = False
        for name in _names(settings, names, automatic=not pending):
            packages = [_folder(archives, package_id)] if package_id else queue.waiting(name, due_only=pending)
            if package_id:
                refuse_pruned(packages[0])
            for outcome in _copy(queue, name, packages, settings, as_json=as_json):
                minor = pending and outcome.reason in _NO_FAILURE
                waiting |= outcome.state != "copied" and not minor
    return 1 if waiting else 0


def _names(settings: Settings, names: tuple[str, ...], *, automatic: bool) -> list[str]:
    """Return the named places, else all, or all `automatic` ones. Raises UsageError."""
    for name in names:
        settings.copy(name)
    if not settings.copies:
        raise UsageError("the settings name no place for copies", hint="add [copies.NAME] with its url; docs/copies.md")
    return list(names) or [name for name, target in settings.copies.items() if target.automatic or not automatic]


def _folder(archives: list[Archive], key: str) -> Path:
    return require_sealed(find_package(archives, key)[1]).folder


def _copy(
    queue: CopyQueue, name: str, packages: list[Path], settings: Settings, *, as_json: bool
) -> Iterator[CopyOutcome]:
    """Copy packages and print each outcome; a message shared by many is printed once."""
    redact, _ = redactor_for(settings)
    said: str | None = None
    with progress_bar(name, shown=not as_json) as progress:
        for outcome in queue.work(name, packages, progress):
            if as_json:
                print(redact(msgspec.json.encode(outcome).decode()), flush=True)
            elif outcome.state == "copied":
                has_speed = outcome.sent and outcome.seconds
                speed = f", {brief_rate(8 * outcome.sent / outcome.seconds)}" if has_speed else ""
                click.echo(f"{outcome.package}: copied to {name} ({brief_size(outcome.bytes)}{speed})")
            else:
                click.echo(f"{outcome.package}: waits", err=True)
                if outcome.message != said:
                    said = outcome.message
                    click.echo(redact(f"  {said}\n  {outcome.hint}"), err=True)
            yield outcome
    if not packages and not as_json and sys.stderr.isatty():
        click.echo(f"Nothing waits for {name}.", err=True)


class CopyLine(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of a package in `liput archive copies --json`; `next_at` is the time of the next attempt."""

    target: str
    state: str
    verified_at: datetime | None
    bytes: int
    reason: str | None
    message: str | None
    since: datetime | None
    attempts: int
    next_at: datetime | None


class PackageCopies(msgspec.Struct, frozen=True, kw_only=True):
    """The copies of a package; `verified` counts the whole ones of its present state."""

    id: str
    path: str
    verified: int
    copies: tuple[CopyLine, ...]


@click.command("copies", epilog=COPIES_EXAMPLES)
@click.argument("package_id", metavar="[ID]", required=False)
@archive_option
@json_option
def copies_command(package_id: str | None, folder: Path | None, *, as_json: bool) -> None:
    """Show each package's verified copies with place and time, and pending copies with the reason."""
    with copy_queue(folder) as (queue, _settings, archives):
        found = _copies(queue, [_folder(archives, package_id)] if package_id else queue.every())
    if as_json:
        print_json(found[0] if package_id else found)
        return
    for package in found:
        count = f"{package.verified or 'no'} cop{'ies' if package.verified > 1 else 'y'}"
        click.echo(f"{package.id}: {count}")
        for line in package.copies:
            click.echo(f"  {line.target:<12} {_state_text(line)}")


def _copies(queue: CopyQueue, folders: list[Path]) -> list[PackageCopies]:
    rows, troubles = queue.rows(), queue.ledger.troubles()
    found = []
    for folder in folders:
        package, version = name_of_package(folder), local_version(folder)
        lines = []
        for name, target in queue.targets.items():
            known, trouble = rows.get((package, name)), troubles.get(name)
            if known is None and not target.automatic:
                continue
            row = known or CopyRecord(package=package, target=name)
            is_copied = row.state == "copied" and row.version == version
            why = None if is_copied else row if row.reason else trouble
            next_s = max(row.next_s, trouble.next_s if trouble else 0.0)
            lines.append(
                CopyLine(
                    target=name,
                    state="outdated" if row.state == "copied" and not is_copied else row.state,
                    verified_at=row.verified_at,
                    bytes=row.bytes,
                    reason=why.reason if why else None,
                    message=why.message if why else None,
                    since=why.since if why else None,
                    attempts=why.attempts if why else 0,
                    next_at=datetime.fromtimestamp(next_s).astimezone() if why and next_s else None,
                )
            )
        verified = sum(line.state == "copied" for line in lines)
        found.append(PackageCopies(id=package, path=str(folder), verified=verified, copies=tuple(lines)))
    return found


def _state_text(line: CopyLine) -> str:
    if line.state == "copied":
        return f"whole when it was read back {line.verified_at:%Y-%m-%d %H:%M}, {brief_size(line.bytes)}"
    again = f"; tried again {line.next_at:%Y-%m-%d %H:%M}" if line.next_at else ""
    since = f" since {line.since:%Y-%m-%d %H:%M}" if line.since else ""
    before = "of an earlier state; " if line.state == "outdated" else ""
    return one_line(f"{before}waits{since}: {line.message}{again}" if line.message else f"{before}waits")
