"""Tables for spreadsheets: CSV that none takes for formulas, or for another encoding."""

import csv
import io
from collections.abc import Iterable, Sequence

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
