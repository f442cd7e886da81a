"""`liput recover` and `liput archive seal`: make packages of unfinished recordings.

Sessions that the daemon will resume are left alone.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click

from agent.archives.selection import archive_option, archives_of
from agent.daemon.presence import is_serving, remove_killed_folders, sessions_to_resume
from agent.terminal.parameters import json_lines_option, print_json
from agent.terminal.progress import progress_bars
from config.errors import ArchiveError, LiputError, PackageNotFound
from config.settings.quantities import brief_size, clock_text
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.names import one_line, session_in_name
from recorder.package.metadata import PackageState
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState, outcome_of_resumed
from recorder.recovery.unfinished import UnfinishedSession, find_joinable, find_unfinished
from recorder.running.runtime_directory import alive_recorders

LETS_GO_S = 2.0  # a child of a killed recorder may hold its lock for so long, until it execs
AGAIN_S = 0.1
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
@archive_option
@click.option("--dry-run", is_flag=True, help="List the sessions to recover; change nothing.")
@json_lines_option
def recover_command(keys: tuple[str, ...], folder: Path | None, *, dry_run: bool, as_json: bool) -> int:
    """Finish sessions that a crash, a kill or a power cut left unfinished.

    Liput repairs the recording without encoding it again, joins the parts of a session, records the gaps and seals the
    package. If no disk has room to join parts, they become packages of their own, to be joined later. Running sessions
    are left alone. A second run changes nothing.
    """
    archives = archives_of(folder)
    wanted = _names_of(list(_unfinished(archives)), keys)
    with progress_bars(shown=not as_json and not dry_run) as progress:
        recovery = Recovery(archives, clock=SystemClock(), progress=progress)
        outcomes = []
        for session in _unfinished(archives):
            if session.name in wanted:
                outcomes.append(recover_session(recovery, session, dry_run=dry_run))
                _show(outcomes[-1], as_json=as_json)
    if not outcomes and not as_json:
        click.echo(f"Nothing is unfinished in {', '.join(str(archive.root) for archive in archives)}.", err=True)
    if any(outcome.state is RecoveryState.FAILED for outcome in outcomes):
        return FAILED
    return DEGRADED if any(outcome.gaps or outcome.degraded for outcome in outcomes) else 0


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
        print_json(outcome)
        return
    title, size = one_line(outcome.title), brief_size(outcome.bytes)
    if outcome.state is RecoveryState.SEALED:
        length = clock_text(outcome.duration_s or 0)
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


@click.command("seal")
@click.argument("package_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every unfinished recording of the archive.")
@archive_option
@json_lines_option
def seal_command(package_id: str | None, folder: Path | None, *, every: bool, as_json: bool) -> None:
    """Seal recordings that a kill or a power cut left unfinished. `liput recover` does this for all sessions.

    At most about one second before the crash is lost; the package records the gap.
    """
    if every == (package_id is not None):
        raise click.UsageError("Name one recording, or say --all.")
    archives = archives_of(folder)
    sessions = find_unfinished(archives)
    if package_id is not None:
        package = archives[0].find(package_id)
        if package.state is not PackageState.UNFINISHED:
            raise ArchiveError(f"{package.id} is sealed already")
        sessions = [session for session in sessions if session.name == session_in_name(package.id)]
    for session in sessions:
        with progress_bars(shown=not as_json) as progress:
            outcome = recover_session(Recovery(archives, clock=SystemClock(), progress=progress), session)
        if as_json:
            print_json(outcome)
        if outcome.package is not None:
            if not as_json:
                click.echo(outcome.package)
        elif outcome.state is RecoveryState.DISCARDED:
            click.echo(f"{outcome.id}: {outcome.message}", err=True)
        else:
            raise ArchiveError(outcome.message, hint=outcome.hint)
    if not sessions and not as_json:
        click.echo(f"Nothing in {archives[0].root} is unfinished.", err=True)


def recover_session(recovery: Recovery, session: UnfinishedSession, *, dry_run: bool = False) -> RecoveryOutcome:
    """Recover a session, or with `dry_run` only look; remove the folders of its killed recorders."""
    if _is_awaited(session):
        return outcome_of_resumed(session)
    if dry_run:
        return recovery.look(session)
    outcome, deadline_s = recovery.recover(session), time.monotonic() + LETS_GO_S
    while outcome.state is RecoveryState.RECORDING and not _is_recorded(session) and time.monotonic() < deadline_s:
        time.sleep(AGAIN_S)
        if _is_awaited(session):  # its recorder may have been killed since
            return outcome_of_resumed(session)
        outcome = recovery.recover(session)
    if outcome.state in {RecoveryState.SEALED, RecoveryState.DISCARDED}:
        remove_killed_folders(session.name)
    return outcome


def _is_awaited(session: UnfinishedSession) -> bool:
    return is_serving() and session.name in sessions_to_resume()


def _is_recorded(session: UnfinishedSession) -> bool:
    """Return whether a recorder of this user records a session, or may."""
    with suppress(LiputError, OSError):
        return session.name in {info.session for _, info in alive_recorders()}
    return True
