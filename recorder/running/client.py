"""Clients of recorders: commands, events, previews, and the choice of a session. Loads no media library."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec

from config.errors import LiputError, SessionError, UsageError
from devices.host.deadline import DeadlineTasks
from devices.host.framing import ReceiveBuffer, TooLong
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import access, directory
from recorder.running.directory import RecorderFolder, RecorderInfo
from recorder.running.protocol import (
    LINES,
    PREVIEW_LENGTH,
    WIDEST,
    AnyRequest,
    Failure,
    Line,
    Look,
    Reply,
    Status,
    Told,
    encode,
    raised,
)

ANSWER_S = 5.0
"""The deadline of an answer; usually it takes 1 ms."""
_CHUNK = 256 * 1024
_LONGEST = 16 << 20
"""The largest line or preview in bytes, far above any real one."""


class Lost(SessionError):
    """The recorder closed the connection, or does not answer."""


def lost(recorder: str, how: str) -> Lost:
    """Return the error of the recorder with the id `recorder`; `how` completes the sentence."""
    return Lost(f"the recorder {recorder} {how}", hint="liput status says which sessions run")


class _Client:
    """A connection to a socket of a recorder; a context manager, not thread-safe."""

    def __init__(self, folder: RecorderFolder, path: Path, timeout_s: float) -> None:
        """Connect within `timeout_s`. Raises OSError."""
        self._id = folder.id
        self._received = ReceiveBuffer(_LONGEST)
        self._socket = access.connect(path, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the recorder goes on."""
        self._socket.close()

    def _send(self, line: bytes, timeout_s: float) -> None:
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(line)
        except OSError:
            raise lost(self._id, "takes no command") from None

    def _next(self, take: Callable[[], Any], deadline_s: float) -> Any:
        """Return the first result of `take` on received bytes, None at the deadline. Raises Lost."""
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
    """A connection to the control socket: sends commands, receives events and status. Not thread-safe."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        """Connect within `timeout_s`. Raises Lost."""
        try:
            super().__init__(folder, folder.control, timeout_s)
        except OSError as error:
            raise lost(folder.id, f"cannot be reached: {error.strerror or error}") from None
        self._told: deque[Told] = deque()
        self._number = 0

    def request(self, request: AnyRequest, timeout_s: float = ANSWER_S) -> Reply:
        """Send a command and return its reply; other lines are kept for `told`. Raises RecorderRefused, Lost."""
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
        """Return the descriptor for a selector; see `told`."""
        return self._socket.fileno()

    def told(self, timeout_s: float) -> Told | None:
        """Return the next line other than a reply, None after `timeout_s`. Raises Lost at the end.

        With 0 it does not wait. Call it until it returns None before selecting on `fileno`.
        """
        if self._told:
            return self._told.popleft()
        deadline_s = time.monotonic() + timeout_s
        while (line := self._line(deadline_s)) is not None:
            if not isinstance(line, Reply):
                return line
        return None

    def told_within(self, timeout_s: float) -> Iterator[Told]:
        """Yield lines for at most `timeout_s` seconds in all. Raises Lost at the end."""
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0 and (told := self.told(left_s)):
            yield told

    def _line(self, deadline_s: float) -> Line | None:
        line: Line | None = self._next(self._next_known_line, deadline_s)
        return line

    def _next_known_line(self) -> Line | None:
        """Return the next known line; lines of a newer recorder are skipped."""
        while (line := self._received.line()) is not None:
            with suppress(msgspec.MsgspecError):
                return LINES.decode(line)
        return None


class PreviewClient(_Client):
    """A connection to the preview socket: JPEGs of one source at a time. Not thread-safe."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        """Connect within `timeout_s`. Raises Lost."""
        try:
            super().__init__(folder, folder.preview, timeout_s)
        except OSError:
            raise lost(folder.id, "cannot be looked at") from None

    def look(self, look: Look, timeout_s: float = ANSWER_S) -> None:
        """Select a source. Raises RecorderRefused (as for an unknown source), and Lost."""
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
        # Previews of the former source may come first: JSON begins with a brace, a length never does.
        while (first := self._received.peek(1)) is not None and first != b"{":
            if self._picture() is None:
                return None
        return None if first is None else self._received.line()

    def _picture(self) -> bytes | None:
        return self._received.block(PREVIEW_LENGTH)

    def picture(self, timeout_s: float) -> bytes | None:
        """Return the next JPEG, None after `timeout_s`. Raises Lost at the end."""
        picture: bytes | None = self._next(self._picture, time.monotonic() + timeout_s)
        return picture


def look_once(folder: RecorderFolder, source: str, timeout_s: float) -> bytes:
    """Return the next preview of `source`, the largest JPEG. Raises SessionError after `timeout_s`, RecorderRefused."""
    picture = None
    with suppress(Lost), PreviewClient(folder, timeout_s) as client:
        client.look(Look(source=source, fps=5.0, width=WIDEST), timeout_s)
        picture = client.picture(timeout_s)
    if picture is None:
        raise SessionError(f"the recorder {folder.id} shows no picture of {source}", hint="liput status says how it is")
    return picture


def how_it_ended(folder: RecorderFolder) -> SessionResult | Failure | None:
    """Return the last line of an ended recorder, None of a killed one."""
    line = folder.last_line
    try:
        end = LINES.decode(line) if line else None
    except msgspec.MsgspecError:
        return None
    return end if isinstance(end, SessionResult | Failure) else None


def ask(folder: RecorderFolder, request: AnyRequest, timeout_s: float = ANSWER_S) -> Reply:
    """Connect, send a command and return its reply, within `timeout_s` in all. Raises like `Connection`."""
    deadline_s = time.monotonic() + timeout_s
    with Connection(folder, timeout_s) as connection:
        return connection.request(request, max(0.0, deadline_s - time.monotonic()))


PATIENCE_S = 2.0
"""The deadline of a status, which usually takes 1 ms."""
OPEN_S = 30.0
"""The deadline of a request to a hung recorder; until then it gets no other request."""

type Preference = Sequence[Sequence[SessionState]]
"""Groups of states, the likeliest first: the first group that matches selects the session."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running recorder and its status, None if it does not answer."""

    folder: RecorderFolder
    info: RecorderInfo
    status: SessionStatus | None

    @property
    def state(self) -> SessionState | None:
        """The state of its session, None if it does not answer."""
        return self.status.state if self.status else None

    def __str__(self) -> str:
        return f'{self.info.id} "{self.info.title}"'


