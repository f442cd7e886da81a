"""A file that a command makes for somebody: whole or not at all, readable by this account alone."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from config.errors import ArchiveError, UsageError
from recorder.disk.durable import PRIVATE, publishing


@contextlib.contextmanager
def new_file(file: Path, *, replace: bool, example: str) -> Iterator[IO[bytes]]:
    """Give a file that is at `file` once the body has ended well. Raises UsageError, and StorageError for the disk."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder", hint=f"name a file in it: {file / example}")
    if file.exists() and not file.is_file():  # what --force would put in place of /dev/null is a file
        raise UsageError(f"{file} is no file", hint="choose another name")
    try:
        with publishing(file, 0, mode=PRIVATE, replace=replace) as part, part.open("r+b") as raw:
            yield raw
    except ArchiveError:
        if replace or not file.exists():
            raise
        raise UsageError(f"{file} is there already", hint="choose another name, or say --force to replace it") from None
