"""Deadlines for connections, which uvicorn lacks: for an incoming request, and for unread data."""

import asyncio
from functools import cached_property

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from agent.web.http.limits import HEADER_S, UNREAD_S

_COMING = {h11.IDLE, h11.SEND_BODY}  # states of h11 while a request arrives


class _Timer:
    """Aborts a connection after `seconds` unless stopped."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start unless it runs."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._transport.abort)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class _ReadingConnection(asyncio.Protocol):
    """Aborts a connection to a client that does not read."""

    transport: asyncio.Transport

    @cached_property
    def _unread(self) -> _Timer:
        return _Timer(self.transport, UNREAD_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.stop()
        super().connection_lost(exc)


class HttpConnection(_ReadingConnection, H11Protocol):
    _is_handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._request = _Timer(transport, HEADER_S)
        self._request.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the deadline with the first byte of a request; stop it at the end."""
        super().data_received(data)
        if self._is_handed_over or self.transport.is_closing() or self.conn.their_state not in _COMING:
            self._request.stop()
        else:
            self._request.start()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the WebSocket, which has deadlines of its own."""
        self._is_handed_over = True
        self._request.stop()
        self._unread.stop()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Allow an idle client until its keep-alive ends."""
        if self.conn.their_state not in _COMING:
            self._request.stop()
        super().on_response_complete()


class WebSocketConnection(_ReadingConnection, WebSocketsSansIOProtocol):
    """A WebSocket connection."""
