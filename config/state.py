"""Where Liput keeps what it has learned on this PC: roles, control presets, the health log, small databases."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import platformdirs

from config.errors import StateError

VARIABLE = "LIPUT_STATE"


def state_folder() -> Path:
    """Return the folder, whether or not it exists: LIPUT_STATE, else `~/.local/state/liput`."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return platformdirs.user_state_path("liput")


_WAIT_S = 10.0
"""How long another process may have it."""


@contextmanager
def transaction(path: Path, tables: str, hint: str) -> Iterator[sqlite3.Connection]:
    """Give a connection whose changes are on the disk when this returns, all or none; rows are known by column.

    `tables` is what makes them where they are missing. Raises StateError with `hint` where the file cannot be used, or
    what stands in it cannot be read (ValueError).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection, connection:
            connection.row_factory = sqlite3.Row
            connection.executescript(tables)
            yield connection
    except (sqlite3.Error, OSError, ValueError) as error:
        raise StateError(f"{path} cannot be used: {error}", hint=hint) from None
