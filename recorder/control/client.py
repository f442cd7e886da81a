"""Talking to a recorder. Light to import: no media library.

Whoever uses it may go away at any time; the recorder goes on.
"""

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import msgspec

from config.errors import SessionError
from recorder.control import sockets
from recorder.control.directory import RecorderFolder
from recorder.control.protocol import LINES, AnyRequest, Failure, Line, Reply, Told, encode, raised
from recorder.status import SessionResult

ANSWER_S = 5.0
"""How long a recorder may take to answer; it takes a thousandth of a second."""
_CHUNK = 64 * 1024


class Lost(SessionError):
    """The recorder has closed the connection, or does not answer."""


def lost(recorder: str, how: str) -> Lost:
    """Return what is raised of a recorder, known by its id, with which something is wrong: `how` says what."""
    return Lost(f"the recorder {recorder} {how}", hint="liput status says which sessions run")


class Connection:
    """A connection to one recorder, for one thread; a context manager."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        """Connect, within `timeout_s`. Raises Lost."""
        self._id = folder.id
        self._received = bytearray()
        self._told: deque[Told] = deque()
        self._number = 0
        try:
            self._socket = sockets.connect(folder.control, timeout_s)
        except OSError as error:
            raise lost(self._id, f"cannot be reached: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the recorder goes on."""
        self._socket.close()

    def request(self, request: AnyRequest, timeout_s: float = ANSWER_S) -> Reply:
        """Send a command and return its reply; what else comes meanwhile is kept for `told`.

        Raises the refusal, as the LiputError that it was there, and Lost.
        """
        self._number += 1
        request = msgspec.structs.replace(request, id=self._number)
        deadline_s = time.monotonic() + timeout_s
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(encode(request))
        except OSError:
            raise lost(self._id, "takes no command") from None
        while (line := self._next_line(deadline_s)) is not None:
            if not isinstance(line, Reply):
                self._told.append(line)
            elif line.id == self._number or line.id is None:
                if line.error is not None:
                    raise raised(line.error)
                return line
        raise lost(self._id, "does not answer")

    def fileno(self) -> int:
        """Return its descriptor, for a selector; see `told`."""
        return self._socket.fileno()

    def told(self, timeout_s: float) -> Told | None:
        """Return what comes next to one that watches; None when nothing came in time. Raises Lost at the end.

        With 0 it returns at once; ask again until it is None before waiting for `fileno` to become readable.
        """
        if self._told:
            return self._told.popleft()
        deadline_s = time.monotonic() + timeout_s
        while (line := self._next_line(deadline_s)) is not None:
            if not isinstance(line, Reply):
                return line
        return None

    def told_within(self, timeout_s: float) -> Iterator[Told]:
        """Yield what comes, at most `timeout_s` seconds in all. Raises Lost at the end."""
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0 and (told := self.told(left_s)):
            yield told

    def _next_line(self, deadline_s: float) -> Line | None:
        """Return the next line that we know, None when none came in time. Raises Lost."""
        while True:
            end = self._received.find(b"\n")
            if end >= 0:
                line = bytes(self._received[:end])
                del self._received[: end + 1]
                try:
                    decoded: Line = LINES.decode(line)
                except msgspec.MsgspecError:
                    continue  # of a newer recorder: what we do not know is not for us
                return decoded
            if not self._receive(deadline_s):
                return None

    def _receive(self, deadline_s: float) -> bool:
        try:
            self._socket.settimeout(max(0.0, deadline_s - time.monotonic()))
            received = self._socket.recv(_CHUNK)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            received = b""
        if not received:
            raise lost(self._id, "has ended")
        self._received += received
        return True


def how_it_ended(folder: RecorderFolder) -> SessionResult | Failure | None:
    """Return the last line of a recorder that is no more; None of one that was killed."""
    line = folder.last_line
    try:
        end = LINES.decode(line) if line else None
    except msgspec.MsgspecError:
        return None
    return end if isinstance(end, SessionResult | Failure) else None


def ask(folder: RecorderFolder, request: AnyRequest, timeout_s: float = ANSWER_S) -> Reply:
    """Connect, send one command and return its reply, all of it within `timeout_s`; errors as `Connection` has them."""
    deadline_s = time.monotonic() + timeout_s
    with Connection(folder, timeout_s) as connection:
        return connection.request(request, max(0.0, deadline_s - time.monotonic()))
