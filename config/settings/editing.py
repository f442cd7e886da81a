"""Edits settings and keys in their files: both change or neither, and the result is always valid."""

import contextlib
import os
import re
import stat
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from config.errors import SecretError, SettingsError, UsageError
from config.files import sync_path, write_file
from config.settings.schema import Settings, read_settings
from config.settings.secrets import key_problem, keys_path, read_key, read_private_file

type EditedValue = str | bool | Mapping[str, str] | None
"""A mapping is written in one line, {name = "..."}; None removes what is there, and tables that are empty then."""
type SettingChanges = Mapping[tuple[str, ...], EditedValue]
"""New values by their key path, from the top of the file inwards."""


def edit_toml(file: Path, text: str, changes: SettingChanges) -> str:
    """Return `text`, the TOML of `file`, with `changes`; the rest stays unchanged. Raises SettingsError."""
    import tomlkit  # loads in 0.1 s, and only an edit needs it
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
    except (TOMLKitError, AttributeError, LookupError, TypeError, ValueError):
        is_right = False
    if not is_right:
        raise SettingsError(f"{file} has TOML that Liput cannot edit", hint=f"edit {file}")
    return after


def _remove(table: Any, path: tuple[str, ...]) -> None:
    name, *inner = path
    if inner:
        _remove(table[name], tuple(inner))
    if not inner or not table[name]:
        del table[name]


def _put(table: dict[str, Any], path: tuple[str, ...], value: EditedValue) -> None:
    if value is None:
        _remove(table, path)
        return
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = dict(value) if isinstance(value, Mapping) else value


def _write(document: Any, path: tuple[str, ...], value: EditedValue) -> None:
    if value is None:
        _erase(document, path)
        return
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


def _erase(table: Any, path: tuple[str, ...]) -> list[Any]:
    """Remove an item, and tables that are empty then. Comments behind it stay: they belong to the next table."""
    name, *inner = path
    following = _erase(table[name], tuple(inner)) if inner else _comments_of_the_next(table[name])
    if inner and table[name]:
        return []
    body = table.body if hasattr(table, "body") else table.value.body
    place = next(number for number, (key, _) in enumerate(body) if key is not None and key.key == name)
    del table[name]
    body[place:place] = following
    return [] if table else following


def _comments_of_the_next(table: Any) -> list[Any]:
    """Remove and return the comments at the end of a table: they belong to the next table."""
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


_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_FIRST = "# Liput's settings. `liput config default` prints all that can be set here, with what it means.\n"
_FIRST_KEYS = "# Stream keys, by the names of their destinations. For the eyes of their owner alone: chmod 600.\n"
_ALONE = threading.Lock()


def write_problem(file: Path) -> str:
    """Return why this user cannot write `file`, "" where it is possible."""
    file = Path(os.path.realpath(file))
    try:
        if file.exists():
            if os.geteuid() not in (0, file.stat().st_uid):
                return f"{file} belongs to another user"
            if not os.access(file, os.W_OK, effective_ids=True):
                return f"{file} cannot be written"
        folder = next(above for above in file.parents if above.is_dir())
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{file} cannot be written: {error.strerror}"


def change_settings(file: Path, changes: SettingChanges, key: tuple[str, EditedValue] | None = None) -> Settings:
    """Write `changes` into the settings file, and return the new settings; missing files are created.

    `key` is the name of a destination and its key, for the file of keys; None removes one that is there. Raises
    UsageError for an invalid value, and SecretError for an invalid key, without repeating it. Raises SettingsError for
    a file that is invalid already, or cannot be edited or written.
    """
    with _ALONE:
        before = _text(file)
        bare = (before or _FIRST).removeprefix(_BOM)
        read_settings(bare, file)
        after = edit_toml(file, bare, changes)
        try:
            settings = read_settings(after, file)
        except SettingsError as error:
            # The value was not written, so its line number would mislead.
            said = [line.partition(": ")[2] or line for line in error.message.splitlines()]
            raise UsageError("; ".join(said), hint="nothing was changed") from None
        wanted = [] if key is None else [_change_of_key(settings, *key)]  # first: alone it does no harm
        if changes:
            mark = _BOM if (before or "").startswith(_BOM) else ""
            wanted.append(_Change(file, before, mark + after, 0o644))
        _replace(*wanted)
        return settings


def _change_of_key(settings: Settings, name: str, value: EditedValue) -> "_Change":
    file = keys_path(settings)
    if file is None:
        raise SecretError("there is no settings file, so keys have no place")
    if value is not None and (problem := key_problem(settings.destinations[name], read_key(name, value, file))):
        raise SecretError(f'{problem} for the destination "{name}"')
    with contextlib.suppress(FileNotFoundError):
        read_private_file(file)  # checks owner and mode
    before = _text(file)
    text = before or _FIRST_KEYS
    path = ("keys", name) if _stands_in_keys(text, name) else (name,)
    return _Change(file, before, edit_toml(file, text, {path: value}), 0o600)


def _stands_in_keys(text: str, name: str) -> bool:
    try:
        table = tomllib.loads(text).get("keys")
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(table, dict) and name in table


def _text(file: Path) -> str | None:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text", hint="save it again as UTF-8") from None
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from None


class _Change(NamedTuple):
    """The old text of a file (None: no file) and the new one; `mode` is that of a new file."""

    file: Path
    before: str | None
    after: str
    mode: int


def _replace(*changes: _Change) -> None:
    """Replace all files in order, or none; modes and owners stay. Raises SettingsError."""
    changes = tuple(change._replace(file=Path(os.path.realpath(change.file))) for change in changes)
    for change in changes:  # the target of a link is replaced
        if why := write_problem(change.file):
            raise SettingsError(why, hint="ask IT to edit it, or to give this user the right")
    with contextlib.ExitStack() as aside, contextlib.ExitStack() as undoing:
        new = [aside.enter_context(_written(one.file, "new", one.after, one.mode)) for one in changes]
        old = [aside.enter_context(_written(one.file, "old", one.before, one.mode)) for one in changes[:-1]]
        for change in changes:
            if _text(change.file) != change.before:
                raise SettingsError(f"{change.file} was changed meanwhile", hint="look again, and save once more")
        for number, change in enumerate(changes):
            with _told(change.file):
                new[number].replace(change.file)
                if number < len(old):
                    undoing.callback(_put_back, change, old[number])
                sync_path(change.file.parent)
        undoing.pop_all()


@contextlib.contextmanager
def _written(file: Path, word: str, text: str | None, mode: int) -> Iterator[Path]:
    """Yield a temporary file beside `file` with `text`, empty for None; it is removed afterwards."""
    aside = file.with_name(f".{file.name}.{word}")
    try:
        with _told(file):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(aside, (text or "").encode(), lambda descriptor: _be_like(descriptor, file, mode), durable=True)
        yield aside
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def _put_back(change: _Change, old: Path) -> None:
    with contextlib.suppress(OSError):
        if change.before is None:
            change.file.unlink()
        else:
            old.replace(change.file)


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from None


def _be_like(descriptor: int, file: Path, mode: int) -> None:
    try:
        status = file.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, mode)
        return
    with contextlib.suppress(OSError):  # a group that is not ours
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
