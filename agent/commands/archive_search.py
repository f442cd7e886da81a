"""`liput archive search` and `reindex`: recordings found by what their packages say."""

from datetime import datetime
from pathlib import Path

import click
import msgspec

from agent.archives import archive_option, archives_of, from_option, room_option, search_all, to_option
from agent.parameters import json_option, print_json
from agent.progress import progress_bar
from recorder.archive.names import one_line

EXAMPLES = """\b
Examples:
  liput archive search senat
  liput archive search rapat "B/12/UN38" --from 2026-01-01 --to 2026-12-31
  liput archive search wisuda --room aula --json
  liput archive search --from 30d
\b
Exit status: 0 also where nothing is found; 1 the archive or its index cannot be read; 2 wrong usage.
"""


class Reindexed(msgspec.Struct, frozen=True):
    """What `reindex` has done: how many packages it has read, and where the index of the archive is."""

    packages: int
    index: str


@click.command("search", epilog=EXAMPLES)
@click.argument("words", metavar="[WORDS]...", nargs=-1)
@from_option
@to_option
@room_option
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="No more than these.")
@archive_option
@json_option
@click.pass_context
def search_command(
    ctx: click.Context, words: tuple[str, ...], since: datetime | None, until: datetime | None, room: str, most: int,
    folder: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Find recordings that hold all of WORDS, or words that begin so.

    Looked at are the title, the request (letter number, applicant, unit, event, place), room and office, marks,
    chapters with what stands on their slides, and the names of files that were added. Accents and capitals do not
    count. The best come first; without WORDS the newest.
    """
    archives = archives_of(ctx, folder)
    found = search_all(archives, words, since=since, until=until, room=room, most=most)
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one.id}  {one_line(one.title)}" + ("" if one.state == "sealed" else f"  ({one.state})"))
        if one.snippet and one_line(one.snippet).replace("[", "").replace("]", "") != one_line(one.title):
            click.echo(f"    {one_line(one.snippet)}")
    if not found:
        click.echo(f"Nothing in {archives[0].root} is like that.", err=True)


@click.command("reindex")
@archive_option
@json_option
@click.pass_context
def reindex_command(ctx: click.Context, folder: Path | None, *, as_json: bool) -> None:
    """Make the index of the archive anew, from its packages alone.

    Nobody has to: searching brings it up to date, and makes one that is damaged or missing anew by itself.
    """
    from recorder.archive.index import Index

    done = []
    for archive in archives_of(ctx, folder):
        with Index(archive.root) as index, progress_bar("packages", shown=not as_json, counted=True) as progress:
            done.append(Reindexed(index.rebuild(progress), str(index.path)))
        if not as_json:
            click.echo(f"{done[-1].packages} packages of {archive.root}")
    if as_json:
        print_json(Reindexed(sum(each.packages for each in done), done[0].index))
