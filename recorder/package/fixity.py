"""SHA-256 of files with progress, and walks through folders that follow no link."""

import hashlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from config.files import open_regular
from devices.host.clock import NANOSECONDS, Clock, SystemClock

CHUNK_BYTES = 1 << 20  # one read: hashlib releases the GIL for it, and 1 MiB stays in the processor's cache
LOOK_S = 1.0  # the interval of `go_on`

type Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all by the hashing thread, about once a chunk."""


class ByteProgress:
    """Counts bytes done of a known total, and tells a `Progress`."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0

    def expect(self, count: int) -> None:
        """Add `count` bytes to the total."""
        self._total += count

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

    def last(self, done: int, total: int) -> None:
        """Report the last part of the work, which takes all bytes left. A `Progress`."""
        if self._progress is not None:
            self._progress(self._done + (self._total - self._done) * done // max(1, total), self._total)


class TransferThrottle:
    """Counts bytes, limits them to `rate` (bits a second), and calls `go_on` each second to end the work."""

    def __init__(
        self,
        tally: ByteProgress | None = None,
        rate: int | None = None,
        go_on: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.tally = tally or ByteProgress(0, None)
        self._rate = rate
        self._go_on = go_on
        self._clock = clock or SystemClock()
        self._began_ns = self._looked_ns = self._clock.now_ns()
        self._bits = 0

    def sent(self, count: int) -> None:
        """Count `count` sent bytes; blocks to keep the rate."""
        self.read(count)
        if self._rate is not None:
            self._bits += 8 * count
            ahead_s = self._bits / self._rate - (self._clock.now_ns() - self._began_ns) / NANOSECONDS
            if ahead_s > 0:
                self._clock.wait(threading.Event(), min(ahead_s, LOOK_S * 60))

    def read(self, count: int) -> None:
        """Count `count` read bytes, which have no limit."""
        self.tally.add(count)
        now_ns = self._clock.now_ns()
        if now_ns - self._looked_ns >= LOOK_S * NANOSECONDS:
            self._looked_ns = now_ns
            self._go_on()


def sha256(path: Path, tally: ByteProgress, *, uncached: bool = False) -> str:
    """Return the hex SHA-256 of a regular file; `uncached` leaves nothing in the page cache. Raises OSError."""
    return digests(path, ("sha256",), tally, uncached=uncached)["sha256"]


def digests(path: Path, algorithms: Iterable[str], tally: ByteProgress, *, uncached: bool = False) -> dict[str, str]:
    """Return hex digests of a regular file by hashlib's names; see `sha256`."""
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


def copy_hashed(source: IO[bytes], target: IO[bytes] | None, tally: ByteProgress, most: int = sys.maxsize) -> str:
    """Copy at most `most` bytes, since a growing source has no end; return their hex SHA-256."""
    digest = hashlib.sha256()
    while chunk := source.read(min(most, CHUNK_BYTES)):
        most -= len(chunk)
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
        tally.add(len(chunk))
    return digest.hexdigest()


def walk(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Return sizes of regular files below `folder` by path, and all other paths, such as links. Raises OSError."""
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


def folders_below(folder: Path) -> list[Path]:
    """Return `folder` and all folders below it, the deepest first; follows no link."""
    return [Path(base) for base, _, _ in os.walk(folder, topdown=False)]
