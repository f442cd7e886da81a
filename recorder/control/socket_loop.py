"""The thread of a server on a Unix socket: waits for clients, is woken by other threads, and survives errors."""

import contextlib
import os
import select
import selectors
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import ReceiveBuffer
from recorder.running import access
from recorder.running.protocol import RecorderFailure, encode


class ClientChannel:
    """A client's socket and its received bytes; never blocks. Raises ConnectionError once it is closed or fails."""

    def __init__(self, connection: socket.socket, longest: int) -> None:
        """Make the socket non-blocking; a line has at most `longest` bytes."""
        connection.settimeout(0)
        self._connection = connection
        self._received = ReceiveBuffer(longest)
        self._sending = memoryview(b"")

    def fileno(self) -> int:
        """Return its descriptor, for a selector."""
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()

    @property
    def has_gone(self) -> bool:
        """Whether the client has closed both directions: nobody can read an answer."""
        looked = select.poll()
        looked.register(self._connection, 0)
        return bool(looked.poll(0))

    def _receive(self, most: int) -> bytes | None:
        """Return received bytes, b"" at the end, None if nothing came. Raises ConnectionError."""
        try:
            return self._connection.recv(most)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            raise ConnectionResetError from None

    def _send(self) -> bool:
        """Send without blocking; return whether any bytes went. Raises ConnectionError."""
        try:
            sent = self._connection.send(self._sending, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            raise ConnectionResetError from None
        self._sending = self._sending[sent:]
        return True


class SocketLoop[Client: ClientChannel](ABC):
    """Listens at a path on a thread of its own; subclasses implement one turn of its loop."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        client: Callable[[socket.socket, float], Client],
        *,
        name: str,
        most: int,
        full: str,
    ) -> None:
        """Listen. Raises OSError. `name` is the thread's; `full` follows the number of clients once they are `most`."""
        self._clock = clock
        self._new_client = client
        self._most = most
        self._full = full
        self._listener = access.listen_at(path, access.operators_gid())
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._wake_lock = threading.Lock()
        # An error in a turn must cost the session nothing: the next turn follows.
        self._task = BackgroundTask(
            name, self._turn, pause=lambda failures: 0.1 if failures else 0.0, over=self._drop_all, clock=clock
        )

    def _begin(self) -> None:
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._task.start()

    def close(self) -> None:
        """Close all connections; idempotent, blocks until the thread has ended."""
        self._task.stop()
        self._wake_up()
        self._task.join()
        with self._wake_lock:
            if self._wake >= 0:
                self._listener.close()
                self._selector.close()
                os.close(self._wake)
                self._wake = -1

    def _wake_up(self) -> None:
        """Wake the thread; thread-safe."""
        with self._wake_lock, contextlib.suppress(BlockingIOError):  # it is awake already
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _clear_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _now_s(self) -> float:
        return self._clock.now_ns() / NANOSECONDS

    def _drop_all(self) -> None:
        for client in list(self._clients):
            self._drop(client)

    @abstractmethod
    def _turn(self) -> None:
        """Wait for work, and do it."""

    def _listen_for(self, what: Client | socket.socket, events: int) -> None:
        known = what.fileno() in self._selector.get_map()
        if known and not events:
            self._selector.unregister(what)
        elif known:
            self._selector.modify(what, events, what)
        elif events:
            self._selector.register(what, events, what)

    def _accept(self) -> None:
        """Take the next client, or refuse it if there are too many."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            # It is gone, or no descriptor is free; retrying is all that helps.
            self._clock.wait(self._task.stopped, 0.01)
            return
        client = self._new_client(connection, self._now_s())
        if len(self._clients) < self._most:
            self._clients.add(client)
            return
        full = RecorderFailure(message=f"{len(self._clients)} {self._full}", hint="close one of them")
        with contextlib.suppress(OSError):
            connection.send(encode(full), socket.MSG_NOSIGNAL)
        client.close()

    def _drop(self, client: Client) -> None:
        if client.fileno() in self._selector.get_map():
            self._selector.unregister(client)
        self._clients.discard(client)
        client.close()
