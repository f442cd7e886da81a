"""Files that commands make for people: written whole or not at all, mode 0600; CSV for spreadsheets."""

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from config.errors import ArchiveError, UsageError
from recorder.disk.durable import PRIVATE_MODE, publishing


@contextlib.contextmanager
def new_file(file: Path, *, replace: bool, example: str) -> Iterator[IO[bytes]]:
    """Yield a file that appears at `file` once the body succeeds. Raises UsageError, and StorageError for the disk."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder", hint=f"name a file in it: {file / example}")
    if file.exists() and not file.is_file():  # --force would replace /dev/null with a file
        raise UsageError(f"{file} is no file", hint="choose another name")
    try:
        with publishing(file, 0, mode=PRIVATE_MODE, replace=replace) as part, part.open("r+b") as raw:
            yield raw
    except ArchiveError:
        if replace or not file.exists():
            raise
        raise UsageError(f"{file} is there already", hint="choose another name, or say --force to replace it") from None


_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a text with this beginning for a formula
_MARK = "\ufeff"  # Excel needs it to read UTF-8


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return a CSV file in UTF-8; a text that looks like a formula gets an apostrophe, since people name devices."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows(
        [f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value for value in row]
        for row in rows
    )
    return f"{_MARK}{text.getvalue()}".encode(errors="replace")
