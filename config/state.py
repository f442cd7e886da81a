"""State that Liput keeps on this PC: roles, control presets, the health log, small databases."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import platformdirs

from config.errors import StateError
from config.files import json_text, replace_file

if TYPE_CHECKING:
    import sqlite3


STATE_VARIABLE = "LIPUT_STATE"


def state_folder() -> Path:
    """Return the folder, which may not exist yet: LIPUT_STATE, else `~/.local/state/liput`."""
    if named := os.environ.get(STATE_VARIABLE):
        return Path(named)
    return platformdirs.user_state_path("liput")


_WAIT_S = 10.0  # the longest wait for another process's lock


@contextmanager
def transaction(path: Path, tables: str, hint: str) -> "Iterator[sqlite3.Connection]":
    """Yield a connection; its changes are committed to disk together at the end. Rows are accessed by column.

    `tables` is SQL that creates missing tables. Raises StateError with `hint` where the file is unusable or its content
    is invalid (ValueError).
    """
    import sqlite3  # most processes use no database

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection, connection:
            connection.row_factory = sqlite3.Row
            connection.executescript(tables)
            yield connection
    except (sqlite3.Error, OSError, ValueError) as error:
        raise StateError(f"{path} cannot be used: {error}", hint=hint) from None


class StateFile[T]:
    """The JSON file `path` with one value of type `kind`; a missing file holds `default`."""

    def __init__(self, path: Path, kind: type[T], default: T) -> None:
        self.path = path
        self._kind = kind
        self._default = default

    def read(self) -> T:
        """Return the value; raises StateError where the file cannot be read or decoded."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return self._default
        except OSError as error:
            raise StateError(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            return msgspec.json.decode(data, type=self._kind)
        except ValueError as error:  # DecodeError is one, and so is text that is not UTF-8
            raise StateError(
                f"{self.path} has unexpected content: {error}",
                hint="repair it, or move it away; Liput then creates a new one",
            ) from error

    def change(self, change: Callable[[T], T]) -> T:
        """Replace the value by `change(value)`, under a lock between processes, and return it. Raises StateError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                value = change(self.read())
                replace_file(self.path, json_text(value), durable=True)
        except OSError as error:
            raise StateError(f"{self.path} cannot be written: {error.strerror}") from error
        return value

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
