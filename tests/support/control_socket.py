"""A scripted session behind a real control socket, and what those who talk to it read there."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from config.events import Event
from devices.host.clock import SystemClock
from recorder.control.server import ControlServer
from recorder.running import access, protocol
from recorder.running.client import ControlClient
from recorder.running.runtime_directory import RecorderFolder
from tests.support.scripted_session import ScriptedSession, unchanged

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


class Served:
    """A scripted session behind a real socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = RecorderFolder(folder)
        self.session = ScriptedSession()
        self.server = ControlServer(self.folder.control, SystemClock())
        self.server.start(self.session, unchanged)
        self._stack = ExitStack()
        self._number = 0

    def connect(self) -> ControlClient:
        return self._stack.enter_context(ControlClient(self.folder))

    def raw(self) -> socket.socket:
        return self._stack.enter_context(closing(access.connect_to(self.folder.control, 10.0)))

    def watching(self, every_s: float = 3600.0, events_from: int | None = None) -> ControlClient:
        connection = self.connect()
        connection.request(protocol.WatchCommand(every_s=every_s, events_from=events_from))
        return connection

    def tell(self, count: int = 1, size: int = 0) -> None:
        for _ in range(count):
            self.server.tell(Event(NOW, "mark", str(self._number), {"x": "x" * size}, "told"))
            self._number += 1

    def close(self) -> None:
        self._stack.close()
        self.server.close()


def subjects(connection: ControlClient, count: int) -> list[int]:
    """Return the numbers of the next `count` events, passing over statuses."""
    found: list[int] = []
    while len(found) < count:
        told = connection.told(20.0)
        assert told is not None, f"{len(found)} of {count} have come"
        if isinstance(told, Event):
            found.append(int(told.subject))
    return found


def lines(connection: socket.socket) -> Iterator[dict[str, object]]:
    """Yield what comes, up to the end of the connection; a line that was cut off there is none."""
    received = b""
    while True:
        with contextlib.suppress(ConnectionResetError):  # it has not read all that we sent
            if chunk := connection.recv(4096):
                *whole, received = (received + chunk).split(b"\n")
                yield from map(json.loads, whole)
                continue
        return


def all_of(connection: socket.socket) -> list[dict[str, object]]:
    """Return every line up to the end of the connection."""
    return list(lines(connection))
