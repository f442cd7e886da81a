"""Hashing: SHA-256 of every file, with the progress of it; and which files a folder holds, links not followed."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from config.files import open_regular

CHUNK_BYTES = 1 << 20
"""Read at a time: hashlib lets go of the GIL for the whole of it, and 1 MiB stays in the processor's cache."""

type Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, from the thread that hashes, about once a chunk."""


class Tally:
    """The bytes hashed so far of a known total, told to a `Progress` if there is one."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0

    def expect(self, count: int) -> None:
        """Let the total be `count` bytes more: it has turned out that they have to be read, too."""
        self._total += count

    def add(self, count: int) -> None:
        """Count `count` more bytes."""
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

    def last(self, done: int, total: int) -> None:
        """Say how far the last part of the work is, which takes all that is left; a Progress."""
        if self._progress is not None:
            self._progress(self._done + (self._total - self._done) * done // max(1, total), self._total)


def sha256(path: Path, tally: Tally, *, uncached: bool = False) -> str:
    """Return the hex SHA-256 of a regular file's content; raises OSError, also when `path` is a link.

    With `uncached` it is read from the disk, and stays in the system's memory no longer than it takes: what others
    have there is not pushed out.
    """
    return digests(path, ("sha256",), tally, uncached=uncached)["sha256"]


def digests(path: Path, algorithms: Iterable[str], tally: Tally, *, uncached: bool = False) -> dict[str, str]:
    """Return the hex digests of a regular file's content by the names that hashlib has for them; see `sha256`."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with io.FileIO(open_regular(path)) as file:
        done = 0
        if uncached:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while count := file.readinto(buffer):
            for each in hashes.values():
                each.update(buffer[:count])
            tally.add(count)
            if uncached:
                os.posix_fadvise(file.fileno(), done, count, os.POSIX_FADV_DONTNEED)
            done += count
    return {name: each.hexdigest() for name, each in hashes.items()}


def hash_files(folder: Path, paths: Iterable[str], progress: Progress | None = None) -> dict[str, str]:
    """Return the hex SHA-256 of each of `paths` below `folder`; raises OSError."""
    wanted = list(paths)
    tally = Tally(sum((folder / path).lstat().st_size for path in wanted), progress)
    return {path: sha256(folder / path, tally) for path in wanted}


def walk(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Return what is below `folder`: size in bytes of each regular file, and everything that is no file or folder.

    Paths are relative, with `/`. Links are never followed, whatever they point to; they are among the others.
    Raises OSError on a folder that cannot be read.
    """
    files: dict[str, int] = {}
    others: list[str] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                elif entry.is_file(follow_symlinks=False):
                    files[path] = entry.stat(follow_symlinks=False).st_size
                else:
                    others.append(path)
    return dict(sorted(files.items())), sorted(others)


def folders(folder: Path) -> list[Path]:
    """Return `folder` and every folder below it, the deepest first; links are not followed."""
    return [Path(base) for base, _, _ in os.walk(folder, topdown=False)]
