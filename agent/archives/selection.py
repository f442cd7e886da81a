"""The archives of a command, by option or settings, and these options."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from agent.terminal.moments import moment_callback, until_callback
from config.errors import PackageNotFound, StorageError
from config.settings.schema import load_settings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive, session_archives
from recorder.package.metadata import Package

archive_option = click.option(
    "--archive",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Only this archive.  [default: all in the settings]",
)
from_option = click.option(
    "--from", "since", callback=moment_callback, metavar="WHEN", help='The start: "2026-11-20", "30d" ago, "yesterday".'
)
to_option = click.option(
    "--to", "until", callback=until_callback, metavar="WHEN", help="The end; a day includes its evening."
)
room_option = click.option("--room", default="", metavar="NAME", help="Only rooms with this text in their name.")


def archives_of(folder: Path | None, config_file: Path | None = None) -> list[Archive]:
    """Return the archive at `folder`, or the archives of the settings. Raises StorageError."""
    clock = SystemClock()
    if folder is not None:
        if not folder.is_dir():
            raise StorageError(
                f"There is no archive {folder}", hint="`liput record --archive` makes one.", why="unwritable"
            )
        return [Archive(folder, clock)]
    return session_archives(load_settings(config_file), clock)


def find_package(archives: Sequence[Archive], key: str) -> tuple[Archive, Package]:
    """Return the package of `key` and its archive; whole names win. Raises PackageNotFound."""
    near: tuple[Archive, Package] | None = None
    error: PackageNotFound | None = None
    for archive in archives:
        try:
            package = archive.find(key)
        except PackageNotFound as found:
            error = error or found
            continue
        if key.lower() in {package.id, package.uuid}:
            return archive, package
        near = near or (archive, package)
    if near is None:
        raise error or PackageNotFound(f"There is no archive to look for {key!r} in")
    return near


def search_archives(
    archives: Sequence[Archive], words: Sequence[str], *, since: datetime | None, until: datetime | None, room: str,
    most: int,
) -> list[Package]:  # fmt: skip
    """Return at most `most` packages, best first in each archive; without words newest first."""
    from recorder.archive.index import ArchiveIndex, search_archive

    found: list[Package] = []
    for archive in archives:
        with ArchiveIndex(archive.root) as index:
            found += search_archive(index, words, since=since, until=until, room=room, most=most)
    if not any(word.strip() for word in words):
        found.sort(key=lambda one: one.started_at, reverse=True)
    return found[:most]
