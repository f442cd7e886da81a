"""A small JSON file that several processes read and change: roles of devices, presets of their controls.

It is replaced by a rename of a complete and synced file, under a lock, so that it is whole whatever happens and no
change of another process is lost.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from config.errors import StateError
from config.files import json_text, replace_file


class Store[T]:
    """The file `path`, holding one value of the type `kind`; `default` is what a missing file holds."""

    def __init__(self, path: Path, kind: type[T], default: T) -> None:
        self.path = path
        self._kind = kind
        self._default = default

    def read(self) -> T:
        """Return what the file holds; raises StateError where it cannot be read or is not what it should be."""
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
                f"{self.path} is not what Liput has written: {error}",
                hint="mend it, or move it away: it is then made anew",
            ) from error

    def change(self, change: Callable[[T], T]) -> T:
        """Replace what the file holds by what `change` makes of it; return that. Raises StateError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                value = change(self.read())
                replace_file(self.path, json_text(value), durable=True)
        except OSError as error:
            raise StateError(f"{self.path} cannot be written: {error.strerror}") from error
        return value

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
