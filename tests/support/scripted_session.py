"""A session that does nothing but say what it was told, for tests of whatever controls one."""

import threading
from dataclasses import dataclass

from config.errors import UsageError
from recorder.model.status import SessionResult, SessionState, SessionStatus


@dataclass
class ScriptedMark:
    """What a mark is answered with."""

    text: str


class ScriptedSession:
    """Implements recorder.control.commands.Controlled; `frames` counts the statuses that were asked for."""

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

    def mark(self, text: str) -> ScriptedMark:
        if not text:
            raise UsageError("the mark is empty", hint="say something")
        self.calls.append(("mark", text))
        return ScriptedMark(text)

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
