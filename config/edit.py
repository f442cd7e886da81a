"""Changing a few values of a TOML text, and leaving everything else of it as it is: comments, order, spelling.

The result is read again: it holds the values of the text and the changes, or there is no result.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

type Value = str | bool | Mapping[str, str]
"""A mapping is written in one line, {name = "..."}."""
type Changes = Mapping[tuple[str, ...], Value]
"""Values by their keys, from the top of the file inwards."""


class CannotEdit(Exception):
    """The text is written in a way that a value cannot be put into from here."""


def edited(text: str, changes: Changes) -> str:
    """Return `text`, which is TOML, with `changes`. Raises CannotEdit."""
    import tomlkit  # takes a tenth of a second to load, and only an edit needs it
    from tomlkit.exceptions import TOMLKitError

    try:
        wanted: dict[str, Any] = tomllib.loads(text)
        document = tomlkit.parse(text)
        for path, value in changes.items():
            _put(wanted, path, value)
            _write(document, path, value)
        after = document.as_string()
        if "\r\n" in text:
            after = re.sub(r"\r?\n", "\r\n", after)
        is_right = tomllib.loads(after) == wanted
    except (TOMLKitError, AttributeError, TypeError, ValueError):
        is_right = False
    if not is_right:
        raise CannotEdit
    return after


def _put(table: dict[str, Any], path: tuple[str, ...], value: Value) -> None:
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = dict(value) if isinstance(value, Mapping) else value


def _write(document: Any, path: tuple[str, ...], value: Value) -> None:
    import tomlkit

    item: Any = value
    if isinstance(value, Mapping):
        item = tomlkit.inline_table()
        item.update(value)
    table, names = document, list(path)
    while names[1:] and names[0] in table:
        table = table[names.pop(0)]
    for name in reversed(names[1:]):
        inner = tomlkit.table()
        inner[name] = item
        item = inner
    if names[0] in table:
        table[names[0]] = item
        return
    following = _comments_of_the_next(table)
    table[names[0]] = item
    _end(table).extend(following)


def _comments_of_the_next(table: Any) -> list[Any]:
    """Take the comments from the end of a table that a new key or table would come after: they belong to the next."""
    body = _end(table)
    start = len(body)
    while start and body[start - 1][0] is None:
        start -= 1
    following = body[start:]
    del body[start:]
    return following


def _end(table: Any) -> list[Any]:
    """Return the items of the last table in a table; of a whole document none, since nothing follows."""
    from tomlkit.items import Table

    if not isinstance(table, Table):
        return []
    body: list[Any] = table.value.body
    return _end(body[-1][1]) if body and isinstance(body[-1][1], Table) else body
