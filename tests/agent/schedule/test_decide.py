"""What is decided for plans, at every moment, whatever the clock does and whenever the daemon begins anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.schedule.decide import ActKind, PlanAct, RunningSession, decide, due_span, with_act
from agent.schedule.interface.plan_documents import coming_steps
from agent.schedule.plan import Plan, PlanMode, PlanState, session_hash
from agent.schedule.store import PlanRecord, RecorderAttempt, record_of
from config.settings.serving import ScheduleSettings
from recorder.model.status import SessionState
from tests.support.schedule import MINUTE, NINE, plan

RULES = ScheduleSettings()


@dataclass
class World:
    """A PC as the schedule sees it: sessions begin, record and end as they are asked to."""

    plans: list[Plan]
    now: datetime = NINE - timedelta(hours=1)
    ledger: dict[str, PlanRecord] = field(default_factory=dict)
    runs: list[RunningSession] = field(default_factory=list)
    acts: list[PlanAct] = field(default_factory=list)
    rules: ScheduleSettings = RULES

    def look(self) -> list[PlanAct]:
        """Decide, and do it; return what was done, but for the note of how long is recorded: nobody sees that."""
        before = len(self.acts)
        for act in decide(self.plans, self.ledger, self.runs, self.now, self.rules):
            if act.kind is not ActKind.NOTE_RECORDING:
                self.acts.append(act)
            self.ledger[act.plan.id] = with_act(act, record_of(act.plan, self.ledger), self.now, self.rules)
            self._do(act)
        return self.acts[before:]

    def _do(self, act: PlanAct) -> None:
        match act.kind:
            case ActKind.ARM | ActKind.RECORD:
                state = SessionState.ARMED if act.kind is ActKind.ARM else SessionState.LIVE
                recorder = f"r{len(self.acts)}"
                self.runs.append(RunningSession(recorder, act.plan.title, self.now, act.plan.id, state))
                note = PlanAct(ActKind.NOTE_RECORDER, act.plan, recorder)
                done = with_act(note, record_of(act.plan, self.ledger), self.now, self.rules)
                begun = {"begun_as": session_hash(act.plan), "begun_for": act.plan.starts_at}
                self.ledger[act.plan.id] = msgspec.structs.replace(done, **begun)
            case ActKind.START:
                self.become(act.recorder, SessionState.LIVE)
            case ActKind.STOP | ActKind.DISARM:
                self.runs = [run for run in self.runs if run.recorder != act.recorder]
            case _:
                pass

    def become(self, recorder: str, state: SessionState | None) -> None:
        self.runs = [replace(run, state=state) if run.recorder == recorder else run for run in self.runs]

    def go_on(self, until: datetime, step: timedelta = timedelta(seconds=30)) -> list[tuple[ActKind, str]]:
        """Let time pass; return what was done meanwhile, with the word or the time that goes with it."""
        before = len(self.acts)
        while self.now < until:
            self.now = min(until, self.now + step)
            self.look()
        return [(act.kind, act.word or f"{act.before_s:g}") for act in self.acts[before:]]


def begun(acts: list[PlanAct]) -> list[PlanAct]:
    return [act for act in acts if act.kind in (ActKind.ARM, ActKind.RECORD)]


def world_at(minutes: float, *plans: Plan) -> World:
    """Return a PC that carries out plans, so long after nine."""
    world = World([*plans] or [plan()])
    world.go_on(NINE + minutes * MINUTE)
    return world


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


def test_one_that_is_armed_is_started_and_stopped_by_people() -> None:
    world = world_at(-1, plan(mode=PlanMode.ARM))
    assert world.go_on(NINE + MINUTE) == [(ActKind.TELL, "waits")]
    (run,) = world.runs
    world.become(run.recorder, SessionState.LIVE)
    assert world.go_on(NINE + 300 * MINUTE) == [(ActKind.TELL, "overrun")]
    assert [each.recorder for each in world.runs] == [run.recorder]


def test_one_that_nobody_starts_is_let_go_at_its_end() -> None:
    world = world_at(60, plan(mode=PlanMode.ARM))
    assert (ActKind.DISARM, "0") in world.go_on(NINE + 130 * MINUTE)
    assert world.runs == []


def test_one_that_was_missed_is_told_once() -> None:
    world = World([plan()], now=NINE + 130 * MINUTE)
    assert [(act.kind, act.word) for act in world.look()] == [(ActKind.TELL, "missed")]
    assert world.go_on(NINE + 300 * MINUTE) == []


def test_late_reminders_are_one() -> None:
    world = World([plan(mode=PlanMode.REMIND)], now=NINE - 8 * MINUTE)
    assert [(act.kind, act.before_s) for act in world.look()] == [(ActKind.REMIND, 600.0)]
    assert world.go_on(NINE - MINUTE) == []


@pytest.mark.parametrize("change", [{"state": PlanState.CANCELLED}, {"state": PlanState.REMOVED}, {"all_day": True}])
def test_nothing_comes_and_is_done_for_one_that_does_not_hold(change: dict[str, object]) -> None:
    one = msgspec.structs.replace(plan(), **change)
    assert World([one]).go_on(NINE + 300 * MINUTE) == []
    assert coming_steps(one, record_of(one, {}), RULES, NINE - timedelta(hours=2)) == ()


# More than one session


def test_the_next_may_begin_while_the_last_is_sealed() -> None:
    world = world_at(59, plan("a", length=timedelta(hours=1)), plan("b", starts_at=NINE + timedelta(hours=1)))
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


def test_one_that_people_have_armed_is_waited_for_and_not_taken_for_it_until_it_records() -> None:
    world = World([plan()])
    world.runs = [RunningSession("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.ARMED)]
    world.now = NINE
    assert [(act.kind, act.word) for act in world.look() if act.word] == [(ActKind.TELL, "blocked")]
    world.become("hand", SessionState.LIVE)
    assert [(act.kind, act.word, act.other) for act in world.look()] == [(ActKind.NOTE_END, "by-hand", "Rapat")]
    world.runs = []
    assert world.go_on(NINE + 240 * MINUTE) == []


def test_a_try_before_the_beginning_is_not_taken_for_it() -> None:
    world = World([plan()])
    world.runs = [RunningSession("hand", "Uji", NINE - 4 * MINUTE, None, SessionState.LIVE)]
    world.go_on(NINE - 2 * MINUTE)
    world.runs = []
    assert [act.kind for act in world.look()] == [ActKind.ARM]


# What is taken up again


def test_a_recorder_that_was_killed_is_waited_for() -> None:
    world = world_at(1)
    killed = world.runs[0]
    world.become(killed.recorder, None)
    assert world.go_on(NINE + 3 * MINUTE) == []
    world.runs = [RunningSession("next", "rapat", world.now, killed.plan, SessionState.LIVE)]
    assert world.go_on(NINE + 4 * MINUTE) == [(ActKind.NOTE_RECORDER, "0")]
    assert world.go_on(NINE + 120 * MINUTE) == [(ActKind.STOP, "0")]


def test_one_that_comes_up_is_not_begun_again() -> None:
    one = plan()
    attempt = RecorderAttempt(pid=1, pid_started=1, boot_id="earlier")
    ledger = {one.id: PlanRecord(starts_at=one.starts_at, ends_at=one.ends_at, attempt=attempt)}
    assert decide([one], ledger, [], NINE, RULES, coming={one.id}) == []
    assert [act.kind for act in decide([one], ledger, [], NINE, RULES)] == [ActKind.RECORD]


# Whatever the clock does, and whenever the daemon begins anew


@settings(max_examples=200, deadline=None)
@given(minutes=st.integers(-3000, 3000), mode=st.sampled_from(list(PlanMode)), checked_s=st.sampled_from([0.0, 5000.0]))
def test_what_is_far_has_nothing_to_be_done_for_it(minutes: int, mode: PlanMode, checked_s: float) -> None:
    rules, now = ScheduleSettings(check_before_s=checked_s), NINE + minutes * MINUTE
    since_s, until_s = due_span(plan(mode=mode), rules)
    assert since_s <= now.timestamp() <= until_s or decide([plan(mode=mode)], {}, [], now, rules) == []


SAID = (ActKind.REMIND, ActKind.CHECK, ActKind.TELL, ActKind.NOTE_END)
JUMPS_S = st.one_of(st.integers(0, 900), st.integers(-20_000, 20_000))
HAPPENS = st.sampled_from(["nothing", "nothing", "nothing", "stop", "start", "seal", "sealed", "killed"])


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
@given(
    steps=st.lists(st.tuples(JUMPS_S, HAPPENS), min_size=1, max_size=60),
    modes=st.lists(st.sampled_from(list(PlanMode)), min_size=1, max_size=3),
    hours=st.integers(1, 3),
)
def test_nothing_is_begun_twice_and_no_session_is_forgotten(
    steps: list[tuple[int, str]], modes: list[PlanMode], hours: int
) -> None:
    length = timedelta(hours=hours)
    plans = [plan(f"p{n}", NINE + n * timedelta(minutes=45), length, mode) for n, mode in enumerate(modes)]
    world = World(plans)
    for jump_s, what in steps:
        world.now += timedelta(seconds=jump_s)
        ended = set(happens(world, what))
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


# A plan that changes; nothing else lets go what is armed


def test_one_that_changes_while_it_is_armed_is_to_be_armed_again_unless_it_is_time_to_record() -> None:
    for mode in (PlanMode.RECORD, PlanMode.ARM):
        world = world_at(-4, plan(mode=mode))
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
    world = world_at(-4, plan(mode=mode))
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
    world = world_at(-4)
    world.rules = ScheduleSettings(arm_ahead_s=60.0)
    assert rearmed(world, plan()) == []
    world.now = NINE - timedelta(hours=3)
    assert rearmed(world, plan()) == []


def test_one_that_is_to_be_reminded_of_only_is_let_go_while_it_is_armed() -> None:
    world = world_at(-4)
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
    world = world_at(-4)
    world.plans, world.runs = [plan(starts_at=NINE + moved)], []
    world.look()
    world.go_on(NINE + moved + MINUTE)
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM] * (1 + is_begun)


def test_one_that_is_moved_is_reminded_of_anew() -> None:
    world = world_at(-15)
    later = NINE + timedelta(hours=4)
    world.plans = [plan(starts_at=later)]
    assert world.go_on(later - 5 * MINUTE) == [
        (ActKind.REMIND, "1800"), (ActKind.CHECK, "0"), (ActKind.REMIND, "600"), (ActKind.ARM, "0"),
    ]  # fmt: skip


@pytest.mark.parametrize(("minutes", "is_stopped"), [(150, False), (30, True)])
def test_one_that_was_held_or_stopped_and_is_moved_to_another_day_is_another_session(
    minutes: int, is_stopped: bool
) -> None:
    world = world_at(minutes)
    tomorrow = NINE + timedelta(days=1)
    world.plans = [plan(starts_at=tomorrow)]
    if is_stopped:
        world.runs = []
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM]
    world.go_on(tomorrow + timedelta(hours=3))
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM, ActKind.ARM]


@pytest.mark.parametrize(
    ("moved", "length"),
    [(timedelta(hours=2, minutes=2), timedelta(minutes=30)), (timedelta(days=1), timedelta(hours=6))],
)
def test_one_that_is_moved_behind_itself_while_it_is_recorded_ends_as_before_and_is_recorded_then(
    moved: timedelta, length: timedelta
) -> None:
    world = world_at(45)
    later = NINE + moved
    world.plans = [plan(starts_at=later, length=length)]
    assert (ActKind.STOP, "0") not in world.go_on(NINE + 119 * MINUTE)
    assert world.go_on(NINE + 120 * MINUTE)[-1] == (ActKind.STOP, "0")
    world.go_on(later + length - MINUTE)
    (run,) = world.runs
    assert (run.began_at > NINE + 119 * MINUTE, run.state) == (True, SessionState.LIVE)
    assert world.go_on(later + length + 5 * MINUTE) == [(ActKind.STOP, "0"), (ActKind.NOTE_END, "0")]


def test_one_that_is_moved_behind_itself_while_it_is_armed_is_recorded_once_and_stays_ended() -> None:
    world = world_at(117, plan(mode=PlanMode.ARM))
    (run,) = world.runs
    world.plans = [plan(starts_at=NINE + 120 * MINUTE, mode=PlanMode.ARM)]
    world.go_on(NINE + 125 * MINUTE)
    world.become(run.recorder, SessionState.LIVE)
    assert world.go_on(NINE + 160 * MINUTE) == []
    world.runs = []
    assert world.go_on(NINE + 239 * MINUTE) == [(ActKind.NOTE_END, "0")], "people have ended it"


def test_one_that_is_moved_by_less_than_its_length_while_it_is_recorded_goes_on_until_its_new_end() -> None:
    world = world_at(30)
    world.plans = [plan(starts_at=NINE + 45 * MINUTE)]
    world.go_on(NINE + 164 * MINUTE)
    assert [act.kind for act in begun(world.acts)] == [ActKind.ARM]
    assert world.go_on(NINE + 170 * MINUTE) == [(ActKind.STOP, "0"), (ActKind.NOTE_END, "0")]


@pytest.mark.parametrize("state", [PlanState.CANCELLED, PlanState.REMOVED])
def test_one_that_is_cancelled_is_let_go_while_it_is_armed_and_goes_on_while_it_is_recorded(state: PlanState) -> None:
    world = world_at(-1)
    world.plans = [msgspec.structs.replace(world.plans[0], state=state)]
    assert [act.kind for act in world.look()] == [ActKind.DISARM]
    other = world_at(1)
    other.plans = [msgspec.structs.replace(other.plans[0], state=state)]
    assert other.go_on(NINE + 119 * MINUTE) == []
    assert other.go_on(NINE + 121 * MINUTE) == [(ActKind.STOP, "0"), (ActKind.NOTE_END, "0")]


# What is said to come for a plan is what is decided for it, when it is time


DOES = {
    ActKind.REMIND: "remind", ActKind.TELL: "remind", ActKind.CHECK: "check",
    ActKind.ARM: "arm", ActKind.RECORD: "start", ActKind.START: "start", ActKind.STOP: "stop",
}  # fmt: skip
"""What an act is called; that one begins, or waits to be started, is told as a reminder is."""
ANY_RULES = st.builds(
    ScheduleSettings,
    remind=st.lists(st.sampled_from([3600.0, 1800.0, 600.0, 60.0]), unique=True, max_size=3).map(tuple),
    check_before_s=st.sampled_from([0.0, 1200.0, 900.0]),
    arm_ahead_s=st.sampled_from([0.0, 300.0]),
)


@given(ANY_RULES, st.sampled_from(PlanMode))
def test_all_that_is_said_to_come_is_done_at_its_time_and_nothing_else(rules: ScheduleSettings, mode: PlanMode) -> None:
    one = plan(mode=mode)
    world = World([one], now=NINE - timedelta(hours=2), rules=rules)
    said = [(step.what, step.at) for step in coming_steps(one, record_of(one, {}), rules, world.now)]
    did = []
    for at in sorted({at for _, at in said} | {one.starts_at, one.ends_at - timedelta(seconds=1)}):
        world.now = at
        did += [(DOES[act.kind], at) for act in (*world.look(), *world.look()) if act.kind in DOES]
        left = [(step.what, step.at) for step in coming_steps(one, record_of(one, world.ledger), rules, at)]
        assert left == [each for each in said if each[1] > at]
    world.now = one.ends_at
    did += [(DOES[act.kind], world.now) for act in world.look() if act.kind is ActKind.STOP]
    assert sorted(did, key=lambda each: (each[1], each[0])) == sorted(said, key=lambda each: (each[1], each[0]))
