"""Recovers sessions that a crash left unfinished, and joins their parts."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.daemon.presence import sessions_to_resume
from config.errors import LiputError, SessionError, as_liput_error
from devices.host.background import pause_s
from devices.host.clock import Clock
from devices.host.throttle import LogOnChange, Tell
from recorder.archive.archive import Archive
from recorder.recovery.unfinished import UnfinishedSession, find_joinable, find_unfinished
from recorder.running.runtime_directory import alive_recorders, is_session_running

if TYPE_CHECKING:
    from recorder.recovery.recover import RecoveryOutcome

type TellOutcome = Callable[[RecoveryOutcome], None]

LONGEST_JOIN_PAUSE_S = 6 * 3600.0  # between attempts to join packages
RECOVER_S = 60.0  # between two looks for work folders on returned disks, and for parts to join


@dataclass(eq=False)
class SessionRecovery:
    """Recovers sessions in its archives, and gives each outcome to `recovered`."""

    archives: Sequence[Archive]
    clock: Clock
    tell: Tell
    recovered: TellOutcome
    _failures: Counter[str] = field(default_factory=Counter)  # of joins, by session
    _next_s: dict[str, float] = field(default_factory=dict)  # time of the next attempt to join, by session
    _seen: set[str] | None = None

    def __post_init__(self) -> None:
        self._log_once = LogOnChange(self.tell)

    def recover_round(self) -> None:
        """Recover work folders, and join parts; may take hours. Raises LiputError.

        The first round takes all work folders. Later rounds wait until no session runs, and take those seen in the
        round before: a recorder may not have locked a new one yet.
        """
        seen, self._seen = self._seen, self._seen or set()
        if seen is not None and is_session_running():
            return
        sessions = find_unfinished(self.archives)
        self._seen = {session.name for session in sessions}
        for session in sessions:
            if session.name not in _looked_after() and (seen is None or session.name in seen):
                self.recover(self.archives, session)
        self._join_all()
        self._log_once("", "archive")

    def tell_failed(self, error: Exception) -> None:
        """Log why a round has failed, once."""
        self._log_once(as_liput_error(error).message, "archive")

    def recover(self, archives: Sequence[Archive], session: UnfinishedSession) -> None:
        from recorder.recovery.recover import Recovery

        self._tell_outcome(Recovery(archives, clock=self.clock).recover(session))

    def _join_all(self) -> None:
        """Join parts that are packages of their own, if there is room. Stops when a session begins."""
        for session in find_joinable(self.archives):
            from recorder.recovery.recover import Recovery, RecoveryState

            if is_session_running():
                return
            if time.monotonic() < self._next_s.get(session.name, 0.0):
                continue
            outcome = Recovery(self.archives, clock=self.clock, progress=_refuse_beside_session).recover(session)
            if outcome.state is RecoveryState.FAILED:  # for instance a damaged part, which takes a full read to find
                self._failures[session.name] += 1
                pause = pause_s(self._failures[session.name], LONGEST_JOIN_PAUSE_S, first_s=RECOVER_S)
                self._next_s[session.name] = time.monotonic() + pause
            self._tell_outcome(outcome)

    def _tell_outcome(self, outcome: "RecoveryOutcome") -> None:
        if self._log_once.is_new(f"{outcome.state} {outcome.message}", outcome.id):
            self.recovered(outcome)


def _refuse_beside_session(*_far: object) -> None:
    """Raise SessionError if a session runs: it needs the disk."""
    if is_session_running():
        raise SessionError("a session runs", hint="The parts are joined when it has ended.")


def _looked_after() -> set[str | None]:
    with suppress(LiputError, OSError):
        return {*(info.session for _, info in alive_recorders()), *sessions_to_resume()}
    return set()


def load_recovery() -> None:
    """Load PyAV and numpy once a session runs, so that resuming it does not wait for them."""
    import recorder.recovery.recover
    import recorder.recovery.resume  # noqa: F401
