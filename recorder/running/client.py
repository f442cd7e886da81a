"""Talking to a recorder, and looking at its pictures. Light to import: no media library."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from config.errors import SessionError
from devices.host.framing import ReceiveBuffer, TooLong
from recorder.model.status import SessionResult
from recorder.running import sockets
from recorder.running.directory import RecorderFolder
from recorder.running.protocol import (
    LINES,
    PREVIEW_LENGTH,
    WIDEST,
    AnyRequest,
    Failure,
    Line,
    Look,
    Reply,
    Told,
    encode,
    raised,
)

ANSWER_S = 5.0
"""How long a recorder may take to answer; it takes a thousandth of a second."""
_CHUNK = 256 * 1024
_LONGEST = 16 << 20
"""Bytes of a line or a picture; a recorder sends none that is nearly as long."""


class Lost(SessionError):
    """The recorder has closed the connection, or does not answer."""


def lost(recorder: str, how: str) -> Lost:
    """Return what is raised of a recorder, known by its id, with which something is wrong: `how` says what."""
    return Lost(f"the recorder {recorder} {how}", hint="liput status says which sessions run")


class _Client:
    """A connection to one of the sockets of a recorder, for one thread; a context manager."""

    def __init__(self, folder: RecorderFolder, path: Path, timeout_s: float) -> None:
        """Connect, within `timeout_s`. Raises OSError."""
        self._id = folder.id
        self._received = ReceiveBuffer(_LONGEST)
        self._socket = sockets.connect(path, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the recorder goes on."""
        self._socket.close()

    def _send(self, line: bytes, timeout_s: float) -> None:
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(line)
        except OSError:
            raise lost(self._id, "takes no command") from None

    def _next(self, take: Callable[[], Any], deadline_s: float) -> Any:
        """Return what `take` finds in what has come; None when it has not come in time. Raises Lost."""
        try:
            while (found := take()) is None:
                if not self._receive(deadline_s):
                    return None
        except TooLong as error:
            raise lost(self._id, f"makes no sense: {error}") from None
        return found

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
        self._received.add(received)
        return True


class Connection(_Client):
    """A connection to the control socket: commands, and what the recorder tells."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        """Connect, within `timeout_s`. Raises Lost."""
        try:
            super().__init__(folder, folder.control, timeout_s)
        except OSError as error:
            raise lost(folder.id, f"cannot be reached: {error.strerror or error}") from None
        self._told: deque[Told] = deque()
        self._number = 0

    def request(self, request: AnyRequest, timeout_s: float = ANSWER_S) -> Reply:
        """Send a command and return its reply; what else comes meanwhile is kept for `told`.

        Raises the refusal, as the LiputError that it was there, and Lost.
        """
        self._number += 1
        deadline_s = time.monotonic() + timeout_s
        self._send(encode(msgspec.structs.replace(request, id=self._number)), timeout_s)
        while (line := self._line(deadline_s)) is not None:
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
        while (line := self._line(deadline_s)) is not None:
            if not isinstance(line, Reply):
                return line
        return None

    def told_within(self, timeout_s: float) -> Iterator[Told]:
        """Yield what comes, at most `timeout_s` seconds in all. Raises Lost at the end."""
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0 and (told := self.told(left_s)):
            yield told

    def _line(self, deadline_s: float) -> Line | None:
        line: Line | None = self._next(self._known_line, deadline_s)
        return line

    def _known_line(self) -> Line | None:
        """Take the next line that we know; others are of a newer recorder, and not for us."""
        while (line := self._received.line()) is not None:
            with suppress(msgspec.MsgspecError):
                return LINES.decode(line)
        return None


class PreviewClient(_Client):
    """A connection to the preview socket: pictures of one source at a time."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        """Connect, within `timeout_s`. Raises Lost."""
        try:
            super().__init__(folder, folder.preview, timeout_s)
        except OSError:
            raise lost(folder.id, "cannot be looked at") from None

    def look(self, look: Look, timeout_s: float = ANSWER_S) -> None:
        """Ask for other pictures from now on. Raises the refusal, as of a source that there is not, and Lost."""
        deadline_s = time.monotonic() + timeout_s
        self._send(msgspec.json.encode(look) + b"\n", timeout_s)
        line = self._next(self._answer, deadline_s)
        if line is None:
            raise lost(self._id, "does not answer")
        try:
            answer = LINES.decode(line)
        except msgspec.MsgspecError:
            raise lost(self._id, "makes no sense") from None
        if isinstance(answer, Failure):
            raise raised(answer)
        if isinstance(answer, Reply) and answer.error is not None:
            raise raised(answer.error)

    def _answer(self) -> bytes | None:
        # A picture of what was looked at before may still come first; JSON begins with a brace, a length never does.
        while (first := self._received.peek(1)) is not None and first != b"{":
            if self._picture() is None:
                return None
        return None if first is None else self._received.line()

    def _picture(self) -> bytes | None:
        return self._received.block(PREVIEW_LENGTH)

    def picture(self, timeout_s: float) -> bytes | None:
        """Return the next picture, a JPEG; None where none has come in time. Raises Lost at the end."""
        picture: bytes | None = self._next(self._picture, time.monotonic() + timeout_s)
        return picture


def look_once(folder: RecorderFolder, source: str, timeout_s: float) -> bytes:
    """Return the next picture of `source` as the content of a JPEG file, as large as a recorder gives them.

    Raises SessionError where none comes within about `timeout_s` seconds, and what the recorder refuses it with.
    """
    picture = None
    with suppress(Lost), PreviewClient(folder, timeout_s) as client:
        client.look(Look(source=source, fps=5.0, width=WIDEST), timeout_s)
        picture = client.picture(timeout_s)
    if picture is None:
        raise SessionError(f"the recorder {folder.id} shows no picture of {source}", hint="liput status says how it is")
    return picture


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
