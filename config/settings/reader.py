"""Parses a TOML file into a struct of settings; finds every problem of the file, with its line."""

import io
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import msgspec

from config.errors import SettingsError
from config.settings.quantities import NotAllowed
from config.settings.value_kinds import ValueKind, did_you_mean

type KeyPath = tuple[str, ...]  # keys from the top of the file inwards

_ADDRESSES = ("url", "webhook", "mail_server")
"""Their wrong values are not repeated in messages: they may hold a secret."""

TABLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # allowed names of tables such as [destinations.NAME]
_KEYS_OF_SECRETS = (
    "key", "keys", "stream_key", "streamkey", "stream-key", "secret", "password", "passphrase", "token", "stream_id",
    "streamid", "access_key", "secret_key", "mail_password", "webhook_header", "webhook_url",
)  # fmt: skip
_WHERE_KEYS_BELONG = (
    "a stream key does not belong in this file; write it into the file of keys (keys.toml beside this one, chmod 600)"
)
_TOML_PLACE = re.compile(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_SHOWN_CHARACTERS = 40


type SettingsTables = Mapping[str, type[msgspec.Struct]]


@cache
def tables_of(struct: type[msgspec.Struct]) -> tuple[SettingsTables, SettingsTables]:
    """Return the fields of `struct` that are tables, [FIELD], and those that are named tables, [FIELD.NAME]."""
    hints = get_type_hints(struct)
    named = {name: get_args(hint)[1] for name, hint in hints.items() if get_origin(hint) is Mapping}
    return _structs(hints), _structs(named)


def _structs(kinds: Mapping[str, Any]) -> SettingsTables:
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}


def kinds_of(struct: type[msgspec.Struct]) -> dict[str, ValueKind]:
    """Return the fields of `struct` that a file can set, each with its kind."""
    hints = get_type_hints(struct, include_extras=True)
    return {
        name: cast("ValueKind", hint.__metadata__[0]) for name, hint in hints.items() if hasattr(hint, "__metadata__")
    }


