"""Which sessions run, how they are, and which of them is meant."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.errors import LiputError, SessionError, UsageError
from devices.host.deadline import DeadlineTasks
from recorder.model.status import SessionState, SessionStatus
from recorder.running import directory
from recorder.running.client import ask
from recorder.running.directory import RecorderFolder, RecorderInfo
from recorder.running.protocol import Status

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


_questions: DeadlineTasks[Path, SessionStatus | None] = DeadlineTasks("status")
"""By the recorder's folder. One that hangs is asked once, not again and again: the clients that have gone would fill
the queue of its socket, and whoever has something to tell it could not come through."""


def running() -> list[Running]:
    """Return the recorders that run, the oldest first. They are asked at once, and waited for PATIENCE_S in all."""
    return _asked(list(directory.alive()))


def running_as(recorder_id: str) -> Running | None:
    """Return the recorder of this very id, None where it does not run; no other is asked how it is."""
    return next(iter(_asked([one for one in directory.alive() if one[1].id == recorder_id])), None)


def _asked(alive: Sequence[tuple[RecorderFolder, RecorderInfo]]) -> list[Running]:
    """Ask recorders how they are. Where no thread is to be had, they are asked here."""
    answers = _questions.ask({folder.path: partial(_status, folder, OPEN_S) for folder, _ in alive}, PATIENCE_S)
    found = []
    for folder, info in alive:
        answer = answers.get(folder.path)
        if isinstance(answer, RuntimeError):
            answer = _status(folder, PATIENCE_S)
        found.append(Running(folder, info, answer if isinstance(answer, SessionStatus) else None))
    return found


def _status(folder: RecorderFolder, timeout_s: float) -> SessionStatus | None:
    with suppress(LiputError):
        return ask(folder, Status(), timeout_s).status
    return None


def session(key: str | None, preference: Preference) -> Running:
    """Return the session that is meant: `key` is its id or the beginning of it; without one, what `preference` says.

    Raises SessionError where none is, UsageError where several could be.
    """
    found = running()
    if key is not None:
        named = [one for one in found if one.info.id.startswith(key.lower())] if key else []
        if not named:
            raise SessionError(f"no session that runs is called {key}", hint=_known(found), why="missing")
        return _only(named)
    if not found:
        raise SessionError("no session runs", hint="liput arm or liput record begins one", why="missing")
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
