"""Which of the sessions that run is meant."""

from collections.abc import Sequence
from dataclasses import dataclass

from config.errors import LiputError, NoSession, UsageError
from recorder.control import directory
from recorder.control.client import ask
from recorder.control.directory import RecorderFolder, RecorderInfo
from recorder.control.protocol import Status
from recorder.status import SessionState, SessionStatus

PATIENCE_S = 2.0

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


def running() -> list[Running]:
    """Return the recorders that run, the oldest first."""
    return [Running(folder, info, _status(folder)) for folder, info in directory.alive()]


def running_as(recorder_id: str) -> Running | None:
    """Return the recorder of this very id, None where it does not run; no other is asked how it is."""
    for folder, info in directory.alive():
        if info.id == recorder_id:
            return Running(folder, info, _status(folder))
    return None


def _status(folder: RecorderFolder) -> SessionStatus | None:
    try:
        return ask(folder, Status(), PATIENCE_S).status
    except LiputError:
        return None


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