def read_toml[T: msgspec.Struct](
    text: str, file: Path, kind: type[T], choices: Sequence[tuple[str, str]] = ()
) -> tuple[T, Mapping[KeyPath, int]]:
    """Return `text`, the content of `file`, as a `kind`, and the line of each setting by its keys.

    The table and key of each of `choices` name one of the tables [KEYs.NAME]. Raises SettingsError with one line per
    problem.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_syntax_problem(error, text, file), hint=f"edit {file}") from None
    reader = _Reader(file, key_lines(text))
    found = reader.read(raw, kind, choices)
    if found is None:
        problems = [f"{file.name}, line {line}: {sentence}" for line, sentence in sorted(reader.problems)]
        raise SettingsError("\n".join(problems), hint=f"edit {file}")
    return found, reader.set


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, file: Path) -> str:
    found = _TOML_PLACE.fullmatch(str(error))
    sentence, line = (found[1], found[2]) if found else (str(error), None)
    return f"{file.name}, line {line or text.rstrip().count('\n') + 1}: not TOML: {sentence}"


class _Reader:
    """Reads the tables of one file; `problems` collects (line, sentence)."""

    def __init__(self, file: Path, lines: Mapping[KeyPath, int]) -> None:
        self._file = file
        self._lines = lines
        self.set: dict[KeyPath, int] = {}
        """The line of each setting by its keys."""
        self.problems: list[tuple[int, str]] = []

    def read[T: msgspec.Struct](
        self, raw: Mapping[str, object], kind: type[T], choices: Sequence[tuple[str, str]]
    ) -> T | None:
        """Return the whole file as a `kind`, or None when there are problems."""
        tables, named = tables_of(kind)
        fields = self._values((), raw, kind, (*tables, *named))
        for name, struct in tables.items():
            if name in raw:
                fields[name] = self._struct((name,), raw[name], struct, None)
        built_in = kind()
        for name, struct in named.items():
            bases = getattr(built_in, name)  # built-in ones exist without a table; a table changes one
            fields[name] = {**bases, **self._named(name, raw.get(name, {}), struct, bases)}
        for table, key in choices:
            self._check_name(raw, fields, table, key)
        if self.problems:
            return None
        found = kind(**fields)
        if hasattr(found, "problems"):  # yields each conflicting field with its problem
            for name, sentence in found.problems():
                self._say((name,), sentence)
        return None if self.problems else found

    def _check_name(self, raw: Mapping[str, object], fields: Mapping[str, Any], section: str, key: str) -> None:
        table, members = fields.get(section), fields[f"{key}s"]
        # A table with a problem is missing from `members`, but its name is known.
        written = raw.get(f"{key}s")
        known = {*members, *(written if isinstance(written, dict) else ())}
        if table is not None and (name := getattr(table, key)) not in known:
            near = did_you_mean(name, known)
            self._problem((section, key), f"must be a {key}: {', '.join(members)}{near}", name)

    def _named(
        self, section: str, raw: object, struct: type[msgspec.Struct], bases: Mapping[str, msgspec.Struct]
    ) -> dict[str, msgspec.Struct]:
        """Read the tables [section.NAME]; one of the same name in `bases` is changed, not replaced."""
        if not isinstance(raw, dict):
            self._problem((section,), f"must be tables, [{section}.NAME]")
            return {}
        found = {}
        for name, table in raw.items():
            path = (section, name)
            if section == "destinations" and name in _KEYS_OF_SECRETS and not isinstance(table, dict):
                self._say(path, _WHERE_KEYS_BELONG)
            elif not TABLE_NAME.fullmatch(name):
                self._say(path, f"a name in [{section}] consists of letters, digits, - and _, not {_quoted(name)}")
            elif (value := self._struct(path, table, struct, bases.get(name))) is not None:
                found[name] = value
        return found

    def _struct(
        self, path: KeyPath, raw: object, struct: type[msgspec.Struct], base: msgspec.Struct | None
    ) -> msgspec.Struct | None:
        """Read one table into `struct`, missing values from `base` or the defaults; None where that fails."""
        if not isinstance(raw, dict):
            self._problem(path, f"must be a table, [{'.'.join(path)}]")
            return None
        before = len(self.problems)
        values = self._values(path, raw, struct, ())
        if base is None:
            required = [field.name for field in msgspec.structs.fields(struct) if field.required]
            missing = [name for name in required if name not in raw]
            if missing:
                self._say(path, f"[{'.'.join(path)}] lacks {', '.join(missing)}")
        if len(self.problems) > before:
            return None
        result = struct(**values) if base is None else msgspec.structs.replace(base, **values)
        if hasattr(result, "problems"):
            for name, sentence in result.problems():
                shown = None if name in (*_ADDRESSES, "ca_file", "endpoint") else raw.get(name)
                self._problem((*path, name) if name in raw else path, sentence, shown)
        return result

    def _values(
        self, path: KeyPath, raw: Mapping[str, object], struct: type[msgspec.Struct], others: tuple[str, ...]
    ) -> dict[str, Any]:
        """Read the plain values of a table; `others` are keys that are read elsewhere."""
        kinds, values = kinds_of(struct), {}
        for name, value in raw.items():
            place = (*path, name)
            if name in kinds:
                try:
                    read = kinds[name].read(value)
                    values[name] = self._placed(read)
                    self.set[place] = self._lines[place]
                except NotAllowed as error:
                    self._problem(place, str(error), None if name in _ADDRESSES else value)
            elif name in _KEYS_OF_SECRETS:
                self._say(place, _WHERE_KEYS_BELONG)
            elif name not in others:
                where = f"in [{'.'.join(path)}]" if path else "at the top level"
                self._say(place, f"unknown key {_quoted(name)} {where}{did_you_mean(name, (*kinds, *others))}")
        return values

    def _placed(self, value: object) -> object:
        """Return `value`; relative paths count from the file's folder."""
        if isinstance(value, tuple):
            return tuple(self._placed(each) for each in value)
        return self._file.parent / value if isinstance(value, Path) else value

    def _problem(self, path: KeyPath, sentence: str, value: object = None) -> None:
        table = f"[{'.'.join(path[:-1])}] " if path[:-1] else ""
        written = "" if value is None or isinstance(value, dict | list) else f" = {_quoted(value)}"
        self._say(path, f"{table}{path[-1]}{written}: {sentence}")

    def _say(self, path: KeyPath, sentence: str) -> None:
        while path and path not in self._lines:
            path = path[:-1]
        self.problems.append((self._lines.get(path, 1), sentence))


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    text = value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}…"
    return '"' + "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text) + '"'


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) of the first occurrence of each key and table of `text`, valid TOML."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    statement, begun = "", 1
    for number, line in enumerate(io.StringIO(text), 1):
        statement += line
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # its value has more lines
        is_header = statement.lstrip().startswith("[")
        for path in _key_paths(found, () if is_header else table):
            lines.setdefault(path, begun)
            table = path if is_header else table
        statement, begun = "", number + 1
    return lines


def _key_paths(values: Mapping[str, object], table: KeyPath) -> Iterator[KeyPath]:
    """Yield the paths of the keys of `values`, a table at `table`, and of its inner tables; not of arrays."""
    for name, value in values.items():
        yield (*table, name)
        if isinstance(value, dict):
            yield from _key_paths(value, (*table, name))
