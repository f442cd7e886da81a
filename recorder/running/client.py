"""Clients of recorders: commands, events, previews, and the choice of a session. Loads no media library."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import msgspec

from config.errors import LiputError, SessionError, UsageError
from devices.host.deadline import DeadlineTasks
from devices.host.framing import FrameTooLong, ReceiveBuffer
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import access, runtime_directory
from recorder.running.protocol import (
    LARGEST_PREVIEW_WIDTH,
    LINE_DECODER,
    PREVIEW_LENGTH,
    AnyRequest,
    CommandReply,
    ControlLine,
    PreviewCommand,
    RecorderFailure,
    RecorderMessage,
    RecorderRefused,
    StatusCommand,
    encode,
)
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo

ANSWER_S = 5.0  # the deadline of an answer; usually it takes 1 ms
_CHUNK = 256 * 1024
_LONGEST = 16 << 20  # the largest line or preview in bytes, far above any real one


class RecorderLost(SessionError):
    """The recorder closed the connection, or does not answer."""


def lost_error(recorder: str, how: str) -> RecorderLost:
    """Return the error of the recorder with the id `recorder`; `how` completes the sentence."""
    return RecorderLost(f"the recorder {recorder} {how}", hint="liput status lists running sessions")


class _Client:
    """A connection to a socket of a recorder; a context manager, not thread-safe."""

    def __init__(self, folder: RecorderFolder, path: Path, timeout_s: float) -> None:
        """Connect within `timeout_s`. Raises RecorderLost."""
        self._id = folder.id
        self._received = ReceiveBuffer(_LONGEST)
        try:
            self._socket = access.connect_to(path, timeout_s)
        except OSError as error:
            raise lost_error(folder.id, f"cannot be reached: {error.strerror or error}") from None

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
        except BrokenPipeError:
            pass  # it has closed, maybe after a refusal: what it has said is read next
        except OSError:
            raise lost_error(self._id, "takes no command") from None

    def _next[T](self, take: Callable[[], T], deadline_s: float) -> T | None:
        """Return the first result of `take` on received bytes, None at the deadline. Raises Lost."""
        try:
            while (found := take()) is None:
                if not self._receive(deadline_s):
                    return None
        except FrameTooLong as error:
            raise lost_error(self._id, f"makes no sense: {error}") from None
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
            raise lost_error(self._id, "has ended")
        self._received.add(received)
        return True


class ControlClient(_Client):
    """A connection to the control socket: sends commands, receives events and status. Not thread-safe."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        super().__init__(folder, folder.control, timeout_s)
        self._told: deque[RecorderMessage] = deque()
        self._number = 0

    def request(self, request: AnyRequest, timeout_s: float = ANSWER_S) -> CommandReply:
        """Send a command and return its reply; other lines are kept for `told`. Raises RecorderRefused, Lost."""
        self._number += 1
        deadline_s = time.monotonic() + timeout_s
        self._send(encode(msgspec.structs.replace(request, id=self._number)), timeout_s)
        while (line := self._line(deadline_s)) is not None:
            if not isinstance(line, CommandReply):
                self._told.append(line)
            elif line.id == self._number or line.id is None:
                if line.error is not None:
                    raise RecorderRefused(line.error)
                return line
        raise lost_error(self._id, "does not answer")

    def fileno(self) -> int:
        """Return the descriptor for a selector; see `told`."""
        return self._socket.fileno()

    def told(self, timeout_s: float) -> RecorderMessage | None:
        """Return the next line other than a reply, None after `timeout_s`. Raises Lost at the end.

        With 0 it does not wait. Call it until it returns None before selecting on `fileno`.
        """
        if self._told:
            return self._told.popleft()
        deadline_s = time.monotonic() + timeout_s
        while (line := self._line(deadline_s)) is not None:
            if not isinstance(line, CommandReply):
                return line
        return None

    def told_within(self, timeout_s: float) -> Iterator[RecorderMessage]:
        """Yield lines for at most `timeout_s` seconds in all. Raises the session's failure, and Lost at the end."""
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0 and (told := self.told(left_s)):
            if isinstance(told, RecorderFailure):
                raise RecorderRefused(told)
            yield told

    def _line(self, deadline_s: float) -> ControlLine | None:
        return self._next(self._next_known_line, deadline_s)

    def _next_known_line(self) -> ControlLine | None:
        """Return the next known line; lines of a newer recorder are skipped."""
        while (line := self._received.line()) is not None:
            with suppress(msgspec.MsgspecError):
                return LINE_DECODER.decode(line)
        return None


