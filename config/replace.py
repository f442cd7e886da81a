"""Replacing a file at one stroke: whoever reads it finds what it held before, or all that it holds now."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

PRIVATE = 0o600

type Prepare = Callable[[int], None]
"""Called with the descriptor of a file that is still empty and private, to give it its owner and mode."""


def of_mode(mode: int) -> Prepare:
    """Return what gives a file `mode`, whatever the umask."""
    return lambda descriptor: os.fchmod(descriptor, mode)


_PRIVATELY = of_mode(PRIVATE)


def replace_file(path: Path, content: bytes, prepare: Prepare = _PRIVATELY, *, durable: bool) -> None:
    """Put a file that holds `content` in the place of `path`; raises OSError, and then `path` is what it was.

    It is written as `.NAME.new` beside it, so two must not do this to one `path` at the same time. With `durable` a
    power cut leaves the one or the other too, and what was written is on the disk when this returns; without, only a
    kill does.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        write_file(aside, content, prepare, durable=durable)
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def write_file(path: Path, content: bytes, prepare: Prepare = _PRIVATELY, *, durable: bool) -> None:
    """Write a file, or write it anew; nobody else can read it before `prepare` says so. Raises OSError.

    With `durable` its content is on the disk when this returns, its entry in the folder is not yet.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, PRIVATE)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - its mode is right from the first moment
        prepare(descriptor)
        file.write(content)
        file.flush()
        if durable:
            os.fsync(descriptor)


def sync(path: Path) -> None:
    """Bring the content of a file, or the entries of a folder, onto the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
