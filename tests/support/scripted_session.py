"""A session that does nothing but say what it was told, for tests of whatever controls one."""

import threading
from datetime import UTC, datetime

from config.errors import UsageError
from recorder.model.marks import Mark
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running.protocol import DestinationChange
from recorder.session.session import Session


def unchanged(_: DestinationChange) -> str:
    """Change no destination."""
    return ""


class ScriptedSession(Session):
    """Does nothing; `frames` counts the statuses that were asked for."""

    def __init__(self, state: SessionState = SessionState.LIVE) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.state = state
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
        return SessionStatus(
            state=self.state, elapsed_s=1.0, media_time_s=0.5, bytes=5, frames=self.asked, dropped=0, repeated=0,
            fps=30.0, levels_dbfs=[], disk_left_s=None, destinations=[],
        )  # fmt: skip


RESULT = SessionResult(state=SessionState.SEALED, package="/arsip/p", duration_s=1.0, frames=30, degraded=[])
