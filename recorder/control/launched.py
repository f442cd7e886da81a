"""The process of a recorder: a child of ours, or a unit of the service manager.

A child of a service is stopped, and killed for want of memory, along with it. So where LIPUT_RECORDERS names a socket
of the service manager, each connection to it makes a unit, with the connection as standard input and output
(systemd.socket, Accept=yes). That needs no right to start units, and no bus.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from devices.host.child import HOME, READ_BYTES, ChildProcess, finding_us, python_module
from recorder.running import access

VARIABLE = "LIPUT_RECORDERS"
SPARE = "LIPUT_SPARE"
"""Set in the environment of a recorder that is started before there is something to record."""
UNIT = "--unit"
"""The word of a recorder that the service manager starts: it says its number first, and is always a spare."""
MODULE = "recorder.control.process"
CONNECT_S = 5.0
LONGEST_NUMBER = 20


class Unit:
    """A recorder that the service manager has started for our connection: a ChildProcess, seen from here."""

    def __init__(self, address: Path) -> None:
        """Have it started. Raises OSError."""
        self._socket = access.connect(address, CONNECT_S)
        self._received = b""
        self._says_number = True
        self._pidfd: int | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """Its process, 0 while that is not known."""
        self._know(0.0)
        return self._pid

    def give(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenPipeError where it has gone."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise BrokenPipeError(error.errno, error.strerror) from None

    def close_input(self) -> None:
        """Tell it that nothing more comes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self, timeout_s: float = 0.0) -> bytes | None:
        """Return what it has written behind its number, b"" at the end, None where nothing came in time."""
        self._know(timeout_s)
        if not self._received and not self._says_number:
            return self._receive(timeout_s)
        received, self._received = self._received, b""
        return received or None

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
        while self._says_number and self._socket.fileno() >= 0:
            number, end, rest = self._received.partition(b"\n")
            if end or len(number) > LONGEST_NUMBER:
                self._says_number = False
                if number.isdigit():
                    self._received = rest
                    with contextlib.suppress(OSError):
                        self._pidfd = os.pidfd_open(int(number))
                        self._pid = int(number)
            elif received := self._receive(timeout_s):
                self._received += received
            else:
                self._says_number = received is None
                return

    def _receive(self, timeout_s: float) -> bytes | None:
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return None
        try:
            return self._socket.recv(READ_BYTES)
        except OSError:
            return b""


def launched(folder: Path | None, *, is_spare: bool, home: Path = HOME) -> tuple[ChildProcess | Unit, str]:
    """Start a recorder, as a unit where that can be had; return it, and what there is to say of that.

    Raises OSError. Where the service manager starts none, a recorder in our own unit is better than none.
    """
    named, note = os.environ.get(VARIABLE), ""
    if named:
        try:
            return Unit(Path(named)), ""
        except OSError as error:
            note = f"the recorder is no unit of its own, and ends with this service: {named}: {error.strerror or error}"
    env = finding_us(os.environ, home) | ({SPARE: "1"} if is_spare else {})
    # It inherits this, and hears of what was sent meanwhile as soon as it can end in order (process.hear).
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        return ChildProcess(python_module(MODULE), cwd=folder, env=env, stderr=subprocess.PIPE), note
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def environment(names: tuple[str, ...], known: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return what a recorder is to be told of our environment: nothing, where it inherits that or knows better."""
    if known is not None or VARIABLE not in os.environ:
        return known
    return {name: os.environ[name] for name in names if name in os.environ}
