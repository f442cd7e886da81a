"""What is said to come for a plan is what is decided for it, when it is time."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.schedule.decide import ActKind
from agent.schedule.interface.plan_documents import coming_steps
from agent.schedule.plan import PlanMode, PlanState
from agent.schedule.store import PlanRecord, record_of
from config.settings.serving import ScheduleSettings
from tests.support.schedule import NINE, World, plan

SECOND = timedelta(seconds=1)
DOES = {
    ActKind.REMIND: "remind", ActKind.TELL: "remind", ActKind.CHECK: "check",
    ActKind.ARM: "arm", ActKind.RECORD: "start", ActKind.START: "start", ActKind.STOP: "stop",
}  # fmt: skip
"""What an act is called; that one begins, or waits to be started, is told as a reminder is."""
RULES = st.builds(
    ScheduleSettings,
    remind=st.lists(st.sampled_from([3600.0, 1800.0, 600.0, 60.0]), unique=True, max_size=3).map(tuple),
    check_before_s=st.sampled_from([0.0, 1200.0, 900.0]),
    arm_ahead_s=st.sampled_from([0.0, 300.0]),
)


@given(RULES, st.sampled_from(PlanMode))
def test_all_that_is_said_to_come_is_done_at_its_time_and_nothing_else(rules: ScheduleSettings, mode: PlanMode) -> None:
    one = plan(mode=mode)
    world = World([one], now=NINE - timedelta(hours=2), rules=rules)
    said = [(step.what, step.at) for step in coming_steps(one, record_of(one, {}), rules, world.now)]
    did = []
    for at in sorted({at for _, at in said} | {one.starts_at, one.ends_at - SECOND}):
        world.now = at
        did += [(DOES[act.kind], at) for act in (*world.look(), *world.look()) if act.kind in DOES]
        left = [(step.what, step.at) for step in coming_steps(one, record_of(one, world.ledger), rules, at)]
        assert left == [each for each in said if each[1] > at]
    world.now = one.ends_at
    did += [(DOES[act.kind], world.now) for act in world.look() if act.kind is ActKind.STOP]
    assert sorted(did, key=lambda each: (each[1], each[0])) == sorted(said, key=lambda each: (each[1], each[0]))


@pytest.mark.parametrize("change", [{"state": PlanState.CANCELLED}, {"state": PlanState.REMOVED}, {"all_day": True}])
def test_nothing_comes_for_one_that_does_not_hold(change: dict[str, object]) -> None:
    one = msgspec.structs.replace(plan(), **change)
    assert coming_steps(one, record_of(one, {}), ScheduleSettings(), NINE - timedelta(hours=2)) == ()


def test_nothing_comes_for_one_that_people_have_ended() -> None:
    one = plan()
    ended = PlanRecord(starts_at=one.starts_at, ends_at=one.ends_at, recorder="a1", ended_at=NINE)
    assert coming_steps(one, ended, ScheduleSettings(), NINE) == ()
