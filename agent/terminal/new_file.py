"""A file that a command makes for somebody: whole or not at all, readable by this account alone."""

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
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


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for something to be computed."""
_MARK = "\ufeff"  # without it, Excel takes UTF-8 for something else


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return a CSV file in UTF-8. A text that could be a formula has an apostrophe before it: people name devices."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows(map(_harmless, row) for row in rows)
    return f"{_MARK}{text.getvalue()}".encode(errors="replace")


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
