"""Recovery for commands. Sessions that the daemon will resume are left alone."""

import time
from contextlib import suppress

from agent.daemon.serving import awaited, forget, is_serving
from config.errors import LiputError
from recorder.recovery.find import Unfinished
from recorder.recovery.recover import Outcome, Recovery, State, awaiting
from recorder.running import directory

LETS_GO_S = 2.0  # a child of a killed recorder may hold its lock for so long, until it execs
AGAIN_S = 0.1


def recover_one(recovery: Recovery, session: Unfinished, *, dry_run: bool = False) -> Outcome:
    """Recover a session, or with `dry_run` only look; remove the folders of its killed recorders."""
    if _is_awaited(session):
        return awaiting(session)
    if dry_run:
        return recovery.look(session)
    outcome, deadline_s = recovery.recover(session), time.monotonic() + LETS_GO_S
    while outcome.state is State.RECORDING and not _is_recorded(session) and time.monotonic() < deadline_s:
        time.sleep(AGAIN_S)
        if _is_awaited(session):  # its recorder may have been killed since
            return awaiting(session)
        outcome = recovery.recover(session)
    if outcome.state in {State.SEALED, State.DISCARDED}:
        forget(session.name)
    return outcome


def _is_awaited(session: Unfinished) -> bool:
    return is_serving() and session.name in awaited(time.time())


def _is_recorded(session: Unfinished) -> bool:
    """Return whether a recorder of this user records a session, or may."""
    with suppress(LiputError, OSError):
        return session.name in {info.session for _, info in directory.alive()}
    return True
