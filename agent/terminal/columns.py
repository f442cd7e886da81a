"""Prints lists in columns that fit the terminal; rich's tables are too slow for thousands of rows."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.terminal.terminal import printable

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, the least width (None: never narrower), and whether the column may be left out."""

    heading: str
    least: int | None = None
    is_spare: bool = False


def fit_columns(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the heading and the rows, fitted to the terminal; in full width without one."""
    shown = list(range(len(columns)))
    lines = [[column.heading for column in columns], *rows]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        _narrow(widths, shown, columns, room)
        while _total(widths, shown) > room and any(columns[index].is_spare for index in shown):
            shown.remove(next(index for index in reversed(shown) if columns[index].is_spare))
    for cells in lines:
        yield printable(GAP.join(_cell(cells[index], widths[index]) for index in shown).rstrip())


def _narrow(widths: list[int], shown: Sequence[int], columns: Sequence[Column], room: int) -> None:
    while _total(widths, shown) > room:
        wide = [index for index in shown if widths[index] > (columns[index].least or widths[index])]
        if not wide:
            return
        widths[max(wide, key=widths.__getitem__)] -= 1


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[index] for index in shown) + len(GAP) * (len(shown) - 1)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cell(text: str, width: int) -> str:
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    from rich.cells import set_cell_size

    return set_cell_size(text, width) if _width(text) <= width else f"{set_cell_size(text, width - 1)}…"
