"""Non-blocking byte transfer over a connection, with TLS or without."""

import contextlib
import select
import socket
import ssl
import struct
from typing import Self

from devices.uplink.connecting import Deadline, NetworkError, NetworkFault
from devices.uplink.tcp_info import TCP_NOTSENT_LOWAT, TcpInfo, tcp_info

_HELD_BYTES = 524_288
"""The most unsent bytes in the kernel: enough for a full link on a busy PC, and little to discard at the end."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing discards unsent data, which then loads no link."""
_LATER = struct.pack("ii", 0, 0)


class UplinkConnection:
    """An open connection; the `with` closes it and discards unsent data."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, _HELD_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it and discard unsent data; idempotent."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def leave(self) -> None:
        """Close it; sent data still arrives, unless received data was left unread. Idempotent."""
        with contextlib.suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LATER)
        self.close()

    def info(self) -> TcpInfo:
        """Return the kernel's facts about it."""
        return tcp_info(self._connection)

    def send(self, data: bytes | memoryview) -> int:
        """Return the number of accepted bytes of `data`, 0 while the buffer is full. Raises OSError when closed."""
        try:
            return self._connection.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def send_all(self, data: bytes, patience: Deadline) -> None:
        """Send a short message. Raises OSError when closed, NetworkError and Cancelled."""
        left = memoryview(data)
        while left:
            sent = self.send(left)
            left = left[sent:]
            if not sent and not self.wait(patience, to_send=True):
                raise NetworkError(NetworkFault.SILENT)

    def receive(self, most: int) -> bytes | None:
        """Return received bytes, b"" at the end, None while there are none. Raises OSError when closed."""
        try:
            return self._connection.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError:
            return b""

    def wait(self, patience: Deadline, *, to_send: bool = False) -> bool:
        """Wait until bytes came, or with `to_send` could be sent; False after the time. Raises Cancelled."""
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return True
        return patience.wait_for(self._connection, select.POLLIN | (select.POLLOUT if to_send else 0))
