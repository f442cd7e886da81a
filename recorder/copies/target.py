"""What every place for copies can do, and what is asked while bytes move: how far, how fast, whether to go on.

Paths at a target are relative to it, with `/`; a package is at the same one as in the archive, `YYYY/MM/NAME`.
"""

import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from devices.host.clock import NANOSECONDS, Clock, SystemClock
from recorder.archive.fixity import Tally
from recorder.copies.reasons import CopyReason, copy_error

BLOCK_BYTES = 1 << 20
"""Read, sent and hashed at a time."""

LOOK_S = 1.0
"""How often it is asked whether to go on."""

LONGEST_NAME = 249
"""Bytes of a name that leave room for a dot before it and `.part` after it."""

STAGING = ".incoming"
"""Where a place that can rename has what is not whole yet, as the archive has."""


class Flow:
    """Told of every block that moves, by whoever moves it; waits where that is too fast, raises where it has to end.

    `rate` is in bits a second, None for as fast as it goes. `go_on` is asked once a second; it raises CopyError to end.
    """

    def __init__(
        self,
        tally: Tally | None = None,
        rate: int | None = None,
        go_on: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.tally = tally
        self._rate = rate
        self._go_on = go_on
        self._clock = clock or SystemClock()
        self._began_ns = self._looked_ns = self._clock.now_ns()
        self._bits = 0

    def sent(self, count: int) -> None:
        """Say that `count` bytes were sent."""
        self.read(count)
        if self._rate is not None:
            self._bits += 8 * count
            ahead_s = self._bits / self._rate - (self._clock.now_ns() - self._began_ns) / NANOSECONDS
            if ahead_s > 0:
                self._clock.wait(threading.Event(), min(ahead_s, LOOK_S * 60))

    def read(self, count: int) -> None:
        """Say that `count` bytes were read; the other direction has no limit."""
        if self.tally is not None:
            self.tally.add(count)
        now_ns = self._clock.now_ns()
        if now_ns - self._looked_ns >= LOOK_S * NANOSECONDS:
            self._looked_ns = now_ns
            self._go_on()


def part_name(name: str) -> str:
    """Return what a file called `name` is called while it is sent; file systems take 255 bytes."""
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.part"


def staged(place: str, uuid: str) -> str:
    """Return the name, in STAGING, of a folder that a package is sent to before it is renamed to `place`.

    Others may write to STAGING: nobody can guess the name.
    """
    return f".{place.rpartition('/')[2]}.{uuid}.{secrets.token_hex(8)}.copy"


def is_staged(name: str, place: str, uuid: str) -> bool:
    """Return whether an attempt to send that package may have been given this name."""
    return name.startswith(f".{place.rpartition('/')[2]}.{uuid}.") and name.endswith(".copy")


def size_of(source: Path) -> int:
    """Return the bytes of a file of this PC; raises CopyError where it cannot be had."""
    with _had(source):
        return source.stat().st_size


def mode_of(source: Path) -> int:
    """Return who may do what with a file of this PC: who may not read a letter here may not read it there."""
    with _had(source):
        return stat.S_IMODE(source.stat().st_mode)


def blocks_of(source: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield a file of this PC, block by block; raises CopyError where this PC's disk does not give it."""
    with _had(source), source.open("rb", buffering=0) as content:
        content.seek(offset)
        while block := content.read(BLOCK_BYTES):
            yield block


@contextmanager
def _had(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise copy_error(CopyReason.DAMAGED_HERE, source.name, error.strerror or "") from None


class Target(Protocol):
    """A place for copies. Every method raises CopyError with the reason, within a bounded time."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...

    @property
    def disk(self) -> int | None:
        """The number of the disk of this PC that it is on, None where it is on another computer's."""
        ...

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in `path`, "" for the target's own; none where it does not exist."""
        ...

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        """Return what is below `path` as `fixity.walk` does: files with their bytes, and what is no file or folder."""
        ...

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:
        """Yield the content of a file of `bytes_` bytes, as the place has it now; NOT_THERE where there is none."""
        ...

    def write(self, path: str, source: Path, flow: Flow, *, from_start: bool = False) -> int:
        """Put a file there, whole or not at all, in the place of one that may be there; goes on where it was stopped.

        With `from_start` nothing that an earlier attempt left is used. Returns how many bytes of that were.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove one file that is there."""
        ...

    def begin(self, place: str, uuid: str) -> str:
        """Return the folder to write a new package into, ours alone; raises CopyError where `place` is another's."""
        ...

    def finish(self, folder: str, place: str) -> None:
        """Bring what is complete in `folder` onto the disk there, and give it its place, if it has not got it.

        Raises CopyError with NAME_TAKEN where that is taken.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...
