"""`liput archive add`: what is handed in after the session, put into its package."""

from pathlib import Path

import click

from agent.archives.choice import archive_option, archives_of, find_in
from agent.terminal.parameters import json_option, print_json
from agent.terminal.progress import progress_bar
from config.settings.quantities import brief_size
from devices.host.clock import SystemClock
from recorder.archive.catalog import sealed
from recorder.archive.editing import ADDED, TRANSCRIPT, add
from recorder.model.names import one_line

EXAMPLES = """\b
Examples:
  liput archive add 3f2a91c0 IMG_0012.JPG IMG_0013.JPG --note "foto dari ponsel"
  liput archive add 3f2a91c0 daftar-hadir.pdf --by "Siti"
  liput archive add 3f2a91c0 rapat.vtt --transcript
\b
Exit status: 0 added, or in the package already; 1 nothing is changed, and it is said why; 2 wrong usage.
"""


@click.command("add", epilog=EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--transcript", is_flag=True, help="They are transcripts of the session.")
@click.option("--note", default="", metavar="TEXT", help="What they are; kept with them.")
@click.option("--by", metavar="NAME", help="Who hands them in.  [default: the name of this account]")
@archive_option
@json_option
@click.pass_context
def add_command(
    ctx: click.Context, package_id: str, files: tuple[Path, ...], note: str, by: str | None, folder: Path | None, *,
    transcript: bool, as_json: bool,
) -> None:  # fmt: skip
    """Put files into a package: phone photos, attendance lists, slides. Nothing in it is overwritten.

    They are copied as they are, under safe names; the names they had are kept. What the package holds already is not
    added again.
    """
    package = sealed(find_in(archives_of(ctx, folder), package_id)[1])
    place = TRANSCRIPT if transcript else ADDED
    with progress_bar(package.id, shown=not as_json) as progress:
        added, known = add(
            package.folder, files, place=place, note=note, by=by, now=SystemClock().now(), progress=progress
        )
    if as_json:
        there = [{"name": one_line(source.name), "file": path} for source, path in known]
        print_json({"id": package.id, "path": package.path, "added": added, "known": there})
        return
    for one in added:
        click.echo(f"{one_line(one.name)}: {one.file} ({brief_size(one.bytes)})")
    for source, path in known:
        click.echo(f"{one_line(source.name)} is in the package already: {path}", err=True)
