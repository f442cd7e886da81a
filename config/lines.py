"""Where in a TOML file each key stands, so that a complaint about a value can say where.

tomllib gives values without places. This scanner reads a text that tomllib has already accepted, so it
only has to find the borders of keys and values, never to judge them.
"""

import re
import tomllib

type KeyPath = tuple[str | int, ...]
"""Keys from the top of the file inwards; a number is a place in an array (of tables)."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'  # up to two quotes may stand just before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r"[^,\]}\r\n#]+")
_BLANK = re.compile(r"[ \t]+")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) on which each key, table and array item of `text` first stands.

    `text` must be valid TOML; of an invalid one the result means nothing.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[KeyPath, int] = {}
        self._last_item: dict[KeyPath, int] = {}
        self._table: KeyPath = ()

    def scan(self) -> dict[KeyPath, int]:
        self._skip(_BLANK_LINES)
        while self._at < len(self._text):
            if self._take("[["):
                self._open_item(self._key())
                self._take("]]")
            elif self._take("["):
                self._table = self._resolve((), self._key())
                self._take("]")
            else:
                self._pair(self._table)
            self._skip(_BLANK_LINES)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match[0] if match else ""

    def _take(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _note(self, path: KeyPath, position: int) -> None:
        self._lines.setdefault(path, self._text.count("\n", 0, position) + 1)

    def _key(self) -> list[tuple[str, int]]:
        """Read a possibly dotted key; return its parts, each with its position in the text."""
        parts = []
        while True:
            self._skip(_BLANK)
            start = self._at
            part = self._skip(_BARE_KEY) or tomllib.loads(f"key = {self._skip(_STRING)}")["key"]
            parts.append((part, start))
            self._skip(_BLANK)
            if not self._take("."):
                return parts

    def _resolve(self, base: KeyPath, parts: list[tuple[str, int]]) -> KeyPath:
        """Return the path that `parts` name below `base`; an array of tables stands for its last item."""
        path = base
        for part, position in parts:
            path = (*path, part)
            self._note(path, position)
            if path in self._last_item:
                path = (*path, self._last_item[path])
        return path

    def _open_item(self, parts: list[tuple[str, int]]) -> None:
        array = (*self._resolve((), parts[:-1]), parts[-1][0])
        self._last_item[array] = self._last_item.get(array, -1) + 1
        self._table = (*array, self._last_item[array])
        self._note(array, parts[-1][1])
        self._note(self._table, parts[-1][1])

    def _pair(self, base: KeyPath) -> None:
        path = self._resolve(base, self._key())
        self._take("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._skip(_BLANK_LINES)
            while not self._take("}"):
                self._pair(path)
                self._skip(_BLANK_LINES)
                self._take(",")
                self._skip(_BLANK_LINES)
        else:
            self._skip(_STRING) or self._skip(_PLAIN_VALUE)

    def _array(self, path: KeyPath) -> None:
        index = 0
        self._skip(_BLANK_LINES)
        while not self._take("]"):
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1
            self._skip(_BLANK_LINES)
            self._take(",")
            self._skip(_BLANK_LINES)
