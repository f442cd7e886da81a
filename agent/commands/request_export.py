"""`liput request export`: requests in one file."""

from pathlib import Path

import click
import msgspec

from agent.new_file import new_file
from agent.parameters import json_option
from agent.requests.options import Desk, at_the_desk, redact_option
from recorder.archive.names import storable

EXAMPLES = """\b
Examples:
  liput request export permohonan-2026.zip --redact       for statistics: nobody is named
  liput request export berkas.zip 3f2a 77b0               two dossiers, with their letters
\b
requests.csv in it has a line for each request, requests.json the same for programs; a folder for each has the rest.
Exit status: 0 all is in it; 1 something is not, and it is said what; 2 wrong usage.
"""
INCOMPLETE = 1
"""Exit status when a dossier or a letter could not be read; the others are in the file."""


@click.command("export", epilog=EXAMPLES)
@click.argument("file", metavar="FILE.zip", type=click.Path(path_type=Path))
@click.argument("keys", metavar="[ID]...", nargs=-1)
@redact_option
@click.option("--force", is_flag=True, help="Replace FILE.zip where there is one.")
@json_option
@at_the_desk
@click.pass_context
def export_command(
    ctx: click.Context, *, desk: Desk, file: Path, keys: tuple[str, ...], redact: bool, force: bool, as_json: bool
) -> None:
    """Write requests into one file: those named, or all, also those that are closed.

    Letters and names are personal data. With --redact no letter is in it, and nobody is named.
    """
    from agent.requests.export import write_export

    dossiers = list(map(desk.dossiers.find, keys)) if keys else list(map(desk.dossiers.dossier, desk.dossiers.ids()))
    with new_file(file, replace=force, example="permohonan.zip") as raw:
        exported = write_export(raw, dossiers, desk, redact=redact)
    if as_json:
        click.echo(msgspec.json.encode({"file": storable(str(file))} | msgspec.structs.asdict(exported)))
    else:
        click.echo(file)
        for sentence in exported.left_out:
            click.echo(f"liput: not in it: {sentence}", err=True)
    ctx.exit(INCOMPLETE if exported.left_out else 0)
