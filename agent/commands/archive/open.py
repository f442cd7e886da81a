"""`liput archive open`: a recording in the player, or its folder in the file manager, of this desktop."""

from pathlib import Path

import click

from agent.archives.choice import archive_option, archives_of, find_in
from agent.cli.desktop import OPENER, has_desktop, open_there
from agent.terminal.parameters import json_option, print_json
from config.errors import ArchiveError
from recorder.archive import catalog
from recorder.package.manifest import Package

EXAMPLES = """\b
Examples:
  liput archive open 3f2a91c0                play it
  liput archive open 3f2a91c0 --folder       look into its folder
  mpv "$(liput archive open 3f2a91c0 --print)"
\b
Without a desktop the path is printed, and that is all.
"""


@click.command("open", epilog=EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.option("--folder", "whole", is_flag=True, help="The package's folder.")
@click.option("--print", "print_only", is_flag=True, help="Only print the path.")
@archive_option
@json_option
@click.pass_context
def open_command(
    ctx: click.Context, package_id: str, folder: Path | None, *, whole: bool, print_only: bool, as_json: bool
) -> None:
    """Print the path of a recording, and open it in this desktop's player."""
    _, package = find_in(archives_of(ctx, folder), package_id)
    path = package.folder if whole else _film(package)
    if as_json:
        print_json({"id": package.id, "path": str(path)})
    else:
        click.echo(path)
    if not print_only and has_desktop() and not open_there(str(path), OPENER):
        raise ArchiveError("This desktop has no xdg-open", hint="Open the path above by hand.")


def _film(package: Package) -> Path:
    """Return the first file of media that the package describes; raises ArchiveError where it is none, or not there."""
    catalog.refuse_elsewhere(package.folder)
    for file in package.recording.media if package.recording else ():
        path = package.folder / file.file
        if catalog.is_inside(package.folder, path):
            return path
    raise ArchiveError(
        f"{package.id} has no recording that can be opened", hint=f"liput archive verify {package.id} says why."
    )
