"""Liput commands as child processes, so that their memory and waits are not the daemon's."""

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from config.settings.schema import CONFIG_VARIABLE
from devices.host.child import ChildProcess, python_module, with_program_path
from devices.host.clock import NANOSECONDS, Clock, SystemClock

PATIENCE_S = 5.0  # seconds from SIGTERM to SIGKILL


def liput_command(*words: str) -> list[str]:
    return python_module("agent.cli.main", *words)


def archive_options(folder: Path | None) -> list[str]:
    return [] if folder is None else ["--archive", str(folder)]


def child_environment(config_file: Path | None = None) -> dict[str, str]:
    """Return an environment with this code on Python's path, and with `config_file`, if any."""
    return with_program_path(os.environ) | ({CONFIG_VARIABLE: str(config_file.absolute())} if config_file else {})


class CommandChild:
    """A child that answers once, into an unnamed file. Only `end` blocks."""

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
        """Start it with `given` on its standard input. Raises OSError."""
        self._clock = clock or SystemClock()
        self._until_ns = self._clock.now_ns() + longest_s * NANOSECONDS
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open while the child runs
        try:
            with tempfile.TemporaryFile() as file:  # with pipes each could wait for the other
                file.write(given)
                file.seek(0)
                self._child = ChildProcess(
                    command, env=child_environment(config_file), stdin=file, stdout=self._said, stderr=stderr
                )
        except OSError:
            self._said.close()
            raise

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._child.status

    def said(self) -> bytes:
        """Return its output and close the file."""
        with self._said as said:
            said.seek(0)
            return said.read()

    def answer(self) -> bytes | None:
        """Return its output; None while it runs. Ends it and raises TimeoutError after `longest_s`."""
        if self.status is not None:
            return self.said()
        if self._clock.now_ns() < self._until_ns:
            return None
        self.end()
        raise TimeoutError

    def kill(self) -> None:
        """Kill the child at once; does not wait for its end."""
        self._child.send(signal.SIGKILL)

    def end(self) -> None:
        """End the child, which may hang in a network share, and close the file."""
        if self.status is None:
            self._child.end(PATIENCE_S, PATIENCE_S, signal.SIGTERM)
        self._said.close()


def start_command(words: Sequence[str], config_file: Path | None) -> CommandChild:
    """Start `liput WORDS`; its errors go to the daemon's journal, and nowhere on a terminal. Raises OSError."""
    stderr = subprocess.DEVNULL if sys.stderr.isatty() else None
    return CommandChild(liput_command(*words), config_file, stderr=stderr)
