"""Liput's own code as processes of their own: what they load and wait for is nobody else's."""

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from config.settings.loading import VARIABLE
from devices.host.child import ChildProcess, finding_us, python_module
from devices.host.clock import NANOSECONDS, Clock, SystemClock

PATIENCE_S = 5.0
"""How long one may take to end when it was asked to, before it is killed."""


def command_line(*words: str) -> list[str]:
    """Return the command `liput WORDS`."""
    return python_module("agent.cli.main", *words)


def of_archive(folder: Path | None) -> list[str]:
    """Return the words that name an archive; none for that of the settings."""
    return [] if folder is None else ["--archive", str(folder)]


def environment(config_file: Path | None = None) -> dict[str, str]:
    """Return that in which such a process finds this very code, and these settings (None: those that are found)."""
    return finding_us(os.environ) | ({VARIABLE: str(config_file.absolute())} if config_file else {})


def our_log() -> int | None:
    """Return where such a process writes its errors: the journal of the daemon, nowhere on a terminal."""
    return subprocess.DEVNULL if sys.stderr.isatty() else None


def end(child: ChildProcess) -> None:
    """End one: what it was doing is gone on with by the next one. It may hang in a share that does not answer."""
    child.end(PATIENCE_S, PATIENCE_S, signal.SIGTERM)


class OwnCommand:
    """A process that answers once, into a file without a name; only `end` waits for it.

    `answer` gives it up after `longest_s`.
    """

    def __init__(
        self,
        command: Sequence[str],
        config_file: Path | None = None,
        given: bytes = b"",
        stderr: int | None = subprocess.DEVNULL,
        *,
        clock: Clock | None = None,
        longest_s: float = math.inf,
    ) -> None:
        """Start it, with `given` on its standard input. Raises OSError."""
        self._clock = clock or SystemClock()
        self._until_ns = self._clock.now_ns() + longest_s * NANOSECONDS
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as it runs
        try:
            with tempfile.TemporaryFile() as file:  # no pipes: neither waits for the other
                file.write(given)
                file.seek(0)
                self._child = ChildProcess(
                    command, env=environment(config_file), stdin=file, stdout=self._said, stderr=stderr
                )
        except OSError:
            self._said.close()
            raise

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._child.status

    def said(self) -> bytes:
        """Return what it has written, and forget it."""
        with self._said as said:
            said.seek(0)
            return said.read()

    def answer(self) -> bytes | None:
        """Return what it has written, None while it runs; one that takes too long is ended, and raises TimeoutError."""
        if self.status is not None:
            return self.said()
        if self._clock.now_ns() < self._until_ns:
            return None
        self.end()
        raise TimeoutError

    def end(self) -> None:
        """End it."""
        if self.status is None:
            end(self._child)
        self._said.close()
