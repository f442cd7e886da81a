"""The process of a recorder: a child, or a unit of the service manager.

A service's child is stopped with it, and killed with it when memory runs out. So LIPUT_RECORDERS may name a socket of
the service manager (systemd.socket, Accept=yes). Each connection starts a unit, with the connection as standard input
and output. That needs neither a right to start units nor a bus.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
from pathlib import Path

from devices.host.child import READ_BYTES, ChildProcess, python_module, with_program_path
from recorder.running import access

RECORDERS_VARIABLE = "LIPUT_RECORDERS"
SPARE_VARIABLE = "LIPUT_SPARE"  # environment variable of a recorder that starts before its session is known
UNIT_ARGUMENT = "--unit"
"""Argument of a recorder started by the service manager: it writes its pid first, and is always a spare."""
MODULE = "recorder.control.process"
CONNECT_S = 5.0
LONGEST_NUMBER = 20


class RecorderUnit:
    """A recorder started by the service manager; has the interface of ChildProcess."""

    def __init__(self, address: Path) -> None:
        """Connect to `address`, which starts the unit. Raises OSError."""
        self._socket = access.connect_to(address, CONNECT_S)
        self._received = b""
        self._awaits_pid = True
        self._pidfd: int | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """Its pid, 0 while unknown."""
        self._read_pid(0.0)
        return self._pid

    def give(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenPipeError if the process is gone."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise BrokenPipeError(error.errno, error.strerror) from None

    def close_input(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self, timeout_s: float = 0.0) -> bytes | None:
        """Return output behind the pid; b"" at the end, None after `timeout_s`."""
        self._read_pid(timeout_s)
        if not self._received and not self._awaits_pid:
            return self._receive(timeout_s)
        received, self._received = self._received, b""
        return received or None

    def last_words(self) -> str:
        """Return a reference to the journal, which holds the unit's output."""
        return "the journal has its output"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the process to end; return whether it did within `timeout_s`."""
        self._read_pid(0.0)
        waited = select.poll()
        if self._pidfd is not None:
            waited.register(self._pidfd, select.POLLIN)
        elif self._socket.fileno() >= 0:
            waited.register(self._socket, 0)  # a hang-up is reported without any event mask
        else:
            return True
        return bool(waited.poll(None if timeout_s is None else timeout_s * 1000))

    def send(self, number: signal.Signals) -> None:
        """Send a signal; ignored by an ended or unknown process."""
        self._read_pid(0.0)
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def let_go(self) -> None:
        """Close the connection, and so its standard input."""
        self._read_pid(0.0)
        self._socket.close()

    def __del__(self) -> None:
        pidfd = getattr(self, "_pidfd", None)  # missing if __init__ failed
        if pidfd is not None:
            os.close(pidfd)

    def _read_pid(self, timeout_s: float) -> None:
        """Read the pid, the first line of output, once it is there."""
        while self._awaits_pid and self._socket.fileno() >= 0:
            number, end, rest = self._received.partition(b"\n")
            if end or len(number) > LONGEST_NUMBER:
                self._awaits_pid = False
                if number.isdigit():
                    self._received = rest
                    with contextlib.suppress(OSError):
                        self._pidfd = os.pidfd_open(int(number))
                        self._pid = int(number)
            elif received := self._receive(timeout_s):
                self._received += received
            else:
                self._awaits_pid = received is None
                return

    def _receive(self, timeout_s: float) -> bytes | None:
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return None
        try:
            return self._socket.recv(READ_BYTES)
        except OSError:
            return b""


def launch_recorder(folder: Path | None, *, is_spare: bool) -> tuple[ChildProcess | RecorderUnit, str]:
    """Start a recorder, as a unit if possible, else as a child; return it with a note for people. Raises OSError."""
    named, note = os.environ.get(RECORDERS_VARIABLE), ""
    if named:
        try:
            return RecorderUnit(Path(named)), ""
        except OSError as error:
            note = f"the recorder is no unit of its own, and ends with this service: {named}: {error.strerror or error}"
    return launch_child(folder, is_spare=is_spare), note


def launch_child(folder: Path | None, *, is_spare: bool = False) -> ChildProcess:
    """Start a recorder as a child. Raises OSError."""
    env = with_program_path(os.environ) | ({SPARE_VARIABLE: "1"} if is_spare else {})
    # The child inherits the mask; it gets a pending SIGTERM once it can end in order (process.hear).
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        return ChildProcess(python_module(MODULE), cwd=folder, env=env, stderr=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
