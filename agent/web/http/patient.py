"""The server's connections with deadlines, which uvicorn does not have.

A request comes in within HEADER_S of its first byte; a client that takes nothing for UNREAD_S is let go.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from agent.web.http.limits import HEADER_S, UNREAD_S

_COMING = {h11.IDLE, h11.SEND_BODY}
"""What h11 says of a client whose request is not complete."""


class _Timer:
    """Lets a connection go unless it is stopped in time."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Let it go in time; one that runs already goes on."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._transport.abort)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Http(H11Protocol):
    """A connection for requests."""

    _is_handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin."""
        super().connection_made(transport)
        self._request = _Timer(transport, HEADER_S)
        self._unread = _Timer(transport, UNREAD_S)
        self._request.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._request.stop()
        self._unread.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come; what is the beginning of a request has to be followed by the rest of it."""
        super().data_received(data)
        if self._is_handed_over or self.transport.is_closing() or self.conn.their_state not in _COMING:
            self._request.stop()
        else:
            self._request.start()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand it over to another protocol, which has a time of its own."""
        self._is_handed_over = True
        self._request.stop()
        self._unread.stop()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Go on; a client that has been answered may be silent as long as it is kept."""
        if self.conn.their_state not in _COMING:
            self._request.stop()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has taken what it was sent, not for ever."""
        super().pause_writing()
        self._unread.start()

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        self._unread.stop()


class Socket(WebSocketsSansIOProtocol):
    """A connection for a WebSocket."""

    _unread: _Timer | None = None

    def pause_writing(self) -> None:
        """Wait until the client has taken what it was sent, not for ever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = _Timer(self.transport, UNREAD_S)
        self._unread.start()

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._unread is not None:
            self._unread.stop()
        super().connection_lost(exc)
