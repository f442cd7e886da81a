"""The thread of a server on a Unix socket: it waits for its clients, is woken from outside, and outlives mistakes."""

import contextlib
import os
import select
import selectors
import socket
import threading
from abc import ABC, abstractmethod
from pathlib import Path

from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import ReceiveBuffer
from recorder.running import access
from recorder.running.access import operators


class Channel:
    """The socket of one client, and what has come through it.

    ConnectionError is raised where the other side has closed, or can be read and written no more.
    """

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
        """Return what has come, b"" where no more will, None where nothing has. Raises ConnectionError."""
        try:
            return self._connection.recv(most)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            raise ConnectionResetError from None

    def _send(self) -> bool:
        """Send what the other side takes now; return whether it took any. Raises ConnectionError."""
        try:
            sent = self._connection.send(self._sending, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            raise ConnectionResetError from None
        self._sending = self._sending[sent:]
        return True


class SocketLoop[Client: Channel](ABC):
    """Listens at a path and takes turns on a thread of its own; a turn is what the server makes of it."""

    def __init__(self, path: Path, clock: Clock, *, name: str, backlog: int = access.BACKLOG) -> None:
        """Listen; raises OSError. `name` is the thread's."""
        self._clock = clock
        self._listener = access.listen(path, backlog, operators())
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._wake_lock = threading.Lock()
        # A mistake in a turn must cost a session nothing: the next may be better.
        self._task = BackgroundTask(name, self._turn, pause=_pause_s, over=self._drop_all, clock=clock)

    def _begin(self) -> None:
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._task.start()

    def close(self) -> None:
        """Let go of all clients; idempotent."""
        self._task.stop()
        self._ring()
        self._task.join()
        with self._wake_lock:
            if self._wake >= 0:
                self._listener.close()
                self._selector.close()
                os.close(self._wake)
                self._wake = -1

    def _ring(self) -> None:
        """Let the thread take a turn; from any thread."""
        with self._wake_lock, contextlib.suppress(BlockingIOError):  # which says that it is ringing already
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _rung(self) -> None:
        """Take note that it was rung."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _now_s(self) -> float:
        return self._clock.now_ns() / NANOSECONDS

    # The thread

    def _drop_all(self) -> None:
        for client in list(self._clients):
            self._drop(client)

    @abstractmethod
    def _turn(self) -> None:
        """Wait until there is something to do, and do it."""

    def _listen_for(self, what: Client | socket.socket, events: int) -> None:
        known = what.fileno() in self._selector.get_map()
        if known and not events:
            self._selector.unregister(what)
        elif known:
            self._selector.modify(what, events, what)
        elif events:
            self._selector.register(what, events, what)

    def _connection(self) -> socket.socket | None:
        """Return the next connection, None if it is gone again."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            # Gone again; or no descriptor is left, and then there is nothing to do but to go on.
            self._clock.wait(self._task.stopped, 0.01)
            return None
        return connection

    def _drop(self, client: Client) -> None:
        if client.fileno() in self._selector.get_map():
            self._selector.unregister(client)
        self._clients.discard(client)
        client.close()


def _pause_s(failures: int) -> float:
    return 0.1 if failures else 0.0
