"""Changing a few values of a TOML text, and leaving everything else of it as it is: comments, order, spelling.

No more is written than is asked for, and what came of it is read again: it holds what the text held before and what
was to be changed, or there is nothing of it.
"""

import copy
import tomllib
from collections.abc import Mapping
from typing import Any

from config.lines import Places, key_places

type Value = str | bool | Mapping[str, str]
"""A mapping is written in one line, { name = "..." }."""
type Changes = Mapping[tuple[str, ...], Value]
"""Values by their keys, from the top of the file inwards; the keys are of letters, digits, - and _."""


class CannotEdit(Exception):
    """The text is written in a way that a value cannot be put into from here."""


def edited(text: str, changes: Changes) -> str:
    """Return `text`, which is TOML, with `changes`. Raises CannotEdit."""
    try:
        wanted: dict[str, Any] = copy.deepcopy(tomllib.loads(text))
        for path, value in changes.items():
            _put(wanted, path, value)
            text = _changed(text, path, value)
        is_right = tomllib.loads(text) == wanted
    except (tomllib.TOMLDecodeError, TypeError):
        is_right = False
    if not is_right:
        raise CannotEdit
    return text


def _put(table: dict[str, Any], path: tuple[str, ...], value: Value) -> None:
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = dict(value) if isinstance(value, Mapping) else value


def _changed(text: str, path: tuple[str, ...], value: Value) -> str:
    places = key_places(text)
    if path in places.values:
        start, end = places.values[path]
        return f"{text[:start]}{_written(value)}{text[end:]}"
    line, table = f"{path[-1]} = {_written(value)}", path[:-1]
    if not table:
        return _with_line(text, _end_of_top(text, places), line)
    if table in places.headers:
        return _with_line(text, _next_line(text, places.headers[table]), line)
    blank = _newline(text) if text.strip() else ""
    return _with_line(text, len(text), f"{blank}[{'.'.join(table)}]{_newline(text)}{line}")


def _end_of_top(text: str, places: Places) -> int:
    """Return where a line at the top level has its place: after the last of these; without one before all tables."""
    first_table = min(places.headers.values(), default=len(text))
    of_top = [end for _, end in places.values.values() if end <= first_table]
    if of_top:
        return _next_line(text, max(of_top))
    return 0 if places.headers else len(text)


def _next_line(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _with_line(text: str, position: int, line: str) -> str:
    before, newline = text[:position], _newline(text)
    if before and not before.endswith("\n"):
        before += newline
    return f"{before}{line}{newline}{text[position:]}"


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _written(value: Value) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(map(_letter, value)) + '"'
    return "{ " + ", ".join(f"{name} = {_written(text)}" for name, text in value.items()) + " }"


def _letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x20 or ord(letter) == 0x7F else letter
