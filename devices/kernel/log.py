"""Follows the kernel's messages as they come: from /dev/kmsg, or from the journal where only root may read that.

The groups `adm` and `systemd-journal` may read the journal too.
"""

import contextlib
import os
import select
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from devices.health.line import PC, Kind, Level, Record
from devices.host import threads
from devices.host.child import ChildProcess
from devices.host.framing import ReceiveBuffer
from devices.kernel.message import KernelMessage, from_journal, from_kmsg
from devices.kernel.record import KernelRecorder

KMSG = Path("/dev/kmsg")
JOURNALS = ("/run/log/journal/*/system.journal", "/var/log/journal/*/system.journal")
FOLLOW_JOURNAL = ("journalctl", "--dmesg", "--follow", "--lines=0", "--output=json", "--quiet")
UNREADABLE = "this user may not read the kernel's messages, so they are not in the health log"
ADVICE = 'An administrator can allow it: sudo usermod -aG systemd-journal "$USER"; then log out and in again.'
_RECORD_BYTES = 8192
"""The longest record that the kernel gives."""
_LONGEST_ENTRY = 1_000_000
_AT_ONCE = 200
"""Records that are read before anything else is looked at: a flood of them must not keep the thread from ending."""


class KmsgSource:
    """The kernel's own log, from now on."""

    def __init__(self, fd: int) -> None:
        """Take over `fd`, /dev/kmsg open for reading without blocking."""
        self._fd = fd

    @classmethod
    def open(cls, path: Path = KMSG) -> "KmsgSource":
        """Open the log at its end; raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.lseek(fd, 0, os.SEEK_END)
        except OSError:
            os.close(fd)
            raise
        return cls(fd)

    def fileno(self) -> int:
        """Return what becomes readable when there is something to read."""
        return self._fd

    def messages(self) -> Iterator[KernelMessage]:
        """Yield what the kernel has said since and was not overwritten; never waits. Raises EOFError at the end."""
        for _ in range(_AT_ONCE):
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:  # overwritten; the next read gives the oldest that is left
                continue
            if not record:
                raise EOFError
            if message := from_kmsg(record):
                yield message

    def close(self) -> None:
        """Close the log."""
        os.close(self._fd)


class JournalSource:
    """The journal's copy of them, through a `journalctl` that ends when nobody reads what it writes."""

    def __init__(self, command: Sequence[str] = FOLLOW_JOURNAL) -> None:
        """Start `command`; raises OSError."""
        self._child = ChildProcess(command, stdin=subprocess.DEVNULL)
        self._received = ReceiveBuffer(_LONGEST_ENTRY)

    def fileno(self) -> int:
        """Return the pipe's file descriptor."""
        return self._child.output

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def messages(self) -> Iterator[KernelMessage]:
        """Yield the entries that are complete, without waiting; raises EOFError, and TooLong for what is no entry."""
        data = self._child.read()
        if data == b"":
            raise EOFError
        self._received.add(data or b"")
        while (line := self._received.line()) is not None:
            if message := from_journal(line):
                yield message

    def close(self) -> None:
        """End the child."""
        self._child.end()


type KernelSource = KmsgSource | JournalSource


def open_source() -> KernelSource | None:
    """Return the first source that this user may read; None where there is none."""
    with contextlib.suppress(OSError):
        return KmsgSource.open()
    journals = (path for pattern in JOURNALS for path in Path("/").glob(pattern.lstrip("/")))
    if shutil.which(FOLLOW_JOURNAL[0]) and any(os.access(path, os.R_OK) for path in journals):
        with contextlib.suppress(OSError):
            return JournalSource(FOLLOW_JOURNAL)
    return None


class KernelLog:
    """Gives each message of the kernel to `recorder` from `start` to `stop`, on a thread of its own."""

    def __init__(
        self, recorder: KernelRecorder, record: Record, *, opens: Callable[[], KernelSource | None] = open_source
    ) -> None:
        self._recorder = recorder
        self._record = record
        self._opens = opens
        self._source: KernelSource | None = None
        self._wake: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; where that is not allowed, one line of the health log says so. Idempotent."""
        if self._thread is not None:
            return
        self._source = self._opens()
        if self._source is None:
            self._record(PC, Kind.KERNEL, UNREADABLE, level=Level.INFO, advice=ADVICE)
            return
        self._wake = os.pipe()
        self._thread = threads.start(self._run, self._source, self._wake[0], name="kernel-log")

    def stop(self) -> None:
        """Stop listening, and write what was only counted so far."""
        if self._thread is None or self._wake is None or self._source is None:
            return
        os.close(self._wake[1])
        self._thread.join()
        os.close(self._wake[0])
        self._source.close()
        self._recorder.finish()
        self._thread = None

    def _run(self, source: KernelSource, wake: int) -> None:
        poll = select.poll()
        poll.register(source.fileno(), select.POLLIN)
        poll.register(wake, select.POLLIN)
        wait_s: float | None = None
        while True:
            ready = dict(poll.poll(None if wait_s is None else max(1.0, wait_s * 1000)))
            if source.fileno() in ready and not self._read(source):
                poll.unregister(source.fileno())
            if wake in ready:  # looked at last: what was said before the end is still recorded
                return
            wait_s = self._recorder.flush()

    def _read(self, source: KernelSource) -> bool:
        """Take what has come; return whether more may come."""
        try:
            for message in source.messages():
                self._recorder.take(message)
        except Exception as error:  # EOFError and OSError; and what nobody thought of must not go further either
            reason = "the kernel's messages are not to be had any more"
            self._record(PC, Kind.KERNEL, f"{reason}: {error}" if str(error) else reason, level=Level.INFO)
            return False
        return True
