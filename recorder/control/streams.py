"""The standard streams of a recorder: one line of its own at first, then what libraries print, into a bounded file."""

import contextlib
import os
import sys
from pathlib import Path

from recorder.running.protocol import Failure, Ready, encode

LARGEST = 512 * 1024


def print_into(path: Path) -> None:
    """Turn standard output and error of this process to the file `path` from now on; raises OSError."""
    flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(descriptor, STDOUT)
    os.dup2(descriptor, STDERR)
    os.close(descriptor)


def bound_printed(path: Path) -> None:
    """Begin `path` anew if it is full, keeping the one before: of twice LARGEST bytes the older go."""
    try:
        if os.fstat(STDERR).st_size > LARGEST:
            path.replace(path.with_suffix(".old"))
            print_into(path)
    except OSError:
        return  # the folder has gone: what is printed goes nowhere that grows


STDIN, STDOUT, STDERR = 0, 1, 2


def flush() -> None:
    """Hand over what Python has not written yet."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # nobody reads it any more


class Handshake:
    """Takes standard output away from everything else in this process, for one line."""

    def __init__(self) -> None:
        self._pipe = os.dup(STDOUT)
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
        self.is_done = False

    def say_number(self) -> None:
        """Write which process we are, for a client that has not started it itself."""
        os.set_blocking(STDIN, True)  # a service manager's socket need not be so
        with contextlib.suppress(OSError):
            os.write(self._pipe, f"{os.getpid()}\n".encode())

    def say(self, line: Ready | Failure) -> None:
        """Write the line, once; whoever started us may have gone, and that changes nothing."""
        if self.is_done:
            return
        self.is_done = True
        with contextlib.suppress(OSError):
            os.write(self._pipe, encode(line))
        with contextlib.suppress(OSError):
            os.close(self._pipe)