class PreviewClient(_Client):
    """A connection to the preview socket: JPEGs of one source at a time. Not thread-safe."""

    def __init__(self, folder: RecorderFolder, timeout_s: float = ANSWER_S) -> None:
        super().__init__(folder, folder.preview, timeout_s)

    def look(self, look: PreviewCommand, timeout_s: float = ANSWER_S) -> None:
        """Select a source. Raises RecorderRefused (as for an unknown source), and Lost."""
        deadline_s = time.monotonic() + timeout_s
        self._send(msgspec.json.encode(look) + b"\n", timeout_s)
        line = self._next(self._answer, deadline_s)
        if line is None:
            raise lost_error(self._id, "does not answer")
        try:
            answer = LINE_DECODER.decode(line)
        except msgspec.MsgspecError:
            raise lost_error(self._id, "makes no sense") from None
        if isinstance(answer, RecorderFailure):
            raise RecorderRefused(answer)
        if isinstance(answer, CommandReply) and answer.error is not None:
            raise RecorderRefused(answer.error)

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
        return self._next(self._picture, time.monotonic() + timeout_s)


def fetch_preview(folder: RecorderFolder, source: str, timeout_s: float) -> bytes:
    """Return the next preview of `source`, the largest JPEG. Raises SessionError after `timeout_s`, RecorderRefused."""
    picture = None
    with suppress(RecorderLost), PreviewClient(folder, timeout_s) as client:
        client.look(PreviewCommand(source=source, fps=5.0, width=LARGEST_PREVIEW_WIDTH), timeout_s)
        picture = client.picture(timeout_s)
    if picture is None:
        raise SessionError(f"the recorder {folder.id} shows no picture of {source}", hint="liput status says how it is")
    return picture


def read_result(folder: RecorderFolder) -> SessionResult | RecorderFailure | None:
    """Return the last line of an ended recorder, None of a killed one."""
    line = folder.last_line
    try:
        end = LINE_DECODER.decode(line) if line else None
    except msgspec.MsgspecError:
        return None
    return end if isinstance(end, SessionResult | RecorderFailure) else None


def send_command(folder: RecorderFolder, request: AnyRequest, timeout_s: float = ANSWER_S) -> CommandReply:
    """Connect, send a command and return its reply, within `timeout_s` in all. Raises like `ControlClient`."""
    deadline_s = time.monotonic() + timeout_s
    with ControlClient(folder, timeout_s) as connection:
        return connection.request(request, max(0.0, deadline_s - time.monotonic()))


PATIENCE_S = 2.0  # the deadline of a status, which usually takes 1 ms
OPEN_S = 30.0  # the deadline of a request to a hung recorder; until then it gets no other request

type Preference = Sequence[Sequence[SessionState]]
"""Groups of states, the likeliest first: the first group that matches selects the session."""


@dataclass(frozen=True, slots=True)
class RunningRecorder:
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


def running_recorders() -> list[RunningRecorder]:
    """Return the running recorders, oldest first. They are asked in parallel; blocks for PATIENCE_S at most."""
    return _with_status(runtime_directory.alive_recorders())


def preview_recorder() -> RunningRecorder | None:
    """Return the recorder that shows the room while no session runs."""
    return next(iter(_with_status(runtime_directory.alive_recorders(previews=True))), None)


def find_running(recorder_id: str) -> RunningRecorder | None:
    """Return the running recorder with this full id, None without one; asks no other."""
    found = _with_status([one for one in runtime_directory.alive_recorders() if one[1].id == recorder_id])
    return found[0] if found else None


def _with_status(alive: Sequence[tuple[RecorderFolder, RecorderInfo]]) -> list[RunningRecorder]:
    """Ask recorders for their status in parallel; without a free thread, one by one."""
    answers = _questions.ask({folder.path: partial(_status, folder, OPEN_S) for folder, _ in alive}, PATIENCE_S)
    found = []
    for folder, info in alive:
        answer = answers.get(folder.path)
        if isinstance(answer, RuntimeError):
            answer = _status(folder, PATIENCE_S)
        found.append(RunningRecorder(folder, info, answer if isinstance(answer, SessionStatus) else None))
    return found


def _status(folder: RecorderFolder, timeout_s: float) -> SessionStatus | None:
    with suppress(LiputError):
        return send_command(folder, StatusCommand(), timeout_s).status
    return None


def select_session(key: str | None, preference: Preference) -> RunningRecorder:
    """Return the session of an id or its beginning, else by `preference`.

    Raises SessionError (none), UsageError (several).
    """
    found = running_recorders()
    if key is not None:
        named = [one for one in found if one.info.id.startswith(key.lower())] if key else []
        if not named:
            known = f"these run: {', '.join(map(str, found))}" if found else "none runs"
            raise SessionError(f"no running session is called {key}", hint=known, why="no-session")
        return _single(named)
    if not found:
        raise SessionError("no session runs", hint="liput arm or liput record begins one", why="no-session")
    for states in preference:
        if fitting := [one for one in found if one.state in states]:
            return _single(fitting)
    return _single(found)


def _single(found: Sequence[RunningRecorder]) -> RunningRecorder:
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} sessions match: {', '.join(map(str, found))}", hint="choose one: --session ID", why="several"
        )
    return found[0]
