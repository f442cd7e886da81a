"""What is decided for plans, at every moment, whatever the clock does and whenever the daemon begins anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.schedule.decide import ActKind, RunningSession, decide, due_span
from agent.schedule.plan import PlanMode, PlanState
from agent.schedule.store import PlanRecord, RecorderAttempt
from config.settings.serving import ScheduleSettings
from recorder.model.status import SessionState
from tests.support.schedule import MINUTE, NINE, RULES, World, begun, plan


def test_a_recorded_session_from_its_reminders_to_its_end() -> None:
    world = World([plan()])
    assert world.go_on(NINE - 31 * MINUTE) == []
    assert world.go_on(NINE - 30 * MINUTE) == [(ActKind.REMIND, "1800")]
    assert world.go_on(NINE - 20 * MINUTE) == [(ActKind.CHECK, "0")]
    assert world.go_on(NINE - 6 * MINUTE) == [(ActKind.REMIND, "600")]
    assert world.go_on(NINE - 5 * MINUTE) == [(ActKind.ARM, "0")]
    assert world.go_on(NINE - MINUTE) == []
    assert world.go_on(NINE) == [(ActKind.START, "0")]
    assert world.go_on(NINE + 119 * MINUTE) == []
    assert world.go_on(NINE + 120 * MINUTE) == [(ActKind.STOP, "0")]
    assert world.go_on(NINE + 180 * MINUTE) == [(ActKind.NOTE_END, "0")]


def test_one_that_is_only_reminded_of_opens_nothing() -> None:
    world = World([plan(mode=PlanMode.REMIND)])
    assert world.go_on(NINE + 300 * MINUTE) == [
        (ActKind.REMIND, "1800"),
        (ActKind.REMIND, "600"),
        (ActKind.TELL, "begins"),
    ]


def test_one_that_is_armed_is_started_and_stopped_by_people() -> None:
    world = World([plan(mode=PlanMode.ARM)])
    world.go_on(NINE - MINUTE)
    assert world.go_on(NINE + MINUTE) == [(ActKind.TELL, "waits")]
    (run,) = world.runs
    world.become(run.recorder, SessionState.LIVE)
    assert world.go_on(NINE + 300 * MINUTE) == [(ActKind.TELL, "overrun")]
    assert [each.recorder for each in world.runs] == [run.recorder]


def test_one_that_nobody_starts_is_let_go_at_its_end() -> None:
    world = World([plan(mode=PlanMode.ARM)])
    world.go_on(NINE + 60 * MINUTE)
    assert (ActKind.DISARM, "0") in world.go_on(NINE + 130 * MINUTE)
    assert world.runs == []


def test_a_late_start_of_the_pc_joins_the_session_under_way() -> None:
    world = World([plan()], now=NINE + 40 * MINUTE)
    assert [act.kind for act in world.look()] == [ActKind.RECORD]
    assert world.go_on(NINE + 120 * MINUTE) == [(ActKind.STOP, "0")]


def test_one_that_was_missed_is_told_once() -> None:
    world = World([plan()], now=NINE + 130 * MINUTE)
    assert [(act.kind, act.word) for act in world.look()] == [(ActKind.TELL, "missed")]
    assert world.go_on(NINE + 300 * MINUTE) == []


def test_late_reminders_are_one() -> None:
    world = World([plan(mode=PlanMode.REMIND)], now=NINE - 8 * MINUTE)
    assert [(act.kind, act.before_s) for act in world.look()] == [(ActKind.REMIND, 600.0)]
    assert world.go_on(NINE - MINUTE) == []


def test_reminders_come_when_it_is_armed_already() -> None:
    world = World([plan()], rules=ScheduleSettings(remind=(120.0,)))
    assert (ActKind.REMIND, "120") in world.go_on(NINE - MINUTE)


def test_one_that_is_stopped_by_hand_is_not_begun_again() -> None:
    world = World([plan()])
    world.go_on(NINE + 30 * MINUTE)
    world.runs = []
    assert world.go_on(NINE + 240 * MINUTE) == [(ActKind.NOTE_END, "0")]


def test_one_that_is_disarmed_by_hand_is_not_armed_again() -> None:
    world = World([plan()])
    world.go_on(NINE - 2 * MINUTE)
    world.runs = []
    assert world.go_on(NINE + 60 * MINUTE) == [(ActKind.NOTE_END, "0")]


def test_nothing_is_done_for_what_does_not_hold() -> None:
    world = World(
        [msgspec.structs.replace(plan(), state=PlanState.CANCELLED), msgspec.structs.replace(plan("b"), all_day=True)]
    )
    assert world.go_on(NINE + 300 * MINUTE) == []


# More than one session


def test_the_next_may_begin_while_the_last_is_sealed() -> None:
    world = World([plan("a", length=timedelta(hours=1)), plan("b", starts_at=NINE + timedelta(hours=1))])
    world.go_on(NINE + 59 * MINUTE)
    assert [run.title for run in world.runs] == ["a"], "its devices are still in use, so b is not armed"
    sealing = world.runs[0].recorder
    world.now = NINE + 60 * MINUTE
    (stop,) = world.look()[:1]
    assert (stop.kind, stop.plan.title) == (ActKind.STOP, "a")
    world.runs = [RunningSession(sealing, "a", NINE, world.plans[0].id, SessionState.SEALING)]
    assert [(act.kind, act.plan.title) for act in world.look()] == [(ActKind.RECORD, "b")]


def test_one_that_still_runs_holds_up_the_next_and_that_is_told_once() -> None:
    world = World([plan()])
    world.runs = [RunningSession("hand", "Kuliah", NINE - timedelta(hours=2), None, SessionState.LIVE)]
    assert world.go_on(NINE - MINUTE) == [(ActKind.REMIND, "1800"), (ActKind.CHECK, "0"), (ActKind.REMIND, "600")]
    assert world.go_on(NINE + 10 * MINUTE) == [(ActKind.TELL, "blocked")]
    assert world.acts[-1].other == "Kuliah"
    world.runs = []
    assert [act.kind for act in world.look()] == [ActKind.RECORD]


def test_one_that_people_began_for_it_is_taken_for_it() -> None:
    world = World([plan()])
    world.runs = [RunningSession("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.LIVE)]
    world.now = NINE
    (act,) = (each for each in world.look() if each.word)
    assert (act.kind, act.word, act.other) == (ActKind.NOTE_END, "by-hand", "Rapat")
    world.runs = []
    assert world.go_on(NINE + 240 * MINUTE) == []


def test_one_that_people_have_armed_is_waited_for_and_not_taken_for_it_until_it_records() -> None:
    world = World([plan()])
    world.runs = [RunningSession("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.ARMED)]
    world.now = NINE
    assert [(act.kind, act.word) for act in world.look() if act.word] == [(ActKind.TELL, "blocked")]
    world.become("hand", SessionState.LIVE)
    assert [(act.kind, act.word) for act in world.look()] == [(ActKind.NOTE_END, "by-hand")]
    other = World([plan()], now=NINE)
    other.runs = [RunningSession("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.ARMED)]
    other.look()
    other.runs = []
    assert [act.kind for act in other.look()] == [ActKind.RECORD]


def test_a_try_before_the_beginning_is_not_taken_for_it() -> None:
    world = World([plan()])
    world.runs = [RunningSession("hand", "Uji", NINE - 4 * MINUTE, None, SessionState.LIVE)]
    world.go_on(NINE - 2 * MINUTE)
    world.runs = []
    assert [act.kind for act in world.look()] == [ActKind.ARM]


def test_of_two_at_once_one_is_begun_and_the_other_is_told_of() -> None:
    world = World([plan("a"), plan("b")])
    world.go_on(NINE + MINUTE)
    assert [act.plan.title for act in begun(world.acts)] == ["a"]
    assert [(act.plan.title, act.word) for act in world.acts if act.kind is ActKind.TELL] == [("b", "blocked")]


# What is taken up again


def test_a_recorder_that_was_killed_is_waited_for() -> None:
    world = World([plan()])
    world.go_on(NINE + MINUTE)
    killed = world.runs[0]
    world.become(killed.recorder, None)
    assert world.go_on(NINE + 3 * MINUTE) == []
    world.runs = [RunningSession("next", "rapat", world.now, killed.plan, SessionState.LIVE)]
    assert world.go_on(NINE + 4 * MINUTE) == [(ActKind.NOTE_RECORDER, "0")]
    assert world.go_on(NINE + 120 * MINUTE) == [(ActKind.STOP, "0")]


def test_a_recorder_of_before_a_power_cut_is_replaced() -> None:
    world = World([plan()])
    world.go_on(NINE + MINUTE)
    world.runs = []
    world.ledger = {key: msgspec.structs.replace(done, boot_id="earlier") for key, done in world.ledger.items()}
    assert [act.kind for act in world.look()] == [ActKind.RECORD]


def test_one_that_comes_up_is_not_begun_again() -> None:
    one = plan()
    attempt = RecorderAttempt(pid=1, pid_started=1, boot_id="earlier")
    ledger = {one.id: PlanRecord(starts_at=one.starts_at, ends_at=one.ends_at, attempt=attempt)}
    assert decide([one], ledger, [], NINE, RULES, coming={one.id}) == []
    assert [act.kind for act in decide([one], ledger, [], NINE, RULES)] == [ActKind.RECORD]


# Whatever the clock does, and whenever the daemon begins anew


def test_a_clock_that_jumps_back_begins_nothing_twice_and_stops_nothing() -> None:
    world = World([plan()])
    world.go_on(NINE + 10 * MINUTE)
    world.now = NINE - timedelta(hours=3)
    assert world.look() == []
    world.runs = []  # stopped by hand, under the wrong time
    assert world.go_on(NINE + 240 * MINUTE, 5 * MINUTE) == [(ActKind.NOTE_END, "0")]


def test_a_clock_that_jumps_over_the_beginning_joins() -> None:
    world = World([plan()], now=NINE - timedelta(hours=5))
    world.look()
    world.now = NINE + 20 * MINUTE
    assert [act.kind for act in world.look()] == [ActKind.RECORD]


def test_a_clock_that_was_ahead_forgets_nothing() -> None:
    world = World([plan()], now=NINE + timedelta(hours=5))
    assert [act.word for act in world.look()] == ["missed"]
    world.now = NINE - 4 * MINUTE
    assert [act.kind for act in begun(world.look())] == [ActKind.ARM]


@settings(max_examples=200, deadline=None)
@given(minutes=st.integers(-3000, 3000), mode=st.sampled_from(list(PlanMode)), checked_s=st.sampled_from([0.0, 5000.0]))
def test_what_is_far_has_nothing_to_be_done_for_it(minutes: int, mode: PlanMode, checked_s: float) -> None:
    rules, now = ScheduleSettings(check_before_s=checked_s), NINE + minutes * MINUTE
    since_s, until_s = due_span(plan(mode=mode), rules)
    assert since_s <= now.timestamp() <= until_s or decide([plan(mode=mode)], {}, [], now, rules) == []


@dataclass(frozen=True)
class Step:
    jump_s: int
    what: str


SAID = (ActKind.REMIND, ActKind.CHECK, ActKind.TELL, ActKind.NOTE_END)
STEPS = st.lists(
    st.builds(
        Step,
        jump_s=st.one_of(st.integers(0, 900), st.integers(-20_000, 20_000)),
        what=st.sampled_from(["nothing", "nothing", "nothing", "stop", "start", "seal", "sealed", "killed"]),
    ),
    min_size=1,
    max_size=60,
)


def happens(world: World, what: str) -> Iterator[str]:
    """Let people, or chance, do something to what runs; yield the plans whose session they have ended."""
    if what == "sealed":
        world.runs = [run for run in world.runs if run.is_open]
    for run in [run for run in world.runs if run.is_open][:1]:
        match what:
            case "stop":
                world.runs.remove(run)
                yield str(run.plan)
            case "start" if run.state is SessionState.ARMED:
                world.become(run.recorder, SessionState.LIVE)
            case "killed":
                world.become(run.recorder, None)
            case "seal":
                world.become(run.recorder, SessionState.SEALING)
            case _:
                pass


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, modes=st.lists(st.sampled_from(list(PlanMode)), min_size=1, max_size=3), hours=st.integers(1, 3))
def test_nothing_is_begun_twice_and_no_session_is_forgotten(
    steps: list[Step], modes: list[PlanMode], hours: int
) -> None:
    length = timedelta(hours=hours)
    plans = [plan(f"p{n}", NINE + n * timedelta(minutes=45), length, mode) for n, mode in enumerate(modes)]
    world = World(plans)
    for step in steps:
        world.now += timedelta(seconds=step.jump_s)
        ended = set(happens(world, step.what))
        was_free = not any(run.is_open for run in world.runs)
        acts = world.look()
        assert not [act for act in begun(acts) if act.plan.id in ended], "what people have stopped stays stopped"
        open_runs = [run for run in world.runs if run.is_open]
        assert len(open_runs) <= 1, "the room has one session at a time"
        if was_free and not open_runs:
            for one in plans:
                is_due = one.mode is PlanMode.RECORD and one.starts_at <= world.now < one.ends_at
                done = world.ledger.get(one.id)
                assert not is_due or (done and (done.recorder or done.ended_at)), "what is due is begun"
    said = [(act.plan.id, act.kind, act.word, act.before_s) for act in world.acts if act.kind in SAID]
    assert len(said) == len(set(said)), "all is said once"
    for one in plans:
        times = [act for act in begun(world.acts) if act.plan.id == one.id]
        assert len(times) <= 1
        assert one.mode is not PlanMode.REMIND or not times
