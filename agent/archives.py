"""Which archives a command looks at: the one named, or all that the settings name."""

from collections.abc import Sequence
from pathlib import Path

import click

from config.errors import PackageNotFound, StorageUnwritable
from config.settings import load_settings
from devices.clock import SystemClock
from recorder.archive.archive import Archive, session_archives
from recorder.archive.model import Package


def archives_of(ctx: click.Context, folder: Path | None, config_file: Path | None = None) -> list[Archive]:
    """Return the archive at `folder`, which must be there, or that of the settings and those it goes on with."""
    clock = SystemClock()
    if folder is not None:
        if not folder.is_dir():
            raise StorageUnwritable(f"There is no archive {folder}", hint="`liput record --archive` makes one.")
        return [Archive(folder, clock)]
    return session_archives(load_settings(config_file or ctx.find_object(Path)), clock)


def find_in(archives: Sequence[Archive], key: str) -> tuple[Archive, Package]:
    """Return the package that `key` means, and the archive that has it: the first, or one that sessions went on in.

    Raises PackageNotFound.
    """
    error: PackageNotFound | None = None
    for archive in archives:
        try:
            return archive, archive.find(key)
        except PackageNotFound as found:
            error = error or found
    raise error or PackageNotFound(f"There is no archive to look for {key!r} in")
