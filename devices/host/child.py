"""Child processes: own session, tied to the parent, non-blocking pipes, bounded end."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Buffer, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from devices.host.deadline import close_within

REAP_S = 0.4  # the longest wait for a killed child, which a dead disk may hold; after that a thread waits for it
READ_BYTES = 65_536
HOME = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends; compare os.getppid() afterwards."""
    import ctypes  # slow to load, and no parent needs it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def tie_to_parent(command: Sequence[str]) -> list[str]:
    """Return the command of another program, tied by setpriv (if installed) to the thread that starts it."""
    import shutil  # slow to load

    tie = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [*tie, *command]


def python_module(module: str, *words: str) -> list[str]:
    """Return the command that runs a module of this program."""
    return [sys.executable, "-P", "-m", module, *words]


def with_program_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with this program first in PYTHONPATH."""
    path = os.pathsep.join(filter(None, (str(HOME), environment.get("PYTHONPATH"))))
    return {**environment, "PYTHONPATH": path}


class ChildProcess:
    """A running child. Only `read`, `read_all`, `give`, `wait` and `end` block, for a bounded time."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: "str | os.PathLike[str] | None" = None,
        stdin: "int | IO[bytes]" = subprocess.PIPE,
        stdout: "int | IO[bytes]" = subprocess.PIPE,
        stderr: int | None = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it; raises OSError. `stderr` None: this process's; subprocess.PIPE: kept for `last_words`."""
        self._errors: IO[bytes] | None = (
            os.fdopen(os.memfd_create("errors"), "w+b") if stderr == subprocess.PIPE else None
        )
        try:
            self._process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=self._errors or stderr,
                bufsize=0,
                env=env,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,  # the parent handles Ctrl-C
            )
        except OSError:
            self._close(self._errors)
            raise
        self.is_deaf = False  # whether it accepts no more bytes
        self._output_blocks = False
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)

    def resize_pipes(self, size: int) -> None:
        """Set the capacity of both pipes to `size` bytes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, size)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, the negative number of a signal that ended it, None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> int:
        """The descriptor of its standard output, for a poll."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return self._process.stdout.fileno()

    @property
    def input(self) -> int:
        """The descriptor of its standard input, for a poll."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        return self._process.stdin.fileno()

    def write(self, data: Buffer) -> int:
        """Write as much of `data` as its pipe takes now; return the number of bytes."""
        try:
            return os.write(self.input, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.is_deaf = True  # it has ended; output or status says why
            return 0

    def give(self, data: bytes) -> None:
        """Write all of `data`. Blocks until the child takes it; raises BrokenPipeError where it has ended."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self.input, left) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.input, select.POLLOUT)
                poll.poll()

    def close_input(self) -> None:
        """Close its standard input; idempotent."""
        self.is_deaf = True
        self._close(self._process.stdin)

    def read(self, timeout_s: float | None = 0.0, most: int = READ_BYTES) -> bytes | None:
        """Return new output, b"" at its end, None after `timeout_s` without any. With None as timeout it blocks."""
        if timeout_s is None:
            if not self._output_blocks:
                os.set_blocking(self.output, True)
                self._output_blocks = True
        elif timeout_s or self._output_blocks:
            poll = select.poll()
            poll.register(self.output, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                return None
        try:
            return os.read(self.output, most)
        except BlockingIOError:
            return None

    def read_all(self, timeout_s: float) -> bytes:
        """Return its output until the end. Raises TimeoutError after `timeout_s`."""
        until_s, whole = time.monotonic() + timeout_s, bytearray()
        while piece := self.read(max(0.0, until_s - time.monotonic())):
            whole += piece
        if piece is None:
            raise TimeoutError
        return bytes(whole)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait at most `timeout_s` for its end; return whether it has ended."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; an ended child is ignored."""
        self._process.send_signal(number)

    def last_words(self) -> str:
        """Return the last line of its standard error, or its exit status. Blocks until it ends."""
        self._process.wait()
        lines: list[str] = []
        if self._errors is not None and not self._errors.closed:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"

    def let_go(self) -> None:
        """Close its pipes; the child goes on."""
        self.is_deaf = True
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            self._close(pipe)

    def end(self, patience_s: float = 0.0, reap_s: float = REAP_S, asked: signal.Signals | None = None) -> bool:
        """Close its pipes, wait `patience_s`, then kill it; return whether it ends within `reap_s` more.

        `asked` is sent first. A thread waits for a child that the kernel cannot end.
        """
        self.let_go()
        if asked is not None:
            self.send(asked)
        if self.wait(patience_s):
            return True
        self._process.kill()
        if self.wait(0.0):
            return True
        try:
            return close_within(self._process.wait, reap_s, f"child {self.pid}")
        except RuntimeError:  # no further thread
            return self.wait(reap_s)

    @staticmethod
    def _close(pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            with suppress(OSError):  # it ended with unread input
                pipe.close()
