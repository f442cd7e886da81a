"""An RTMP server that refuses every application, in words of the test's own, as servers with a login do."""

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from agent.sessions.receiver import HOST

_HELLO = 1536
_CHUNK = 128
_END = b"\0\0\t"
NEED_AUTH = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
CHALLENGE = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=ab&challenge=cd&opaque=ef"
"""The first two answers to somebody with a login; the client connects anew after each."""


class ScriptedRtmp:
    """Gives one of `answers` to each connection, one after the other, and hangs up; `asked` is what it was sent."""

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = answers
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(30)
        self._thread = threading.Thread(target=self._serve, name="scripted-rtmp", daemon=True)
        self.port = int(self._listener.getsockname()[1])
        self.asked: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._thread.join(60)

    def _serve(self) -> None:
        for answer in self._answers:
            client, _ = self._listener.accept()
            client.settimeout(30)
            with client, client.makefile("rb") as incoming:
                incoming.read(1 + _HELLO)
                client.sendall(b"\3" + bytes(2 * _HELLO))
                incoming.read(_HELLO)
                asked = b""
                while not asked.endswith(_END) and (more := incoming.read(1)):
                    asked += more
                self.asked.append(asked)
                client.sendall(_refusal(answer))
                with contextlib.suppress(ConnectionError):
                    incoming.read()


def _refusal(description: str) -> bytes:
    """Return the answer to `connect` that says no."""
    fields = {"level": "error", "code": "NetConnection.Connect.Rejected", "description": description}
    body = b"\2" + _text("_error") + b"\0" + struct.pack(">d", 1) + b"\5\3"
    body += b"".join(_text(name) + b"\2" + _text(value) for name, value in fields.items()) + _END
    head = b"\3" + bytes(3) + len(body).to_bytes(3) + b"\x14" + bytes(4)
    return head + b"\xc3".join(body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
