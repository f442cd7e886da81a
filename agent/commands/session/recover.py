"""`liput recover`: makes packages of unfinished recordings."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import click
import msgspec

from agent.archives.recovery import recover_session
from agent.archives.selection import archives_of
from agent.terminal.progress import progress_bars
from config.errors import PackageNotFound
from config.settings.quantities import brief_size
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.names import one_line
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from recorder.recovery.unfinished import UnfinishedSession, find_joinable, find_unfinished

FAILED, DEGRADED = 1, 3

EXAMPLES = """\b
Examples:
  liput recover                       every unsealed session
  liput recover --dry-run             list unsealed sessions; change nothing
  liput recover 3f2a91c0              one session, by its name, its UUID, or the beginning of one
\b
Exit status: 0 recovered and complete, or nothing to recover; 3 recovered with losses, which the output lists;
1 a session could not be recovered.
"""


@click.command(epilog=EXAMPLES)
@click.argument("keys", metavar="[ID]...", nargs=-1)
@click.option(
    "--archive",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Only this archive.  [default: all in the settings]",
)
@click.option("--dry-run", is_flag=True, help="List the sessions to recover; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md.")
@click.pass_context
def recover_command(
    ctx: click.Context, keys: tuple[str, ...], folder: Path | None, *, dry_run: bool, as_json: bool
) -> int:
    """Finish sessions that a crash, a kill or a power cut left unfinished.

    Liput repairs the recording without encoding it again, joins the parts of a session, records the gaps and seals the
    package. If no disk has room to join parts, they become packages of their own, to be joined later. Running sessions
    are left alone. A second run changes nothing.
    """
    archives = archives_of(ctx, folder)
    wanted = _names_of([*find_unfinished(archives), *find_joinable(archives)], keys)
    with progress_bars(shown=not as_json and not dry_run) as progress:
        recovery = Recovery(archives, clock=SystemClock(), progress=progress)
        outcomes = []
        for session in _unfinished(archives):
            if session.name in wanted:
                outcomes.append(recover_session(recovery, session, dry_run=dry_run))
                _show(outcomes[-1], as_json=as_json)
    if not outcomes and not as_json:
        click.echo(f"Nothing is unfinished in {', '.join(str(archive.root) for archive in archives)}.", err=True)
    return _status(outcomes)


def _unfinished(archives: Sequence[Archive]) -> Iterator[UnfinishedSession]:
    """Yield unsealed sessions, then parts sealed apart; the first step may make some of those."""
    yield from find_unfinished(archives)
    yield from find_joinable(archives)


def _names_of(sessions: list[UnfinishedSession], keys: tuple[str, ...]) -> set[str]:
    """Return the names of the sessions for `keys`, of all without any; each key must match one."""
    if not keys:
        return {session.name for session in sessions}
    wanted: set[str] = set()
    for key in keys:
        found = [session for session in sessions if session.answers_to(key)]
        if len({session.name for session in found}) != 1:
            known = ", ".join(session.name for session in found or sessions) or "none"
            raise PackageNotFound(
                f"{one_line(key)!r} means {'several' if found else 'no'} unfinished sessions",
                hint=f"{'They are' if found else 'There is'}: {known}.",
            )
        wanted |= {session.name for session in found}
    return wanted


def _show(outcome: RecoveryOutcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(outcome))
        return
    title, size = one_line(outcome.title), brief_size(outcome.bytes)
    if outcome.state is RecoveryState.SEALED:
        length = timedelta(seconds=round(outcome.duration_s or 0))
        parts = f", {len(outcome.parts)} parts" if len(outcome.parts) > 1 else ""
        for package in outcome.packages:
            click.echo(package)
        click.echo(f"  {title}: {length}{parts}, {size}; {outcome.message}", err=True)
    elif outcome.state is RecoveryState.UNFINISHED:
        click.echo(f"{outcome.id}: {title}, {size}, {len(outcome.parts)} parts; it would be recovered")
    else:
        click.echo(f"{outcome.id}: {title}: {outcome.state}: {outcome.message}", err=True)
        if outcome.hint:
            click.echo(f"  {outcome.hint}", err=True)


def _status(outcomes: list[RecoveryOutcome]) -> int:
    if any(outcome.state is RecoveryState.FAILED for outcome in outcomes):
        return FAILED
    is_less = any(outcome.gaps or outcome.degraded for outcome in outcomes)
    return DEGRADED if is_less else 0
