"""A recorder of a test's own: in the runtime directory as real ones are, with a real socket and a scripted session."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from config.events import Event
from devices.host.clock import SystemClock
from recorder.control.server import ControlServer
from recorder.model.status import SessionResult, SessionStatus
from recorder.running import access, runtime_directory
from recorder.running.protocol import encode
from recorder.running.runtime_directory import RecorderFolder
from tests.support.scripted_session import RESULT, ScriptedSession, unchanged


class Told(ScriptedSession):
    """One that says of itself what a test wants."""

    def __init__(self, change: Callable[[SessionStatus], SessionStatus]) -> None:
        super().__init__()
        self.change = change

    def status(self) -> SessionStatus:
        return self.change(super().status())


class ServedRecorder:
    """Runs inside a `with`; it is this very process, so that it counts as alive."""

    def __init__(
        self, title: str = "Rapat senat", change: Callable[[SessionStatus], SessionStatus] = lambda status: status
    ) -> None:
        clock = SystemClock()
        self.info = runtime_directory.new_recorder_info(title, Path("/arsip"), clock.now())
        self.folder = runtime_directory.make_recorder_folder(self.info, b"{}")
        self.session = Told(change)
        self._server: ControlServer | None = ControlServer(self.folder.control, clock)
        self._server.start(self.session, unchanged)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.folder.remove()

    def tell(self, kind: str, subject: str = "podium", **detail: object) -> None:
        """Let something happen in its session."""
        assert self._server
        self._server.tell(Event(SystemClock().now(), kind, subject, detail, f"{subject}: {kind}"))

    def close(self) -> None:
        """Serve no more: a connection is refused."""
        if self._server:
            self._server.close()
            self._server = None

    def end(self, result: SessionResult = RESULT) -> None:
        """End in order, as a session does."""
        assert self._server
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
