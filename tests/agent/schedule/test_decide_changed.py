"""What is decided for a plan that changes, at every moment of its session; nothing else lets go what is armed."""

from datetime import timedelta

import msgspec
import pytest

from agent.schedule.decide import ActKind, decide
from agent.schedule.plan import Plan, PlanMode, PlanState, session_hash
from config.settings.serving import ScheduleSettings
from recorder.model.status import SessionState
from tests.support.schedule import MINUTE, NINE, RULES, World, begun, plan


def test_one_that_changes_while_it_is_armed_is_to_be_armed_again_unless_it_is_time_to_record() -> None:
    for mode in (PlanMode.RECORD, PlanMode.ARM):
        world = World([plan(mode=mode)])
        world.go_on(NINE - 4 * MINUTE)
        (run,) = world.runs
        (one,) = world.plans
        world.ledger[one.id] = msgspec.structs.replace(world.ledger[one.id], begun_as=session_hash(one))
        world.plans = [msgspec.structs.replace(one, ends_at=one.ends_at + MINUTE, room="Aula")]
        assert world.look() == [], "nothing that its recorder was begun with"
        for changed in ({"title": "Senat"}, {"streams": ("youtube",)}, {"request": "r"}, {"layout": "card:pause"}):
            world.plans = [msgspec.structs.replace(one, **changed)]
            assert [(act.kind, act.recorder) for act in world.look()] == [(ActKind.REARM, run.recorder)], changed
        world.now = NINE
        assert world.look()[0].kind is (ActKind.START if mode is PlanMode.RECORD else ActKind.REARM)
        world.become(run.recorder, SessionState.LIVE)
        assert world.look() == [], "what is recorded goes on"


def rearmed(world: World, *plans: Plan) -> list[str]:
    """Return which recorders are to let their devices go where these are the plans."""
    return [act.recorder for act in decide(plans, world.ledger, world.runs, world.now, world.rules)
            if act.kind is ActKind.REARM]  # fmt: skip


@pytest.mark.parametrize("mode", [PlanMode.RECORD, PlanMode.ARM])
def test_one_that_is_moved_while_it_is_armed_is_let_go_where_it_would_not_be_armed_yet(mode: PlanMode) -> None:
    world = World([plan(mode=mode)])
    world.go_on(NINE - 4 * MINUTE)
    (run,) = world.runs
    later = plan(starts_at=NINE + timedelta(hours=4), mode=mode)
    assert rearmed(world, plan(starts_at=NINE + MINUTE, mode=mode)) == [], "it is due all the same"
    assert rearmed(world, plan(starts_at=NINE - MINUTE, mode=mode)) == []
    assert rearmed(world, later) == [run.recorder]
    assert rearmed(world, plan(mode=mode)) == [], "it was moved back"
    (start, *_) = decide([plan(starts_at=NINE - 10 * MINUTE, mode=mode)], world.ledger, world.runs, world.now, RULES)
    assert (start.kind is ActKind.START) == (mode is PlanMode.RECORD)
    world.now = NINE + 10 * MINUTE
    assert rearmed(world, later) == [run.recorder], "also one that nobody has started yet"
    world.become(run.recorder, SessionState.LIVE)
    assert rearmed(world, later) == [], "what is recorded goes on"


def test_a_clock_that_jumps_or_other_settings_let_nothing_go_that_is_armed() -> None:
    world = World([plan()])
    world.go_on(NINE - 4 * MINUTE)
    world.rules = ScheduleSettings(arm_ahead_s=60.0)
    assert rearmed(world, plan()) == []
    world.now = NINE - timedelta(hours=3)
    assert rearmed(world, plan()) == []


def test_what_an_older_version_has_armed_is_let_go_for_no_move_that_it_did_not_note() -> None:
    world = World([plan()])
    world.go_on(NINE - 4 * MINUTE)
    one = plan()
    world.ledger[one.id] = msgspec.structs.replace(world.ledger[one.id], begun_for=None)
    assert rearmed(world, plan(starts_at=NINE + timedelta(hours=4))) == []


def test_one_that_is_to_be_reminded_of_only_is_let_go_while_it_is_armed() -> None:
    world = World([plan()])
    world.go_on(NINE - 4 * MINUTE)
    (run,) = world.runs
    for now in (world.now, NINE + MINUTE):
        world.now = now
        assert rearmed(world, plan(mode=PlanMode.REMIND)) == [run.recorder]
    world.become(run.recorder, SessionState.LIVE)
    assert rearmed(world, plan(mode=PlanMode.REMIND)) == []


@pytest.mark.parametrize(("moved", "is_begun"), [(timedelta(hours=4), True), (MINUTE, False)])
def test_one_that_people_disarm_after_it_was_moved_is_begun_then_where_that_was_not_what_they_disarmed(
    moved: timedelta, is_begun: bool
) -> None:
    """Both while the daemon was away: it finds nothing armed any more, and another time."""
    world = World([plan()])
    world.go_on(NINE - 4 * MINUTE)
    world.plans, world.runs = [plan(starts_at=NINE + moved)], []
    world.look()
    world.go_on(NINE + moved + MINUTE)
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM] * (1 + is_begun)


