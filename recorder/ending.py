"""How a session ends: as a package, or without one."""

from dataclasses import dataclass

from config.errors import LiputError
from config.events import Emit
from recorder.archive.fixity import Progress
from recorder.archive.model import RecordingFacts
from recorder.archive.work import WorkFolder
from recorder.states import StateMachine
from recorder.status import SessionResult, SessionState
from recorder.storing.storage import Storage
from recorder.troubles import Troubles


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded, where there is no package that says it."""

    folder: str
    duration_s: float
    frames: int


def seal(
    work: WorkFolder,
    storage: Storage,
    facts: RecordingFacts,
    recorded: Recorded,
    *,
    machine: StateMachine,
    troubles: Troubles,
    emit: Emit,
    progress: Progress | None,
) -> SessionResult:
    """Turn the work folder into a package; what cannot be sealed stays where it is, with the reason."""
    try:
        package = storage.seal(facts, progress)
    except Exception as error:  # of whatever kind: people must hear where the recording is
        told = error if isinstance(error, LiputError) else LiputError(repr(error), hint="please report this")
        emit("sealing-failed", work.name, told.message, hint=told.hint)
        machine.to(SessionState.FAILED)
        return no_package(machine, troubles, recorded)
    machine.to(SessionState.SEALED)
    # What sealing itself found wrong with the media stands in the package only.
    sealed = package.recording
    return SessionResult(
        state=SessionState.SEALED,
        package=package.path,
        duration_s=package.duration_s,
        frames=sealed.frames if sealed else 0,
        degraded=list(sealed.degraded) if sealed else troubles.all,
    )


def no_package(machine: StateMachine, troubles: Troubles, recorded: Recorded | None = None) -> SessionResult:
    """Return how a session ended that has no package."""
    return SessionResult(
        state=machine.state,
        package=recorded.folder if recorded else None,
        duration_s=recorded.duration_s if recorded else 0.0,
        frames=recorded.frames if recorded else 0,
        degraded=troubles.all,
    )


def discarded(storage: Storage | None) -> bool:
    """Remove work folders without a picture in them, and return whether that was done: sound is kept."""
    try:
        if storage:
            storage.discard()
    except LiputError:
        return False
    return True
