"""`liput archive protect`: recordings that every user of the PC could read are closed."""

from pathlib import Path

import click

from agent.archives.choice import archive_option, archives_of
from config.errors import StorageError
from config.state import state_folder
from recorder.archive.privacy import close, kept_in
from recorder.disk.errors import storage_error
from recorder.running.operators import operators

SHOWN = 3


@click.command("protect")
@archive_option
@click.pass_context
def protect_command(ctx: click.Context, folder: Path | None) -> None:
    """Keep recordings from other users of this PC, as those are from the beginning that are made now.

    Closes what everybody could read: in the archive, in those that sessions go on in, and of Liput's own databases.
    Operators (LIPUT_OPERATORS) may still read what is their group's. Exit status 1: something is another user's.
    """
    state = state_folder()
    try:
        group = operators()
        roots = [archive.root for archive in archives_of(ctx, folder) if archive.root.is_dir()]
        folders = [path for root in roots for path in kept_in(root)]
        done = list(close([*folders, *([state] if state.is_dir() else [])], group))
    except OSError as error:
        raise storage_error(error, Path(error.filename or state)) from None
    refused = [(path, error) for path, error in done if error is not None]
    where = ", ".join(str(root) for root in roots)
    click.echo(f"{where}: {len(done) - len(refused)} files and folders were open to every user, and are closed now.")
    if refused:
        shown = "; ".join(f"{path}: {error.strerror}" for path, error in refused[:SHOWN])
        raise StorageError(
            f"{len(refused)} files and folders are still open: {shown}",
            hint="Run it as the user who has made them, or as root.",
            why="unwritable",
        )