_questions: DeadlineTasks[Path, SessionStatus | None] = DeadlineTasks("status")
"""Pending status requests by folder: a hung recorder gets one at a time, for more would fill its socket's queue."""


def running() -> list[Running]:
    """Return the running recorders, oldest first. They are asked in parallel; blocks for PATIENCE_S at most."""
    return _with_status(list(directory.alive()))


def running_as(recorder_id: str) -> Running | None:
    """Return the running recorder with this full id, None without one; asks no other."""
    return next(iter(_with_status([one for one in directory.alive() if one[1].id == recorder_id])), None)


def _with_status(alive: Sequence[tuple[RecorderFolder, RecorderInfo]]) -> list[Running]:
    """Ask recorders for their status in parallel; without a free thread, one by one."""
    answers = _questions.ask({folder.path: partial(_status, folder, OPEN_S) for folder, _ in alive}, PATIENCE_S)
    found = []
    for folder, info in alive:
        answer = answers.get(folder.path)
        if isinstance(answer, RuntimeError):
            answer = _status(folder, PATIENCE_S)
        found.append(Running(folder, info, answer if isinstance(answer, SessionStatus) else None))
    return found


def _status(folder: RecorderFolder, timeout_s: float) -> SessionStatus | None:
    with suppress(LiputError):
        return ask(folder, Status(), timeout_s).status
    return None


def session(key: str | None, preference: Preference) -> Running:
    """Return the session of an id or its beginning, else by `preference`.

    Raises SessionError (none), UsageError (several).
    """
    found = running()
    if key is not None:
        named = [one for one in found if one.info.id.startswith(key.lower())] if key else []
        if not named:
            raise SessionError(f"no session that runs is called {key}", hint=_running_text(found), why="missing")
        return _single(named)
    if not found:
        raise SessionError("no session runs", hint="liput arm or liput record begins one", why="missing")
    for states in preference:
        if fitting := [one for one in found if one.state in states]:
            return _single(fitting)
    return _single(found)


def _single(found: Sequence[Running]) -> Running:
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} sessions could be meant: {', '.join(map(str, found))}", hint="say which one: --session ID"
        )
    return found[0]


def _running_text(found: Sequence[Running]) -> str:
    return f"these run: {', '.join(map(str, found))}" if found else "none runs"
