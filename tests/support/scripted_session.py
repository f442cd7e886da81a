"""A session that follows a script, and its recorder with a real control socket, for tests of its clients."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from config.errors import UsageError
from config.events import Event
from devices.host.clock import SystemClock
from recorder.control.server import ControlServer
from recorder.model.marks import Mark
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import access, protocol, runtime_directory
from recorder.running.client import ControlClient
from recorder.running.protocol import encode
from recorder.running.runtime_directory import RecorderFolder
from recorder.session.session import Session

type ChangeStatus = Callable[[SessionStatus], SessionStatus]


class ScriptedSession(Session):
    """Does nothing; `frames` counts the statuses that were asked for, which `change` may change."""

    def __init__(self, change: ChangeStatus = lambda status: status) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.state, self.change = SessionState.LIVE, change
        self.asked = 0
        self.over = threading.Event()

    def run(self) -> SessionResult:
        self.over.wait()
        return RESULT

    def start(self, pre_roll_s: float = 0.0) -> None:
        self.calls.append(("start", pre_roll_s))

    def stop(self) -> None:
        self.calls.append(("stop",))
        self.over.set()

    def mark(self, text: str) -> Mark:
        if not text:
            raise UsageError("the mark is empty", hint="say something")
        self.calls.append(("mark", text))
        return Mark(at=datetime(2026, 11, 25, tzinfo=UTC), media_s=1.0, text=text)

    def mute(self, name: str | None, *, on: bool) -> None:
        self.calls.append(("mute", name, on))

    def layout(self, name: str) -> None:
        self.calls.append(("layout", name))
        raise ZeroDivisionError("a mistake")

    def status(self) -> SessionStatus:
        self.asked += 1
        status = SessionStatus(
            state=self.state, elapsed_s=1.0, media_time_s=0.5, bytes=5, frames=self.asked, dropped=0, repeated=0,
            fps=30.0, levels_dbfs=[], disk_left_s=None, destinations=[],
        )  # fmt: skip
        return self.change(status)


RESULT = SessionResult(state=SessionState.SEALED, package="/arsip/p", duration_s=1.0, frames=30, degraded=[])
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


class Served:
    """A scripted session behind a real socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = RecorderFolder(folder)
        self.session = ScriptedSession()
        self.server = ControlServer(self.folder.control, SystemClock())
        self.server.start(self.session, lambda _: "")
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


class ServedRecorder:
    """Runs inside a `with`; it is this very process, so that it counts as alive."""

    def __init__(self, title: str = "Rapat senat", change: ChangeStatus = lambda status: status) -> None:
        clock = SystemClock()
        self.info = runtime_directory.new_recorder_info(title, Path("/arsip"), clock.now())
        self.folder = runtime_directory.make_recorder_folder(self.info, b"{}")
        self.session = ScriptedSession(change)
        self._server = ControlServer(self.folder.control, clock)
        self._server.start(self.session, lambda _: "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
        self.folder.remove()

    def tell(self, kind: str, subject: str = "podium", **detail: object) -> None:
        self._server.tell(Event(SystemClock().now(), kind, subject, detail, f"{subject}: {kind}"))

    def close(self) -> None:
        """Serve no more: a connection is refused."""
        self._server.close()

    def end(self, result: SessionResult = RESULT) -> None:
        """End in order, as a session does."""
        self._server.finish(result)
        self._server.wait_told(5.0)
        self.close()
        self.folder.end(encode(result))

    def kill(self) -> None:
        """Leave everything as a recorder does that is killed."""
        self.close()
        self.folder.write_info(msgspec.structs.replace(self.info, pid_started=self.info.pid_started - 1))


@contextmanager
def hanging(title: str = "Rapat senat", clients: int = 0) -> Iterator[tuple[RecorderFolder, socket.socket]]:
    """Provide a recorder that hangs, and its socket: so many `clients` wait for it already, and nobody is answered."""
    folder = runtime_directory.make_recorder_folder(
        runtime_directory.new_recorder_info(title, Path("/arsip"), SystemClock().now()), b"{}"
    )
    with closing(access.listen_at(folder.control)) as listener, ExitStack() as crowd:
        for _ in range(clients):
            crowd.enter_context(closing(access.connect_to(folder.control, 60.0)))
        try:
            yield folder, listener
        finally:
            folder.remove()


def taken(listener: socket.socket) -> int:
    """Return how many had connected to a recorder that hangs; they are hung up on."""
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
