"""Recovering what is unfinished, for whichever command does it: what a daemon is about to go on with is left alone."""

import time

from agent.serving import awaited, forget, is_serving
from recorder.recovery.find import Unfinished
from recorder.recovery.recover import Outcome, Recovery, State, awaiting


def recover_one(recovery: Recovery, session: Unfinished, *, dry_run: bool = False) -> Outcome:
    """Recover a session, or with `dry_run` say what would be done; what killed recorders left of it goes."""
    if is_serving() and session.name in awaited(time.time()):
        return awaiting(session)
    if dry_run:
        return recovery.look(session)
    outcome = recovery.recover(session)
    if outcome.state in {State.SEALED, State.DISCARDED}:
        forget(session.name)
    return outcome
