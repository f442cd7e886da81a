"""What is decided for plans, at every moment, whatever the clock does and whenever the daemon begins anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.schedule.decide import Act, Kind, Rules, Run, decide, noted
from agent.schedule.done import Attempt, Done, done_for
from agent.schedule.plan import Mode, Plan, PlanState, begun_as
from recorder.status import SessionState
from tests.support.calendars import NINE, plan

BOOT = "boot-1"
RULES = Rules(boot_id=BOOT)
MINUTE = timedelta(minutes=1)


@dataclass
class World:
    """A PC as the schedule sees it: sessions begin, record and end as they are asked to."""

    plans: list[Plan]
    now: datetime = NINE - timedelta(hours=1)
    ledger: dict[str, Done] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    rules: Rules = RULES

    def look(self) -> list[Act]:
        """Decide, and do it; return what was done."""
        acts = decide(self.plans, self.ledger, self.runs, self.now, self.rules)
        for act in acts:
            self.acts.append(act)
            self.ledger[act.plan.id] = noted(act, done_for(act.plan, self.ledger), self.now, self.rules)
            self._do(act)
        return acts

    def _do(self, act: Act) -> None:
        match act.kind:
            case Kind.ARM | Kind.RECORD:
                state = SessionState.ARMED if act.kind is Kind.ARM else SessionState.LIVE
                recorder = f"r{len(self.acts)}"
                self.runs.append(Run(recorder, act.plan.title, self.now, act.plan.id, state))
                note = Act(Kind.NOTE_RECORDER, act.plan, recorder)
                done = noted(note, done_for(act.plan, self.ledger), self.now, self.rules)
                begun = {"begun_as": begun_as(act.plan), "begun_for": act.plan.starts_at}
                self.ledger[act.plan.id] = msgspec.structs.replace(done, **begun)
            case Kind.START:
                self.become(act.recorder, SessionState.LIVE)
            case Kind.STOP | Kind.DISARM:
                self.runs = [run for run in self.runs if run.recorder != act.recorder]
            case _:
                pass

    def become(self, recorder: str, state: SessionState | None) -> None:
        self.runs = [replace(run, state=state) if run.recorder == recorder else run for run in self.runs]

    def go_on(self, until: datetime, step: timedelta = timedelta(seconds=30)) -> list[tuple[Kind, str]]:
        """Let time pass; return what was done meanwhile, with the word or the time that goes with it."""
        before = len(self.acts)
        while self.now < until:
            self.now = min(until, self.now + step)
            self.look()
        return [(act.kind, act.word or f"{act.before_s:g}") for act in self.acts[before:]]

    def kinds(self) -> list[Kind]:
        return [act.kind for act in self.acts]


def begun(acts: list[Act]) -> list[Act]:
    return [act for act in acts if act.kind in (Kind.ARM, Kind.RECORD)]


def test_a_recorded_session_from_its_reminders_to_its_end() -> None:
    world = World([plan()])
    assert world.go_on(NINE - 31 * MINUTE) == []
    assert world.go_on(NINE - 30 * MINUTE) == [(Kind.REMIND, "1800")]
    assert world.go_on(NINE - 20 * MINUTE) == [(Kind.CHECK, "0")]
    assert world.go_on(NINE - 6 * MINUTE) == [(Kind.REMIND, "600")]
    assert world.go_on(NINE - 5 * MINUTE) == [(Kind.ARM, "0")]
    assert world.go_on(NINE - MINUTE) == []
    assert world.go_on(NINE) == [(Kind.START, "0")]
    assert world.go_on(NINE + 119 * MINUTE) == []
    assert world.go_on(NINE + 120 * MINUTE) == [(Kind.STOP, "0")]
    assert world.go_on(NINE + 180 * MINUTE) == [(Kind.NOTE_END, "0")]


def test_one_that_changes_while_it_is_armed_is_to_be_armed_again_unless_it_is_time_to_record() -> None:
    for mode in (Mode.RECORD, Mode.ARM):
        world = World([plan(mode=mode)])
        world.go_on(NINE - 4 * MINUTE)
        (run,) = world.runs
        (one,) = world.plans
        world.ledger[one.id] = msgspec.structs.replace(world.ledger[one.id], begun_as=begun_as(one))
        world.plans = [msgspec.structs.replace(one, ends_at=one.ends_at + MINUTE, room="Aula")]
        assert world.look() == [], "nothing that its recorder was begun with"
        for changed in ({"title": "Senat"}, {"streams": ("youtube",)}, {"request": "r"}, {"layout": "card:pause"}):
            world.plans = [msgspec.structs.replace(one, **changed)]
            assert [(act.kind, act.recorder) for act in world.look()] == [(Kind.REARM, run.recorder)], changed
        world.now = NINE
        assert world.look()[0].kind is (Kind.START if mode is Mode.RECORD else Kind.REARM)
        world.become(run.recorder, SessionState.LIVE)
        assert world.look() == [], "what is recorded goes on"


def rearmed(world: World, *plans: Plan) -> list[str]:
    """Return which recorders are to let their devices go where these are the plans."""
    return [act.recorder for act in decide(plans, world.ledger, world.runs, world.now, world.rules)
            if act.kind is Kind.REARM]  # fmt: skip


@pytest.mark.parametrize("mode", [Mode.RECORD, Mode.ARM])
def test_one_that_is_moved_while_it_is_armed_is_let_go_where_it_would_not_be_armed_yet(mode: Mode) -> None:
    world = World([plan(mode=mode)])
    world.go_on(NINE - 4 * MINUTE)
    (run,) = world.runs
    later = plan(starts_at=NINE + timedelta(hours=4), mode=mode)
    assert rearmed(world, plan(starts_at=NINE + MINUTE, mode=mode)) == [], "it is due all the same"
    assert rearmed(world, plan(starts_at=NINE - MINUTE, mode=mode)) == []
    assert rearmed(world, later) == [run.recorder]
    assert rearmed(world, plan(mode=mode)) == [], "it was moved back"
    (start, *_) = decide([plan(starts_at=NINE - 10 * MINUTE, mode=mode)], world.ledger, world.runs, world.now, RULES)
    assert (start.kind is Kind.START) == (mode is Mode.RECORD)
    world.now = NINE + 10 * MINUTE
    assert rearmed(world, later) == [run.recorder], "also one that nobody has started yet"
    world.become(run.recorder, SessionState.LIVE)
    assert rearmed(world, later) == [], "what is recorded goes on"


def test_a_clock_that_jumps_or_other_settings_let_nothing_go_that_is_armed() -> None:
    world = World([plan()])
    world.go_on(NINE - 4 * MINUTE)
    world.rules = Rules(arm_ahead_s=60.0, boot_id=BOOT)
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
        assert rearmed(world, plan(mode=Mode.REMIND)) == [run.recorder]
    world.become(run.recorder, SessionState.LIVE)
    assert rearmed(world, plan(mode=Mode.REMIND)) == []


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
    assert [act.kind for act in begun(world.acts)] == [Kind.ARM] * (1 + is_begun)


def test_one_that_is_only_reminded_of_opens_nothing() -> None:
    world = World([plan(mode=Mode.REMIND)])
    assert world.go_on(NINE + 300 * MINUTE) == [(Kind.REMIND, "1800"), (Kind.REMIND, "600"), (Kind.TELL, "begins")]


def test_one_that_is_armed_is_started_and_stopped_by_people() -> None:
    world = World([plan(mode=Mode.ARM)])
    world.go_on(NINE - MINUTE)
    assert world.go_on(NINE + MINUTE) == [(Kind.TELL, "waits")]
    (run,) = world.runs
    world.become(run.recorder, SessionState.LIVE)
    assert world.go_on(NINE + 300 * MINUTE) == [(Kind.TELL, "overrun")]
    assert [each.recorder for each in world.runs] == [run.recorder]


def test_one_that_nobody_starts_is_let_go_at_its_end() -> None:
    world = World([plan(mode=Mode.ARM)])
    world.go_on(NINE + 60 * MINUTE)
    assert (Kind.DISARM, "0") in world.go_on(NINE + 130 * MINUTE)
    assert world.runs == []


def test_a_late_start_of_the_pc_joins_the_session_under_way() -> None:
    world = World([plan()], now=NINE + 40 * MINUTE)
    assert [act.kind for act in world.look()] == [Kind.RECORD]
    assert world.go_on(NINE + 120 * MINUTE) == [(Kind.STOP, "0")]


def test_one_that_was_missed_is_told_once() -> None:
    world = World([plan()], now=NINE + 130 * MINUTE)
    assert [(act.kind, act.word) for act in world.look()] == [(Kind.TELL, "missed")]
    assert world.go_on(NINE + 300 * MINUTE) == []


def test_late_reminders_are_one() -> None:
    world = World([plan(mode=Mode.REMIND)], now=NINE - 8 * MINUTE)
    assert [(act.kind, act.before_s) for act in world.look()] == [(Kind.REMIND, 600.0)]
    assert world.go_on(NINE - MINUTE) == []


def test_reminders_come_when_it_is_armed_already() -> None:
    world = World([plan()], rules=Rules(remind=(120.0,), boot_id=BOOT))
    assert (Kind.REMIND, "120") in world.go_on(NINE - MINUTE)


def test_one_that_is_stopped_by_hand_is_not_begun_again() -> None:
    world = World([plan()])
    world.go_on(NINE + 30 * MINUTE)
    world.runs = []
    assert world.go_on(NINE + 240 * MINUTE) == [(Kind.NOTE_END, "0")]


def test_one_that_is_disarmed_by_hand_is_not_armed_again() -> None:
    world = World([plan()])
    world.go_on(NINE - 2 * MINUTE)
    world.runs = []
    assert world.go_on(NINE + 60 * MINUTE) == [(Kind.NOTE_END, "0")]


def test_one_whose_end_is_moved_is_stopped_then() -> None:
    world = World([plan()])
    world.go_on(NINE + 110 * MINUTE)
    world.plans = [plan(length=timedelta(hours=3))]
    assert world.go_on(NINE + 179 * MINUTE) == []
    assert world.go_on(NINE + 180 * MINUTE) == [(Kind.STOP, "0")]


def test_one_that_is_moved_is_reminded_of_anew() -> None:
    world = World([plan()])
    world.go_on(NINE - 15 * MINUTE)
    later = NINE + timedelta(hours=4)
    world.plans = [plan(starts_at=later)]
    assert world.go_on(later - 5 * MINUTE) == [
        (Kind.REMIND, "1800"), (Kind.CHECK, "0"), (Kind.REMIND, "600"), (Kind.ARM, "0"),
    ]  # fmt: skip


def test_one_that_was_held_and_is_moved_to_another_day_is_another_session() -> None:
    world = World([plan()])
    world.go_on(NINE + 150 * MINUTE)
    world.plans = [plan(starts_at=NINE + timedelta(days=1))]
    assert [act.kind for act in begun(world.acts)] == [Kind.ARM]
    world.go_on(NINE + timedelta(days=1, hours=3))
    assert [act.kind for act in begun(world.acts)] == [Kind.ARM, Kind.ARM]


@pytest.mark.parametrize("state", [PlanState.CANCELLED, PlanState.REMOVED])
def test_one_that_is_cancelled_is_let_go_while_it_is_armed_and_goes_on_while_it_is_recorded(state: PlanState) -> None:
    world = World([plan()])
    world.go_on(NINE - MINUTE)
    world.plans = [msgspec.structs.replace(world.plans[0], state=state)]
    assert [act.kind for act in world.look()] == [Kind.DISARM]
    other = World([plan()])
    other.go_on(NINE + MINUTE)
    other.plans = [msgspec.structs.replace(other.plans[0], state=state)]
    assert other.go_on(NINE + 119 * MINUTE) == []
    assert other.go_on(NINE + 121 * MINUTE) == [(Kind.STOP, "0"), (Kind.NOTE_END, "0")]


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
    assert (stop.kind, stop.plan.title) == (Kind.STOP, "a")
    world.runs = [Run(sealing, "a", NINE, world.plans[0].id, SessionState.SEALING)]
    assert [(act.kind, act.plan.title) for act in world.look()] == [(Kind.RECORD, "b")]


def test_one_that_still_runs_holds_up_the_next_and_that_is_told_once() -> None:
    world = World([plan()])
    world.runs = [Run("hand", "Kuliah", NINE - timedelta(hours=2), None, SessionState.LIVE)]
    assert world.go_on(NINE - MINUTE) == [(Kind.REMIND, "1800"), (Kind.CHECK, "0"), (Kind.REMIND, "600")]
    assert world.go_on(NINE + 10 * MINUTE) == [(Kind.TELL, "blocked")]
    assert world.acts[-1].other == "Kuliah"
    world.runs = []
    assert [act.kind for act in world.look()] == [Kind.RECORD]


def test_one_that_people_began_for_it_is_taken_for_it() -> None:
    world = World([plan()])
    world.runs = [Run("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.LIVE)]
    world.now = NINE
    (act,) = (each for each in world.look() if each.word)
    assert (act.kind, act.word, act.other) == (Kind.NOTE_END, "by-hand", "Rapat")
    world.runs = []
    assert world.go_on(NINE + 240 * MINUTE) == []


def test_one_that_people_have_armed_is_waited_for_and_not_taken_for_it_until_it_records() -> None:
    world = World([plan()])
    world.runs = [Run("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.ARMED)]
    world.now = NINE
    assert [(act.kind, act.word) for act in world.look() if act.word] == [(Kind.TELL, "blocked")]
    world.become("hand", SessionState.LIVE)
    assert [(act.kind, act.word) for act in world.look()] == [(Kind.NOTE_END, "by-hand")]
    other = World([plan()], now=NINE)
    other.runs = [Run("hand", "Rapat", NINE - 4 * MINUTE, None, SessionState.ARMED)]
    other.look()
    other.runs = []
    assert [act.kind for act in other.look()] == [Kind.RECORD]


def test_a_try_before_the_beginning_is_not_taken_for_it() -> None:
    world = World([plan()])
    world.runs = [Run("hand", "Uji", NINE - 4 * MINUTE, None, SessionState.LIVE)]
    world.go_on(NINE - 2 * MINUTE)
    world.runs = []
    assert [act.kind for act in world.look()] == [Kind.ARM]


def test_of_two_at_once_one_is_begun_and_the_other_is_told_of() -> None:
    world = World([plan("a"), plan("b")])
    world.go_on(NINE + MINUTE)
    assert [act.plan.title for act in begun(world.acts)] == ["a"]
    assert [(act.plan.title, act.word) for act in world.acts if act.kind is Kind.TELL] == [("b", "blocked")]


# What is taken up again


def test_a_recorder_that_was_killed_is_waited_for() -> None:
    world = World([plan()])
    world.go_on(NINE + MINUTE)
    killed = world.runs[0]
    world.become(killed.recorder, None)
    assert world.go_on(NINE + 3 * MINUTE) == []
    world.runs = [Run("next", "rapat", world.now, killed.plan, SessionState.LIVE)]
    assert world.go_on(NINE + 4 * MINUTE) == [(Kind.NOTE_RECORDER, "0")]
    assert world.go_on(NINE + 120 * MINUTE) == [(Kind.STOP, "0")]


def test_a_recorder_of_before_a_power_cut_is_replaced() -> None:
    world = World([plan()])
    world.go_on(NINE + MINUTE)
    world.runs, world.rules = [], Rules(boot_id="boot-2")
    assert [act.kind for act in world.look()] == [Kind.RECORD]


def test_one_that_comes_up_is_not_begun_again() -> None:
    one = plan()
    attempt = Attempt(pid=1, pid_started=1, boot_id=BOOT)
    ledger = {one.id: Done(starts_at=one.starts_at, ends_at=one.ends_at, attempt=attempt)}
    assert decide([one], ledger, [], NINE, RULES, coming={one.id}) == []
    assert [act.kind for act in decide([one], ledger, [], NINE, RULES)] == [Kind.RECORD]


# Whatever the clock does, and whenever the daemon begins anew


def test_a_clock_that_jumps_back_begins_nothing_twice_and_stops_nothing() -> None:
    world = World([plan()])
    world.go_on(NINE + 10 * MINUTE)
    world.now = NINE - timedelta(hours=3)
    assert world.look() == []
    world.runs = []  # stopped by hand, under the wrong time
    assert world.go_on(NINE + 240 * MINUTE, 5 * MINUTE) == [(Kind.NOTE_END, "0")]


def test_a_clock_that_jumps_over_the_beginning_joins() -> None:
    world = World([plan()], now=NINE - timedelta(hours=5))
    world.look()
    world.now = NINE + 20 * MINUTE
    assert [act.kind for act in world.look()] == [Kind.RECORD]


def test_a_clock_that_was_ahead_forgets_nothing() -> None:
    world = World([plan()], now=NINE + timedelta(hours=5))
    assert [act.word for act in world.look()] == ["missed"]
    world.now = NINE - 4 * MINUTE
    assert [act.kind for act in begun(world.look())] == [Kind.ARM]


@settings(max_examples=200, deadline=None)
@given(minutes=st.integers(-3000, 3000), mode=st.sampled_from(list(Mode)), checked_s=st.sampled_from([0.0, 5000.0]))
def test_what_is_far_has_nothing_to_be_done_for_it(minutes: int, mode: Mode, checked_s: float) -> None:
    rules, now = Rules(check_before_s=checked_s, boot_id=BOOT), NINE + minutes * MINUTE
    since_s, until_s = rules.times_of(plan(mode=mode))
    assert since_s <= now.timestamp() <= until_s or decide([plan(mode=mode)], {}, [], now, rules) == []


@dataclass(frozen=True)
class Step:
    jump_s: int
    what: str


SAID = (Kind.REMIND, Kind.CHECK, Kind.TELL, Kind.NOTE_END)
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
@given(steps=STEPS, modes=st.lists(st.sampled_from(list(Mode)), min_size=1, max_size=3), hours=st.integers(1, 3))
def test_nothing_is_begun_twice_and_no_session_is_forgotten(steps: list[Step], modes: list[Mode], hours: int) -> None:
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
                is_due = one.mode is Mode.RECORD and one.starts_at <= world.now < one.ends_at
                done = world.ledger.get(one.id)
                assert not is_due or (done and (done.recorder or done.ended_at)), "what is due is begun"
    said = [(act.plan.id, act.kind, act.word, act.before_s) for act in world.acts if act.kind in SAID]
    assert len(said) == len(set(said)), "all is said once"
    for one in plans:
        times = [act for act in begun(world.acts) if act.plan.id == one.id]
        assert len(times) <= 1
        assert one.mode is not Mode.REMIND or not times
