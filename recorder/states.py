"""Where a session is, and which way it may go from there.

from          to           when
idle          armed        the sources are open (or stand as slates), the encoder runs
idle          failed       nothing could be opened
armed         live         start
armed         idle         disarm, or stop: nothing was written
armed         failed       the encoder broke, or the recording could not be begun
live          degraded     something is less than it should be
degraded      live         it is whole again
live          sealing      stop, the planned end, the end of a file, or what cannot be gone on with
degraded      sealing      the same
sealing       sealed       the package is in the archive
sealing       failed       it could not be sealed: what was recorded stays where it is
"""

import threading
from collections.abc import Mapping

from recorder.status import RECORDS, SessionState

TRANSITIONS: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.IDLE: frozenset({SessionState.ARMED, SessionState.FAILED}),
    SessionState.ARMED: frozenset({SessionState.LIVE, SessionState.IDLE, SessionState.FAILED}),
    SessionState.LIVE: frozenset({SessionState.DEGRADED, SessionState.SEALING}),
    SessionState.DEGRADED: frozenset({SessionState.LIVE, SessionState.SEALING}),
    SessionState.SEALING: frozenset({SessionState.SEALED, SessionState.FAILED}),
    SessionState.SEALED: frozenset(),
    SessionState.FAILED: frozenset(),
}


class StateMachine:
    """The state of one session; safe from any thread."""

    def __init__(self) -> None:
        self._state = SessionState.IDLE
        self._lock = threading.Lock()

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return self._state

    def to(self, state: SessionState) -> None:
        """Go there; raises ValueError where no way leads there, which is a mistake in the program."""
        with self._lock:
            if state not in TRANSITIONS[self._state]:
                raise ValueError(f"a session that is {self._state} cannot become {state}")
            self._state = state

    def judge(self, *, is_troubled: bool) -> SessionState:
        """Say whether a session that records is less than it should be now, and return its state."""
        with self._lock:
            if self._state in RECORDS:
                self._state = SessionState.DEGRADED if is_troubled else SessionState.LIVE
            return self._state
