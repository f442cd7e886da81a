"""Looking at the previews of a recorder, from another process. Light to import: no media library.

Whoever looks may go away at any time; the recorder goes on.
"""

import struct
import time
from types import TracebackType
from typing import Self

import msgspec

from recorder.control import sockets
from recorder.control.client import ANSWER_S, lost
from recorder.control.directory import RecorderFolder
from recorder.control.protocol import LINES, Failure, Look, Reply, raised

_LENGTH = struct.Struct(">I")
_LARGEST = 8 << 20
_CHUNK = 256 * 1024


class Looker:
    """A connection to the preview socket of one recorder, for one thread; a context manager."""

    def __init__(self, folder: RecorderFolder) -> None:
        """Connect. Raises Lost."""
        self._id = folder.id
        self._received = bytearray()
        try:
            self._socket = sockets.connect(folder.preview, ANSWER_S)
        except OSError:
            raise lost(self._id, "cannot be looked at") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def look(self, look: Look) -> None:
        """Ask for other pictures from now on. Raises the refusal, as of a source that there is not, and Lost."""
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.sendall(msgspec.json.encode(look) + b"\n")
        except OSError:
            raise lost(self._id, "takes no wish for pictures") from None
        deadline_s = time.monotonic() + ANSWER_S
        # A picture of what was looked at before may still come first; JSON begins with a brace, a length never does.
        while True:
            self._need(1, deadline_s)
            if self._received[:1] == b"{":
                break
            self._picture(deadline_s)
        while b"\n" not in self._received:
            self._need(len(self._received) + 1, deadline_s)
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        self._judge(line)

    def _judge(self, line: bytes) -> None:
        answer = LINES.decode(line)
        if isinstance(answer, Failure):
            raise raised(answer)
        if isinstance(answer, Reply) and answer.error is not None:
            raise raised(answer.error)

    def picture(self, timeout_s: float) -> bytes | None:
        """Return the next picture, a JPEG; None where none has come in time. Raises Lost at the end."""
        deadline_s = time.monotonic() + timeout_s
        try:
            return self._picture(deadline_s)
        except TimeoutError:
            return None

    def _picture(self, deadline_s: float) -> bytes:
        self._need(_LENGTH.size, deadline_s)
        (length,) = _LENGTH.unpack(self._received[: _LENGTH.size])
        if length > _LARGEST:
            raise lost(self._id, "sends no pictures")
        self._need(_LENGTH.size + length, deadline_s)
        jpeg = bytes(self._received[_LENGTH.size : _LENGTH.size + length])
        del self._received[: _LENGTH.size + length]
        return jpeg

    def _need(self, count: int, deadline_s: float) -> None:
        """Receive until so many bytes are there. Raises TimeoutError, Lost."""
        while len(self._received) < count:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            try:
                piece = self._socket.recv(_CHUNK)
            except TimeoutError:
                raise
            except OSError:
                piece = b""
            if not piece:
                raise lost(self._id, "shows no more pictures")
            self._received += piece
