"""Recovery for commands. Sessions that the daemon will resume are left alone."""

import time
from contextlib import suppress

from agent.daemon.presence import is_serving, remove_killed_folders, sessions_to_resume
from config.errors import LiputError
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState, outcome_of_resumed
from recorder.recovery.unfinished import UnfinishedSession
from recorder.running import runtime_directory

LETS_GO_S = 2.0  # a child of a killed recorder may hold its lock for so long, until it execs
AGAIN_S = 0.1


def recover_session(recovery: Recovery, session: UnfinishedSession, *, dry_run: bool = False) -> RecoveryOutcome:
    """Recover a session, or with `dry_run` only look; remove the folders of its killed recorders."""
    if _is_awaited(session):
        return outcome_of_resumed(session)
    if dry_run:
        return recovery.look(session)
    outcome, deadline_s = recovery.recover(session), time.monotonic() + LETS_GO_S
    while outcome.state is RecoveryState.RECORDING and not _is_recorded(session) and time.monotonic() < deadline_s:
        time.sleep(AGAIN_S)
        if _is_awaited(session):  # its recorder may have been killed since
            return outcome_of_resumed(session)
        outcome = recovery.recover(session)
    if outcome.state in {RecoveryState.SEALED, RecoveryState.DISCARDED}:
        remove_killed_folders(session.name)
    return outcome


def _is_awaited(session: UnfinishedSession) -> bool:
    return is_serving() and session.name in sessions_to_resume(time.time())


def _is_recorded(session: UnfinishedSession) -> bool:
    """Return whether a recorder of this user records a session, or may."""
    with suppress(LiputError, OSError):
        return session.name in {info.session for _, info in runtime_directory.alive_recorders()}
    return True
