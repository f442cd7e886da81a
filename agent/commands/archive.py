"""`liput archive`: what has been recorded, and whether it still is what it was."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
import msgspec

from agent.archives import archives_of
from agent.serving import forget
from config.errors import ArchiveError
from config.quantities import brief_size
from devices.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.fixity import Progress
from recorder.archive.model import AudioTrack, Package, PackageState, Problem, Recording, VideoTrack
from recorder.archive.names import one_line, session_of
from recorder.recovery.find import find
from recorder.recovery.recover import OnProgress, Recovery, State

PROBLEMS_FOUND = 1
"""Exit status of `verify` when a package is not whole."""

archive_option = click.option(
    "--archive",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The archive; else that of the settings.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


class Verdict(msgspec.Struct, frozen=True):
    """What `verify` found out about one package."""

    id: str
    ok: bool
    problems: list[Problem]
    decoded: bool


@click.group(name="archive")
def archive_command() -> None:
    """List, show and verify what has been recorded."""


@archive_command.command("list")
@archive_option
@json_option
@click.pass_context
def list_packages(ctx: click.Context, folder: Path | None, *, as_json: bool) -> None:
    """List the recordings, the oldest first; those that were never sealed too."""
    archive = _archive(ctx, folder)
    packages = archive.list()
    if as_json:
        _print_json([msgspec.structs.replace(package, recording=msgspec.UNSET) for package in packages])
    elif not packages:
        click.echo(f"The archive {archive.root} is empty.", err=True)
    elif sys.stdout.isatty():
        _print_table(packages)
    else:
        for package in packages:
            click.echo("  ".join(_columns(package)))


@archive_command.command()
@click.argument("package_id", metavar="ID")
@archive_option
@json_option
@click.pass_context
def show(ctx: click.Context, package_id: str, folder: Path | None, *, as_json: bool) -> None:
    """Show one recording. ID is its name, its UUID, its path, or the beginning of one."""
    package = _archive(ctx, folder).find(package_id)
    if as_json:
        _print_json(package)
        return
    for label, value in _description(package):
        if value:
            click.echo(f"{label:<14}{one_line(value)}")


@archive_command.command()
@click.argument("package_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every package of the archive.")
@click.option("--decode", is_flag=True, help="Also decode every frame of every file of media.")
@archive_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context, package_id: str | None, folder: Path | None, *, every: bool, decode: bool, as_json: bool
) -> None:
    """Hash every file of a package and compare with its manifests; exit status 1 when something is wrong."""
    if every == (package_id is not None):
        raise click.UsageError("Name one package, or say --all.", ctx)
    archive = _archive(ctx, folder)
    if package_id is not None:
        packages = [archive.find(package_id)]
    else:
        packages = [package for package in archive.list() if package.state is not PackageState.UNFINISHED]
    verdicts = []
    for package in packages:
        with _progress_bar(package.id, shown=not as_json) as progress:
            problems = list(archive.verify(package, decode=decode, progress=progress))
        verdicts.append(Verdict(package.id, not problems, problems, decode))
        if not as_json:
            _print_verdict(verdicts[-1], package)
    if as_json:
        _print_json(verdicts if every else verdicts[0])
    elif not verdicts:
        click.echo(f"The archive {archive.root} holds no package.", err=True)
    ctx.exit(0 if all(verdict.ok for verdict in verdicts) else PROBLEMS_FOUND)


@archive_command.command()
@click.argument("package_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every unfinished recording of the archive.")
@archive_option
@click.pass_context
def seal(ctx: click.Context, package_id: str | None, folder: Path | None, *, every: bool) -> None:
    """Make packages of recordings that a kill or a power cut left unfinished; `liput recover` does the same for all.

    The recording plays up to about a second before the end came; its package says what is missing.
    """
    if every == (package_id is not None):
        raise click.UsageError("Name one recording, or say --all.", ctx)
    archives = archives_of(ctx, folder)
    sessions = find(archives)
    if package_id is not None:
        package = archives[0].find(package_id)
        if package.state is not PackageState.UNFINISHED:
            raise ArchiveError(f"{package.id} is sealed already")
        sessions = [session for session in sessions if session.name == session_of(package.id)]
    for session in sessions:
        with _progress_bar(session.name, shown=True) as progress:
            recovery = Recovery(archives, clock=SystemClock(), progress=_for_one(progress))
            outcome = recovery.recover(session)
        if outcome.state in {State.SEALED, State.DISCARDED}:
            forget(session.name)
        if outcome.package is not None:
            click.echo(outcome.package)
        elif outcome.state is State.DISCARDED:
            click.echo(f"{outcome.id}: {outcome.message}", err=True)
        else:
            raise ArchiveError(outcome.message, hint=outcome.hint)
    if not sessions:
        click.echo(f"Nothing in {archives[0].root} is unfinished.", err=True)


def _for_one(progress: Progress | None) -> OnProgress | None:
    return None if progress is None else lambda _name, done, total: progress(done, total)


def _archive(ctx: click.Context, folder: Path | None) -> Archive:
    """Return the archive of the settings, or the one named, which must be there."""
    return archives_of(ctx, folder)[0]


def _print_json(value: object) -> None:
    click.echo(msgspec.json.encode(value))


def _length(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _columns(package: Package) -> tuple[str, str, str, str, str]:
    """Return id, length, size, state and title of a package, as people read them."""
    length, size = _length(package.duration_s), brief_size(package.bytes)
    return package.id, f"{length:>8}", f"{size:>9}", f"{package.state:<10}", one_line(package.title)


def _print_table(packages: Sequence[Package]) -> None:
    """Print what fits a terminal; of the id the 8 digits that are enough to name the package."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("started", "id", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("length", "size"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("title", overflow="fold")
    for package in packages:
        _, length, size, state, title = (column.strip() for column in _columns(package))
        cells = (f"{package.started_at:%Y-%m-%d %H:%M}", package.uuid[:8] or package.id, state, length, size, title)
        style = "" if package.state is PackageState.SEALED else "yellow"
        table.add_row(*(Text(cell, style) for cell in cells))
    Console().print(table)


def _description(package: Package) -> Iterator[tuple[str, str]]:
    yield "Title", package.title
    yield "Id", package.id
    yield "UUID", package.uuid
    yield "State", package.state
    yield "Started", package.started_at.isoformat(" ", "seconds")
    yield "Length", _length(package.duration_s)
    yield "Size", brief_size(package.bytes)
    if package.recording:
        yield from _recorded(package.recording)
    yield "Folder", package.path


def _recorded(recording: Recording) -> Iterator[tuple[str, str]]:
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


def _track(track: VideoTrack | AudioTrack) -> str:
    if isinstance(track, VideoTrack):
        return f"{track.codec} {track.width}x{track.height} at {track.rate}, {track.frames} frames"
    return f"{track.codec} {track.sample_rate} Hz {track.layout}"


def _print_verdict(verdict: Verdict, package: Package) -> None:
    checked = "hashed and decoded" if verdict.decoded else "hashed"
    if verdict.ok:
        click.echo(f"{verdict.id}: whole ({brief_size(package.bytes)} {checked})")
        return
    click.echo(f"{verdict.id}: {len(verdict.problems)} problem{'s' * (len(verdict.problems) != 1)}")
    for problem in verdict.problems:
        click.echo(f"  {one_line(problem.file)} {one_line(problem.problem)}")


@contextmanager
def _progress_bar(label: str, *, shown: bool) -> Iterator[Progress | None]:
    """Give a progress callback that draws on standard error while the body runs; None where nobody would see it."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        update: Callable[..., None] = bar.update
        yield lambda done, total: update(task, completed=done, total=total)
