"""What libraries print in a recorder: into a file of its own that cannot grow without end."""

import os
import sys
from pathlib import Path

LARGEST = 512 * 1024


class OutputLog:
    """Standard output and error of this process, in the file `path`; of twice LARGEST bytes the older go."""

    def __init__(self, path: Path) -> None:
        """Turn both to `path` from now on; raises OSError."""
        self._path = path
        self._turn()

    def check(self) -> None:
        """Begin anew if the file is full, keeping the one before; called now and then."""
        try:
            if os.fstat(STDERR).st_size > LARGEST:
                self._path.replace(self._path.with_suffix(".old"))
                self._turn()
        except OSError:
            return  # the folder has gone: what is printed goes nowhere that grows

    def _turn(self) -> None:
        flush()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        os.dup2(descriptor, STDOUT)
        os.dup2(descriptor, STDERR)
        os.close(descriptor)


STDIN, STDOUT, STDERR = 0, 1, 2


def flush() -> None:
    """Hand over what Python has not written yet."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # nobody reads it any more
