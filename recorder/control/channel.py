"""A connected socket that never blocks, as both servers of a recorder use it."""

import select
import socket

from devices.host.framing import ReceiveBuffer


class Gone(Exception):
    """The other side has closed, or can be read and written no more."""


class Channel:
    """The socket of one client, and what has come through it."""

    def __init__(self, connection: socket.socket, longest: int) -> None:
        """`longest` is the most bytes of a line."""
        connection.settimeout(0)
        self._connection = connection
        self._received = ReceiveBuffer(longest)
        self._sending = memoryview(b"")

    def fileno(self) -> int:
        """Return its descriptor, for a selector."""
        return self._connection.fileno()

    def close(self) -> None:
        """Let it go."""
        self._connection.close()

    @property
    def has_gone(self) -> bool:
        """Whether the other side has closed altogether: nobody is there any more who could read an answer."""
        looked = select.poll()
        looked.register(self._connection, 0)
        return bool(looked.poll(0))

    def _receive(self, most: int) -> bytes | None:
        """Return what has come, b"" where no more will, None where nothing has. Raises Gone."""
        try:
            return self._connection.recv(most)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            raise Gone from None

    def _send(self) -> bool:
        """Send of what is on its way what the other side takes now; return whether it took any. Raises Gone."""
        try:
            sent = self._connection.send(self._sending, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            raise Gone from None
        self._sending = self._sending[sent:]
        return True
