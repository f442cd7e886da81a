"""Which way a session may go."""

import itertools

import pytest

from recorder.model.status import TRANSITIONS, SessionState, StateMachine

_ROAD = {
    SessionState.IDLE: [],
    SessionState.ARMED: [SessionState.ARMED],
    SessionState.LIVE: [SessionState.ARMED, SessionState.LIVE],
    SessionState.DEGRADED: [SessionState.ARMED, SessionState.LIVE, SessionState.DEGRADED],
    SessionState.SEALING: [SessionState.ARMED, SessionState.LIVE, SessionState.SEALING],
    SessionState.SEALED: [SessionState.ARMED, SessionState.LIVE, SessionState.SEALING, SessionState.SEALED],
    SessionState.FAILED: [SessionState.FAILED],
}


def at(state: SessionState) -> StateMachine:
    machine = StateMachine()
    for step in _ROAD[state]:
        machine.to(step)
    return machine


@pytest.mark.parametrize(("before", "after"), list(itertools.product(SessionState, SessionState)))
def test_only_the_ways_of_the_table_are_open(before: SessionState, after: SessionState) -> None:
    machine = at(before)
    if after in TRANSITIONS[before]:
        machine.to(after)
        assert machine.state is after
    else:
        with pytest.raises(ValueError, match=f"{before} cannot become {after}"):
            machine.to(after)
        assert machine.state is before


def test_troubles_move_a_session_that_records_and_no_other() -> None:
    machine = at(SessionState.LIVE)
    assert machine.judge(is_troubled=True) is SessionState.DEGRADED
    assert machine.judge(is_troubled=False) is SessionState.LIVE
    for state in set(SessionState) - {SessionState.LIVE, SessionState.DEGRADED}:
        assert at(state).judge(is_troubled=True) is state
