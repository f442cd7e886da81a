"""`liput archive list`, `show`, `open`, `search` and `reindex`."""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
from pathlib import Path

import click
import msgspec

from agent.archives.selection import (
    archive_option,
    archives_of,
    find_package,
    from_option,
    room_option,
    search_archives,
    to_option,
)
from agent.cli.desktop import OPENER, has_desktop, open_there
from agent.commands.archive.targets import at_option, packages_at
from agent.terminal.parameters import json_option, print_json, print_result
from agent.terminal.progress import progress_bar
from config.errors import ArchiveError
from config.settings.quantities import brief_size, clock_text
from recorder.archive.archive import is_package_file
from recorder.archive.index import ArchiveIndex, room_key
from recorder.model.names import one_line
from recorder.package.metadata import AudioTrack, Package, PackageState, Recording, VideoTrack
from recorder.package.verification import refuse_pruned

LIST_EXAMPLES = """\b
Examples:
  liput archive list
  liput archive list --from 2026-11-01 --to 2026-11-30 --room aula
  liput archive list --state unfinished
"""


@click.command("list", epilog=LIST_EXAMPLES)
@from_option
@to_option
@room_option
@click.option("--state", type=click.Choice([str(state) for state in PackageState]), help="Only this state.")
@at_option
@click.option("--find", "words", metavar="WORDS", help="With --at: only packages with these words.")
@archive_option
@json_option
def list_command(
    since: datetime | None, until: datetime | None, room: str, state: str | None,
    target_name: str | None, words: str | None, folder: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    """List the recordings of all archives, oldest first, including unsealed ones."""
    if words is not None and target_name is None:
        raise click.UsageError("--find goes with --at.")
    if target_name is not None:
        where, packages = target_name, packages_at(target_name, words)
    else:
        archives = archives_of(folder)
        where = f"The archive {archives[0].root}"
        packages = sorted(chain.from_iterable(archive.list() for archive in archives), key=attrgetter("id"))
    wanted = [
        package
        for package in packages
        if (since is None or package.started_at >= since)
        and (until is None or package.started_at <= until)
        and (state is None or package.state == state)
        and (not room or (package.recording and room_key(room) in room_key(package.recording.room)))
    ]
    if as_json:
        print_json([msgspec.structs.replace(package, recording=msgspec.UNSET) for package in wanted])
    elif not wanted:
        click.echo(f"{where} {'has nothing like that' if packages else 'is empty'}.", err=True)
    elif sys.stdout.isatty():
        _print_table(wanted)
    else:
        for package in wanted:
            click.echo("  ".join(_columns(package)))


def _columns(package: Package) -> tuple[str, str, str, str, str]:
    length, size = clock_text(package.duration_s), brief_size(package.bytes)
    return package.id, f"{length:>8}", f"{size:>9}", f"{package.state:<10}", one_line(package.title)


def _print_table(packages: Sequence[Package]) -> None:
    """Print a table for a terminal, with the first 8 digits of each UUID as id."""
    from rich.text import Text

    from agent.devices.table import columns, print_table

    table = columns(("started", "id", "state", f"{'length':>8}", f"{'size':>9}", "title"), fold={"title"})
    for package in packages:
        _, length, size, state, title = _columns(package)
        cells = (f"{package.started_at:%Y-%m-%d %H:%M}", package.uuid[:8] or package.id, state, length, size, title)
        table.add_row(*map(Text, cells), style="" if package.state is PackageState.SEALED else "yellow")
    print_table(table)


@click.command("show")
@click.argument("package_id", metavar="ID")
@archive_option
@json_option
def show_command(package_id: str, folder: Path | None, *, as_json: bool) -> None:
    """Show one recording. ID is its name, UUID or path, or the beginning of one."""
    _, package = find_package(archives_of(folder), package_id)
    if as_json:
        print_json(package)
        return
    for label, value in _description(package):
        if value:
            click.echo(f"{label:<16}{one_line(value)}")


def _description(package: Package) -> Iterator[tuple[str, str]]:
    yield "Title", package.title
    yield "Id", package.id
    yield "UUID", package.uuid
    yield "State", package.state
    yield "Started", package.started_at.isoformat(" ", "seconds")
    yield "Length", clock_text(package.duration_s)
    yield "Size", brief_size(package.bytes)
    if package.recording:
        yield from _request_lines(package.recording)
        yield from _recording_lines(package.recording)
        yield from _records_lines(package.recording)
    yield "Folder", package.path


def _recording_lines(recording: Recording) -> Iterator[tuple[str, str]]:
    yield "Office", recording.office
    yield "Room", recording.room
    yield "Profile", recording.profile
    yield "Streamed to", ", ".join(recording.destinations)
    lost = (("dropped", recording.dropped), ("repeated", recording.repeated))
    counts = (f"{'unknown' if count is None else count} {name}" for name, count in lost)
    yield "Frames", ", ".join((str(recording.frames), *counts))
    yield "Degraded", ", ".join(recording.degraded)
    if recording.loudness_lufs is not None:
        yield "Loudness", f"{recording.loudness_lufs} LUFS"
    for media in recording.media:
        tracks = "; ".join(map(_track, media.tracks)) or media.problem
        yield "Media", f"{media.file}: {brief_size(media.bytes)}, {tracks}"


def _request_lines(recording: Recording) -> Iterator[tuple[str, str]]:
    if request := recording.request:
        date = request.letter_date.isoformat() if request.letter_date else ""
        yield "Letter", ", ".join(filter(None, (request.letter_number, date)))
        yield "Applicant", ", ".join(filter(None, (request.applicant, request.unit)))
        yield "Event", ", ".join(filter(None, (request.event, request.place)))


def _records_lines(recording: Recording) -> Iterator[tuple[str, str]]:
    records = recording.records
    yield "Classification", records.classification
    yield "Security", records.security
    retention = (("active", records.retention_active), ("inactive", records.retention_inactive))
    yield "Retention", ", ".join(f"{name} {time}" for name, time in retention if time)
    yield "Disposition", records.disposition
    yield "Consent", ": ".join(filter(None, (recording.consent.state, recording.consent.note)))
    for one in recording.additions:
        yield "Added", f"{one.file}: {one.name}, {brief_size(one.bytes)}"
    if recording.excerpt_of:
        yield "Excerpt of", recording.excerpt_of
    if recording.practice:
        yield "Practice", "it was no event, and counts for no request"


def _track(track: VideoTrack | AudioTrack) -> str:
    if isinstance(track, VideoTrack):
        return f"{track.codec} {track.width}x{track.height} at {track.rate}, {track.frames} frames"
    return f"{track.codec} {track.sample_rate} Hz {track.layout}"


SEARCH_EXAMPLES = """\b
Examples:
  liput archive search senat
  liput archive search rapat "B/12/UN38" --from 2026-01-01 --to 2026-12-31
  liput archive search wisuda --room aula --json
  liput archive search --from 30d
\b
Exit status: 0 also without results; 1 the archive or its index cannot be read; 2 wrong usage.
"""


@click.command("search", epilog=SEARCH_EXAMPLES)
@click.argument("words", metavar="[WORDS]...", nargs=-1)
@from_option
@to_option
@room_option
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="The most results.")
@archive_option
@json_option
def search_command(
    words: tuple[str, ...], since: datetime | None, until: datetime | None, room: str, most: int,
    folder: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Find recordings that contain all of WORDS, or words with these beginnings.

    The search covers title, room, office, marks, chapters with slide text, and names of added files. It also covers
    the request: letter number, applicant, unit, event, place. Accents and capitals are ignored. The best matches come
    first; without WORDS, the newest.
    """
    archives = archives_of(folder)
    found = search_archives(archives, words, since=since, until=until, room=room, most=most)
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
def reindex_command(folder: Path | None, *, as_json: bool) -> None:
    """Rebuild the index of the archive from its packages.

    This is never necessary. A search updates the index, and rebuilds a damaged or missing one.
    """
    done: list[tuple[int, Path]] = []
    for archive in archives_of(folder):
        with ArchiveIndex(archive.root) as index, progress_bar("packages", shown=not as_json, counted=True) as progress:
            done.append((index.rebuild(progress), index.path))
        if not as_json:
            click.echo(f"{done[-1][0]} packages of {archive.root}")
    if as_json:
        print_json({"packages": sum(count for count, _ in done), "index": str(done[0][1])})


OPEN_EXAMPLES = """\b
Examples:
  liput archive open 3f2a91c0                play it
  liput archive open 3f2a91c0 --folder       open its folder
  mpv "$(liput archive open 3f2a91c0 --print)"
\b
Without a desktop, Liput only prints the path.
"""


@click.command("open", epilog=OPEN_EXAMPLES)
@click.argument("package_id", metavar="ID")
@click.option("--folder", "whole", is_flag=True, help="Open the package's folder.")
@click.option("--print", "print_only", is_flag=True, help="Only print the path.")
@archive_option
@json_option
def open_command(package_id: str, folder: Path | None, *, whole: bool, print_only: bool, as_json: bool) -> None:
    """Print the path of a recording, and open it in this desktop's player."""
    _, package = find_package(archives_of(folder), package_id)
    path = package.folder if whole else _media_file(package)
    print_result({"id": package.id, "path": str(path)}, str(path), as_json=as_json)
    if not print_only and has_desktop() and not open_there(str(path), OPENER):
        raise ArchiveError("This desktop has no xdg-open", hint="Open the path above by hand.")


def _media_file(package: Package) -> Path:
    """Return the package's first media file; raises ArchiveError if it has none."""
    refuse_pruned(package.folder)
    for file in package.recording.media if package.recording else ():
        path = package.folder / file.file
        if is_package_file(package.folder, path):
            return path
    raise ArchiveError(
        f"{package.id} has no recording that can be opened", hint=f"liput archive verify {package.id} says why."
    )