def test_one_whose_end_is_moved_is_stopped_then() -> None:
    world = World([plan()])
    world.go_on(NINE + 110 * MINUTE)
    world.plans = [plan(length=timedelta(hours=3))]
    assert world.go_on(NINE + 179 * MINUTE) == []
    assert world.go_on(NINE + 180 * MINUTE) == [(ActKind.STOP, "0")]


def test_one_that_is_moved_is_reminded_of_anew() -> None:
    world = World([plan()])
    world.go_on(NINE - 15 * MINUTE)
    later = NINE + timedelta(hours=4)
    world.plans = [plan(starts_at=later)]
    assert world.go_on(later - 5 * MINUTE) == [
        (ActKind.REMIND, "1800"), (ActKind.CHECK, "0"), (ActKind.REMIND, "600"), (ActKind.ARM, "0"),
    ]  # fmt: skip


def test_one_that_was_held_and_is_moved_to_another_day_is_another_session() -> None:
    world = World([plan()])
    world.go_on(NINE + 150 * MINUTE)
    world.plans = [plan(starts_at=NINE + timedelta(days=1))]
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM]
    world.go_on(NINE + timedelta(days=1, hours=3))
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM, ActKind.ARM]


@pytest.mark.parametrize("length", [timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6)])
@pytest.mark.parametrize("moved", [timedelta(hours=2, minutes=2), timedelta(days=1)])
def test_one_that_is_moved_behind_itself_while_it_is_recorded_ends_as_before_and_is_recorded_then(
    moved: timedelta, length: timedelta
) -> None:
    world = World([plan()])
    world.go_on(NINE + 45 * MINUTE)
    later = NINE + moved
    world.plans = [plan(starts_at=later, length=length)]
    assert (ActKind.STOP, "0") not in world.go_on(NINE + 119 * MINUTE)
    assert world.go_on(NINE + 120 * MINUTE)[-1] == (ActKind.STOP, "0")
    world.go_on(later + length - MINUTE)
    (run,) = world.runs
    assert (run.began_at > NINE + 119 * MINUTE, run.state) == (True, SessionState.LIVE)
    assert world.go_on(later + length + 5 * MINUTE) == [(ActKind.STOP, "0"), (ActKind.NOTE_END, "0")]


def test_one_that_is_moved_behind_itself_while_it_is_armed_is_recorded_once_and_stays_ended() -> None:
    world = World([plan(mode=PlanMode.ARM)])
    world.go_on(NINE + 117 * MINUTE)
    (run,) = world.runs
    world.plans = [plan(starts_at=NINE + 120 * MINUTE, mode=PlanMode.ARM)]
    world.go_on(NINE + 125 * MINUTE)
    world.become(run.recorder, SessionState.LIVE)
    assert world.go_on(NINE + 160 * MINUTE) == []
    world.runs = []
    assert world.go_on(NINE + 239 * MINUTE) == [(ActKind.NOTE_END, "0")], "people have ended it"


def test_one_that_is_moved_by_less_than_its_length_while_it_is_recorded_goes_on_until_its_new_end() -> None:
    world = World([plan()])
    world.go_on(NINE + 30 * MINUTE)
    world.plans = [plan(starts_at=NINE + 45 * MINUTE)]
    world.go_on(NINE + 164 * MINUTE)
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM]
    assert world.go_on(NINE + 170 * MINUTE) == [(ActKind.STOP, "0"), (ActKind.NOTE_END, "0")]


def test_one_that_people_stop_after_it_was_moved_to_another_day_is_recorded_then() -> None:
    world = World([plan()])
    world.go_on(NINE + 30 * MINUTE)
    tomorrow = NINE + timedelta(days=1)
    world.plans, world.runs = [plan(starts_at=tomorrow)], []
    world.go_on(tomorrow + 125 * MINUTE)
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM, ActKind.ARM]


@pytest.mark.parametrize("state", [PlanState.CANCELLED, PlanState.REMOVED])
def test_one_that_is_cancelled_is_let_go_while_it_is_armed_and_goes_on_while_it_is_recorded(state: PlanState) -> None:
    world = World([plan()])
    world.go_on(NINE - MINUTE)
    world.plans = [msgspec.structs.replace(world.plans[0], state=state)]
    assert [act.kind for act in world.look()] == [ActKind.DISARM]
    other = World([plan()])
    other.go_on(NINE + MINUTE)
    other.plans = [msgspec.structs.replace(other.plans[0], state=state)]
    assert other.go_on(NINE + 119 * MINUTE) == []
    assert other.go_on(NINE + 121 * MINUTE) == [(ActKind.STOP, "0"), (ActKind.NOTE_END, "0")]
