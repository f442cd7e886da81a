"""Which sessions run, how they are, and which of them is meant."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.errors import LiputError, NoSession, UsageError
from devices.host import threads
from recorder.control import directory
from recorder.control.client import ask
from recorder.control.directory import RecorderFolder, RecorderInfo
from recorder.control.protocol import Status
from recorder.status import SessionState, SessionStatus

PATIENCE_S = 2.0
"""How long a recorder is waited for that is asked how it is; it takes a thousandth of a second to say so."""
OPEN_S = 30.0
"""How long a question to one that hangs stays open: until it is answered or given up, no other one is asked."""

type Preference = Sequence[Sequence[SessionState]]
"""Groups of states, the likeliest first: a session of the first group that has any is meant."""


@dataclass(frozen=True, slots=True)
class Running:
    """A recorder that runs, and how it is; `status` is None where it does not answer."""

    folder: RecorderFolder
    info: RecorderInfo
    status: SessionStatus | None

    @property
    def state(self) -> SessionState | None:
        """Its session's state, where it answers."""
        return self.status.state if self.status else None

    def __str__(self) -> str:
        return f'{self.info.id} "{self.info.title}"'


class _Question:
    """How one recorder is. It is asked on a thread of its own: whoever wants to know may go on without the answer."""

    def __init__(self, folder: RecorderFolder) -> None:
        self._folder = folder
        self._until_s = time.monotonic() + PATIENCE_S
        self._over = threading.Event()
        self._status: SessionStatus | None = None

    @property
    def is_late(self) -> bool:
        """Whether its answer is not waited for any more."""
        return time.monotonic() >= self._until_s

    def ask(self, timeout_s: float) -> None:
        """Ask, and wait for the answer."""
        try:
            with suppress(LiputError):
                self._status = ask(self._folder, Status(), timeout_s).status
        finally:
            if _open.get(self._folder.path) is self:
                del _open[self._folder.path]
            self._over.set()

    def answer(self) -> SessionStatus | None:
        """Return how it is; None where it does not answer, or not in time."""
        return self._status if self._over.wait(max(0.0, self._until_s - time.monotonic())) else None


_open: dict[Path, _Question] = {}
"""By the recorder's folder, the oldest question that it has not answered yet."""


def running() -> list[Running]:
    """Return the recorders that run, the oldest first. They are asked at once, and waited for PATIENCE_S in all."""
    asked = [(folder, info, _question(folder)) for folder, info in directory.alive()]
    return [Running(folder, info, question.answer()) for folder, info, question in asked]


def running_as(recorder_id: str) -> Running | None:
    """Return the recorder of this very id, None where it does not run; no other is asked how it is."""
    for folder, info in directory.alive():
        if info.id == recorder_id:
            return Running(folder, info, _question(folder).answer())
    return None


def _question(folder: RecorderFolder) -> _Question:
    """Ask a recorder how it is.

    One that hangs is asked once, not again and again: the clients that have gone would fill the queue of its socket,
    and whoever has something to tell it could not come through. Any other is asked anew: what it has said to somebody
    else may be of before the last command.
    """
    question = _Question(folder)
    oldest = _open.setdefault(folder.path, question)
    if oldest is not question and oldest.is_late:
        return oldest
    with suppress(RuntimeError):  # where no thread is to be had, it is asked here
        here = partial(question.ask, PATIENCE_S)
        threads.start(question.ask, OPEN_S, name=f"status-{folder.id}", otherwise=here)
    return question


def session(key: str | None, preference: Preference) -> Running:
    """Return the session that is meant: `key` is its id or the beginning of it; without one, what `preference` says.

    Raises NoSession where none is, UsageError where several could be.
    """
    found = running()
    if key is not None:
        named = [one for one in found if one.info.id.startswith(key.lower())] if key else []
        if not named:
            raise NoSession(f"no session that runs is called {key}", hint=_known(found))
        return _only(named)
    if not found:
        raise NoSession("no session runs", hint="liput arm or liput record begins one")
    for states in preference:
        if fitting := [one for one in found if one.state in states]:
            return _only(fitting)
    return _only(found)


def _only(found: Sequence[Running]) -> Running:
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} sessions could be meant: {', '.join(map(str, found))}", hint="say which one: --session ID"
        )
    return found[0]


def _known(found: Sequence[Running]) -> str:
    return f"these run: {', '.join(map(str, found))}" if found else "none runs"
