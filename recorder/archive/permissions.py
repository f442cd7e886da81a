"""Finds recordings that every user of the PC can read, and closes them: older files and copies may be open."""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from config.files import is_folder, open_regular
from recorder.archive.archive import INCOMING

_OURS = re.compile(r"\d{4}|\.damaged|" + re.escape(INCOMING))
"""The top folders with recordings; other folders belong to people."""
_OTHERS = stat.S_IRWXO
_ENTER = stat.S_IXOTH


def recording_folders(root: Path) -> list[Path]:
    """Return the top folders with recordings. Raises OSError."""
    return [path for path in sorted(root.iterdir()) if _OURS.fullmatch(path.name) and is_folder(path)]


def is_world_readable(root: Path) -> bool:
    """Return whether every user of this PC can reach recordings at `root`. Raises OSError."""
    real = root.resolve()
    if not real.is_dir() or not all(folder.stat().st_mode & _ENTER for folder in (real, *real.parents)):
        return False
    return any(folder.lstat().st_mode & _OTHERS for folder in recording_folders(real))


def close_to_others(folders: Iterable[Path], group: int | None) -> Iterator[tuple[Path, OSError | None]]:
    """Remove the rights of other users from `folders` and all in them; follows no link.

    Members of `group` keep reading that group's files. Yields each open path, with the error if it stays open.
    """
    for folder in folders:
        for path in _all(folder):
            try:
                if _close(path, group):
                    yield path, None
            except OSError as error:
                yield path, error


def _all(folder: Path) -> Iterator[Path]:
    """Yield a folder and its content from the top: closing a folder protects its content at once."""
    yield folder
    for base, folders, files in os.walk(folder):
        yield from (Path(base, name) for name in (*folders, *files))


def _close(path: Path, group: int | None) -> bool:
    found = path.lstat()
    if not found.st_mode & _OTHERS or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return False
    is_file = stat.S_ISREG(found.st_mode)
    folder = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = open_regular(path) if is_file else os.open(path, folder)
    try:
        found = os.fstat(descriptor)
        keeps = 0o750 if found.st_gid == group else 0o700
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & keeps)
        if os.fstat(descriptor).st_mode & _OTHERS:  # exFAT keeps no modes and refuses none
            raise OSError(errno.EOPNOTSUPP, "its disk stores no permissions; mount it with umask=077", str(path))
    finally:
        os.close(descriptor)
    return True
