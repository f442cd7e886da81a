"""`liput archive seal`: makes packages of recordings that a kill or a power cut left unfinished."""

from pathlib import Path

import click

from agent.archives.recovery import recover_session
from agent.archives.selection import archive_option, archives_of
from agent.terminal.parameters import print_json
from agent.terminal.progress import progress_bars
from config.errors import ArchiveError
from devices.host.clock import SystemClock
from recorder.model.names import session_in_name
from recorder.package.metadata import PackageState
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished


@click.command("seal")
@click.argument("package_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every unfinished recording of the archive.")
@archive_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md.")
@click.pass_context
def seal_command(
    ctx: click.Context, package_id: str | None, folder: Path | None, *, every: bool, as_json: bool
) -> None:
    """Seal recordings that a kill or a power cut left unfinished. `liput recover` does this for all sessions.

    At most about one second before the crash is lost; the package records the gap.
    """
    if every == (package_id is not None):
        raise click.UsageError("Name one recording, or say --all.", ctx)
    archives = archives_of(ctx, folder)
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
