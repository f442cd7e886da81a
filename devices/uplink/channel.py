"""Bytes over a connection, with TLS or without, of which no call blocks."""

import contextlib
import select
import socket
import ssl
import struct
from typing import Self

from devices.uplink.connecting import NetworkTrouble, Patience, Trouble
from devices.uplink.tcp_info import TCP_NOTSENT_LOWAT, TcpInfo, tcp_info

_HELD_BYTES = 524_288
"""What may wait in this PC: enough for a busy one to keep a fast link full, and little to throw away at the end."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""For SO_LINGER: what was not sent is forgotten when it is closed, and loads nobody's link any more."""
_LATER = struct.pack("ii", 0, 0)


class Channel:
    """A connection that is there; closed at the end of the `with`, and with it what was not sent yet."""

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
        """Be gone at once; idempotent."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def leave(self) -> None:
        """Be gone; what was sent still arrives, as long as nothing came that was not received. Idempotent."""
        with contextlib.suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LATER)
        self.close()

    def info(self) -> TcpInfo:
        """Return what the kernel knows of it."""
        return tcp_info(self._connection)

    def send(self, data: bytes | memoryview) -> int:
        """Return how many bytes of `data` were taken, 0 where there is no room now. Raises OSError when it is gone."""
        try:
            return self._connection.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def send_all(self, data: bytes, patience: Patience) -> None:
        """Send a short message. Raises OSError when the connection is gone, NetworkTrouble and Stopped."""
        left = memoryview(data)
        while left:
            sent = self.send(left)
            left = left[sent:]
            if not sent and not self.wait(patience, to_send=True):
                raise NetworkTrouble(Trouble.SILENT)

    def receive(self, most: int) -> bytes | None:
        """Return what has come, b"" at the end, None where nothing has come yet. Raises OSError when it is gone."""
        try:
            return self._connection.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError:
            return b""

    def wait(self, patience: Patience, *, to_send: bool = False) -> bool:
        """Wait until something came, or could be sent too; False when it took too long. Raises Stopped."""
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return True
        return patience.wait_for(self._connection, select.POLLIN | (select.POLLOUT if to_send else 0))
