"""A command on a real terminal: keys go in, what it shows comes out, and its window can be closed."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support.command import LIPUT, environment
from tests.support.recorders import kill_recorders
from tests.support.waiting import PATIENCE_S

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`liput` with a pseudo-terminal as its controlling terminal; a context manager."""

    def __init__(
        self, home: Path, *arguments: str | Path, columns: int = 240, more: Mapping[str, str] | None = None
    ) -> None:
        """Start the command; `more` is added to its environment."""
        self._shown = ""
        self._master, self._slave = pty.openpty()
        self.resize(columns=columns)
        variables = environment(home, {"TERM": "xterm-256color", "COLUMNS": "", **(more or {})})
        self._runtime = Path(variables[RUNTIME])
        self._process = subprocess.Popen(
            [*LIPUT, *map(str, arguments)],
            env=variables,
            cwd=home,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        kill_recorders(self._runtime)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self.close_window()
        with contextlib.suppress(OSError):
            os.close(self._slave)

    @property
    def text(self) -> str:
        """Everything shown so far, without colours and cursor movements."""
        return _ESCAPES.sub("", self._shown).replace("\r", "")

    @property
    def raw(self) -> str:
        """Everything shown so far as it came, with colours and cursor movements."""
        return self._shown

    def resize(self, *, columns: int) -> None:
        """Make the window another size: whoever has it gets SIGWINCH."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def settings(self) -> list[object]:
        """Return the terminal's settings, as tcgetattr does."""
        return list(termios.tcgetattr(self._slave))

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, pattern: str, timeout_s: float = PATIENCE_S) -> None:
        """Read until what is shown matches `pattern`."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.text[-2000:]!r}"
            self._read()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Read until the command ends; return its exit status."""
        deadline = time.monotonic() + timeout_s
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.text[-2000:]!r}"
            self._read()
        while self._read():
            pass
        return self._process.returncode

    def close_window(self) -> None:
        """Take the terminal away: whoever has it gets SIGHUP, and errors where it reads and writes."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self) -> bool:
        if self._master < 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
            return False
        ready, _, _ = select.select([self._master], [], [], 0.05)
        if ready:
            self._shown += os.read(self._master, 65536).decode(errors="replace")
        return bool(ready)


def _take_terminal() -> None:
    """Make standard input the controlling terminal of this new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
