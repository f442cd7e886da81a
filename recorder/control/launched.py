"""The process of a recorder, in either of two ways: a child of ours, or a unit of the service manager.

A child of a service belongs to the service: it is stopped, and killed for want of memory, along with it. So where
LIPUT_RECORDERS names a socket of the service manager, each connection to it makes a unit of its own, with the
connection as standard input and output (systemd.socket, Accept=yes). That needs no right to start units, and no bus.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol

from recorder.control import sockets

VARIABLE = "LIPUT_RECORDERS"
SPARE = "LIPUT_SPARE"
"""Set in the environment of a recorder that is started before there is something to record."""
UNIT = "--unit"
"""The word of a recorder that the service manager starts: it says its number first, and is always a spare."""
MODULE = "recorder.control.process"
HOME = Path(__file__).resolve().parents[2]
CONNECT_S = 5.0
LONGEST_NUMBER = 20


class Launched(Protocol):
    """A recorder's process, seen from whoever started it."""

    def give(self, text: bytes) -> None:
        """Write all of what it reads from its standard input. Raises BrokenPipeError where it has died."""

    def line(self, timeout_s: float) -> bytes | None:
        """Return the one line it says, empty at its end; None when nothing came in time."""

    def last_words(self) -> str:
        """Return the last line of what it printed, or how it ended."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end, at most so long; return whether it has come."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended hears nothing."""

    @property
    def pid(self) -> int:
        """Its number, 0 while it is not known."""

    def let_go(self) -> None:
        """Close what connects us with it, its standard input above all."""


class Child:
    """A recorder that is our child, in a session of its own."""

    def __init__(self, folder: Path | None, *, is_spare: bool, home: Path = HOME) -> None:
        """Start it in `folder`. Raises OSError."""
        # What it says before it has a log of its own.
        self._errors: IO[bytes] = os.fdopen(os.memfd_create("liput-recorder"), "w+b")
        path = os.environ.get("PYTHONPATH")
        # It inherits this, and hears of what was sent meanwhile as soon as it can end in order (asks.py).
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=folder,
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join(filter(None, (str(home), path)))}
                | ({SPARE: "1"} if is_spare else {}),
                start_new_session=True,
            )
        except OSError:
            self._errors.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def give(self, text: bytes) -> None:
        """Write all of what it reads from its standard input. Raises BrokenPipeError where it has died."""
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        with self._process.stdin as stdin:
            stdin.write(text)

    def line(self, timeout_s: float) -> bytes | None:
        """Return the one line it says, empty at its end; None when nothing came in time."""
        assert self._process.stdout is not None  # noqa: S101
        with self._process.stdout as stdout:
            return stdout.readline() if select.select([stdout], [], [], timeout_s)[0] else None

    def last_words(self) -> str:
        """Return the last line of what it printed, or how it ended."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end, at most so long; return whether it has come."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended hears nothing."""
        self._process.send_signal(number)

    def let_go(self) -> None:
        """Close what connects us with it, its standard input above all."""
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()


class Unit:
    """A recorder that the service manager has started for our connection, in a unit of its own."""

    def __init__(self, address: Path) -> None:
        """Have it started. Raises OSError."""
        self._socket = sockets.connect(address, CONNECT_S)
        self._received = b""
        self._pidfd: int | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """Its number, 0 while it is not known."""
        self._know(0.0)
        return self._pid

    def give(self, text: bytes) -> None:
        """Write all of what it reads from its standard input. Raises BrokenPipeError where it has died."""
        try:
            self._socket.sendall(text)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise BrokenPipeError(error.errno, error.strerror) from None

    def line(self, timeout_s: float) -> bytes | None:
        """Return the one line it says, empty at its end; None when nothing came in time."""
        self._know(timeout_s)
        return self._next_line(timeout_s)

    def last_words(self) -> str:
        """Return the last line of what it printed, or how it ended."""
        return "the journal has what it said"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end, at most so long; return whether it has come."""
        self._know(0.0)
        waited = select.poll()
        if self._pidfd is not None:
            waited.register(self._pidfd, select.POLLIN)
        elif self._socket.fileno() >= 0:
            waited.register(self._socket, 0)  # which tells of a hang-up all the same
        else:
            return True
        return bool(waited.poll(None if timeout_s is None else timeout_s * 1000))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended, or is not known yet, hears nothing."""
        self._know(0.0)
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def let_go(self) -> None:
        """Close what connects us with it, its standard input above all."""
        self._know(0.0)
        self._socket.close()

    def __del__(self) -> None:
        pidfd = getattr(self, "_pidfd", None)  # not there where nothing could be connected to
        if pidfd is not None:
            os.close(pidfd)

    def _know(self, timeout_s: float) -> None:
        """Take its number, which it says first of all, as soon as it is there."""
        if self._pid or self._socket.fileno() < 0:
            return
        line = self._next_line(timeout_s)
        if not line:
            return
        if not (line := line.strip()).isdigit() or len(line) > LONGEST_NUMBER:
            self._received = line + b"\n" + self._received
            return
        with contextlib.suppress(OSError):
            self._pidfd = os.pidfd_open(int(line))
            self._pid = int(line)

    def _next_line(self, timeout_s: float) -> bytes | None:
        while b"\n" not in self._received:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return None
            try:
                received = self._socket.recv(1 << 16)
            except OSError:
                received = b""
            if not received:
                line, self._received = self._received, b""
                return line
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line + b"\n"


def launched(folder: Path | None, *, is_spare: bool, home: Path = HOME) -> tuple[Launched, str]:
    """Start a recorder, as a unit where that can be had; return it, and what there is to say of that.

    Raises OSError. Where the service manager starts none, a recorder in our own unit is better than none.
    """
    named, note = os.environ.get(VARIABLE), ""
    if named:
        try:
            return Unit(Path(named)), ""
        except OSError as error:
            note = f"the recorder is no unit of its own, and ends with this service: {named}: {error.strerror or error}"
    return Child(folder, is_spare=is_spare, home=home), note


def environment(names: tuple[str, ...], known: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return what a recorder is to be told of our environment: nothing, where it inherits that or knows better."""
    if known is not None or VARIABLE not in os.environ:
        return known
    return {name: os.environ[name] for name in names if name in os.environ}
