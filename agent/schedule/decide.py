"""Decides the due acts of all plans, from plans, time, past acts and running sessions.

It reads states, never changes: after a clock jump, a missed look or a restart it decides the right act, once.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from agent.schedule.plan import Plan, PlanMode, session_hash
from agent.schedule.store import PlanRecord, PlanRecords, record_of
from config.settings.serving import ScheduleSettings
from devices.host.clock import boot_id
from recorder.model.status import STATES_AFTER, STATES_BEFORE, STATES_RECORDING, SessionState

OWN_SESSION_BEFORE_S = 900.0
"""A session that people begin at most this long before a plan, or later, counts as the plan's."""
LATE_S = 60.0
REPORT_MISSED_FOR = timedelta(days=1)


class ActKind(StrEnum):
    REMIND = "remind"
    CHECK = "check"
    ARM = "arm"
    RECORD = "record"  # record at once: the plan was not armed in time
    START = "start"
    REARM = "rearm"  # close its devices since the plan has changed; they open again as the plan now asks
    STOP = "stop"
    DISARM = "disarm"
    TELL = "tell"  # say once the notice `word`
    NOTE_RECORDER = "note-recorder"
    NOTE_RECORDING = "note-recording"
    NOTE_END = "note-end"  # its session has ended, or people began it themselves: do not begin it again


@dataclass(frozen=True, slots=True)
class RunningSession:
    """A running session; `plan` is None if people began it.

    `state` is None while its recorder does not answer, was killed, or takes over a killed one's session.
    """

    recorder: str
    title: str
    began_at: datetime
    plan: str | None = None
    state: SessionState | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still has its devices."""
        return self.state not in STATES_AFTER

    @property
    def is_recording(self) -> bool:
        return self.state in STATES_RECORDING


def due_span(plan: Plan, rules: ScheduleSettings) -> tuple[float, float]:
    """Return the span, in time.time() seconds, in which a plan that has not begun may need an act."""
    ahead_s = max((*rules.remind, rules.check_before_s, rules.arm_ahead_s))
    return plan.starts_at.timestamp() - ahead_s, (plan.ends_at + REPORT_MISSED_FOR).timestamp()


@dataclass(frozen=True, slots=True)
class PlanAct:
    """One act; its kind decides which fields count."""

    kind: ActKind
    plan: Plan
    recorder: str = ""
    word: str = ""
    before_s: float = 0.0
    other: str = ""


def decide(
    plans: Collection[Plan], ledger: PlanRecords, runs: Sequence[RunningSession], now: datetime,
    rules: ScheduleSettings, coming: Collection[str] = (),
) -> list[PlanAct]:  # fmt: skip
    """Return the due acts, in order.

    `coming` are the ids of plans with a started recorder that does not run yet.
    """
    own = {run.plan: run for run in runs if run.plan}
    acts: list[PlanAct] = []
    waiting: list[Plan] = []
    for plan in plans:
        done = record_of(plan, ledger)
        if run := own.get(plan.id):
            acts += _acts_of_running(plan, done, run, now, rules)
            acts += _reminders(plan, done, now, rules)
        elif plan.id in coming or done.ended_at is not None:
            pass
        elif done.recorder is not None and done.boot_id == boot_id():
            acts.append(PlanAct(ActKind.NOTE_END, plan, done.recorder))
        elif plan.holds:
            waiting.append(plan)
    is_free, others = not coming, [run for run in runs if run.is_open]
    for plan in sorted(waiting, key=lambda plan: (plan.starts_at, plan.id)):
        more = list(_acts_of_waiting(plan, record_of(plan, ledger), others, now, rules, is_free=is_free))
        is_free = is_free and not any(act.kind in (ActKind.ARM, ActKind.RECORD) for act in more)
        acts += more
    return acts


def _acts_of_running(
    plan: Plan, done: PlanRecord, run: RunningSession, now: datetime, rules: ScheduleSettings
) -> Iterator[PlanAct]:
    if done.recorder != run.recorder or done.ended_at is not None:
        yield PlanAct(ActKind.NOTE_RECORDER, plan, run.recorder)
    if run.state in STATES_BEFORE:
        if now >= plan.ends_at or not plan.holds:
            yield PlanAct(ActKind.DISARM, plan, run.recorder)
        elif plan.mode is PlanMode.RECORD and now >= plan.starts_at:
            yield PlanAct(ActKind.START, plan, run.recorder)
        elif _has_changed(plan, done) or _is_postponed(plan, done, now, rules):
            yield PlanAct(ActKind.REARM, plan, run.recorder)
        elif now >= plan.starts_at and "waits" not in done.told:
            yield PlanAct(ActKind.TELL, plan, word="waits")
    elif run.state in STATES_RECORDING:
        yield from _acts_while_recording(plan, done, run, now)


def _acts_while_recording(plan: Plan, done: PlanRecord, run: RunningSession, now: datetime) -> Iterator[PlanAct]:
    until = done.records_until if _is_moved_past_end(plan, done) else plan.ends_at
    if until != done.records_until:
        yield PlanAct(ActKind.NOTE_RECORDING, plan, run.recorder)
    if until is not None and now >= until:
        if plan.mode is PlanMode.RECORD:
            yield PlanAct(ActKind.STOP, plan, run.recorder)
        elif "overrun" not in done.told:
            yield PlanAct(ActKind.TELL, plan, word="overrun")


def _has_changed(plan: Plan, done: PlanRecord) -> bool:
    """Return whether the plan now asks for another session than the armed one."""
    return plan.mode is PlanMode.REMIND or bool(done.begun_as and done.begun_as != session_hash(plan))


def _is_postponed(plan: Plan, done: PlanRecord, now: datetime, rules: ScheduleSettings) -> bool:
    """Return whether the plan moved since its recorder began and is not due now; a clock jump does not move it."""
    if done.begun_for is None or plan.starts_at <= done.begun_for:
        return False
    return (plan.starts_at - now).total_seconds() > rules.arm_ahead_s


def _is_moved_past_end(plan: Plan, done: PlanRecord) -> bool:
    """Return whether the plan moved behind the end of its running recording: it is recorded twice."""
    return done.records_until is not None and plan.starts_at > done.records_until


def _acts_of_waiting(
    plan: Plan, done: PlanRecord, others: list[RunningSession], now: datetime, rules: ScheduleSettings, *, is_free: bool
) -> Iterator[PlanAct]:
    left_s = (plan.starts_at - now).total_seconds()
    if now >= plan.ends_at:
        if plan.mode is PlanMode.RECORD and now - plan.ends_at < REPORT_MISSED_FOR and "missed" not in done.told:
            yield PlanAct(ActKind.TELL, plan, word="missed")
        return
    yield from _reminders(plan, done, now, rules)
    if plan.mode is PlanMode.REMIND:
        if left_s <= 0 and "begins" not in done.told:
            yield PlanAct(ActKind.TELL, plan, word="begins")
        return
    if rules.arm_ahead_s < left_s <= rules.check_before_s and not done.checked:
        yield PlanAct(ActKind.CHECK, plan)
    if left_s <= rules.arm_ahead_s:
        yield from _acts_to_begin(plan, done, others, now, is_free=is_free)


def _reminders(plan: Plan, done: PlanRecord, now: datetime, rules: ScheduleSettings) -> Iterator[PlanAct]:
    left_s = (plan.starts_at - now).total_seconds()
    due = [before_s for before_s in rules.remind if 0 < left_s <= before_s and before_s not in done.reminded]
    if due and plan.holds:
        yield PlanAct(ActKind.REMIND, plan, before_s=min(due))


def _acts_to_begin(
    plan: Plan, done: PlanRecord, others: list[RunningSession], now: datetime, *, is_free: bool
) -> Iterator[PlanAct]:
    """Arm or record, unless one of the `others` has the devices."""
    if now >= plan.starts_at and (taken := next((run for run in others if _records_plan(run, plan)), None)):
        yield PlanAct(ActKind.NOTE_END, plan, taken.recorder, word="by-hand", other=taken.title)
    elif others:
        if now >= plan.starts_at and "blocked" not in done.told:
            yield PlanAct(ActKind.TELL, plan, word="blocked", other=others[0].title)
    elif is_free:
        at_once = plan.mode is PlanMode.RECORD and now >= plan.starts_at
        yield PlanAct(ActKind.RECORD if at_once else ActKind.ARM, plan)


def _records_plan(run: RunningSession, plan: Plan) -> bool:
    """Return whether people record this plan's session themselves; a merely armed session may be forgotten."""
    return (
        run.plan is None
        and run.state in STATES_RECORDING
        and run.began_at >= plan.starts_at - timedelta(seconds=OWN_SESSION_BEFORE_S)
    )


def with_act(act: PlanAct, done: PlanRecord, now: datetime, rules: ScheduleSettings) -> PlanRecord:
    """Return the record of a plan with one act added."""
    match act.kind:
        case ActKind.REMIND:  # earlier reminders are over
            over = {before_s for before_s in rules.remind if before_s >= act.before_s}
            return msgspec.structs.replace(done, reminded=tuple(sorted({*done.reminded, *over})))
        case ActKind.CHECK:
            return msgspec.structs.replace(done, checked=True)
        case ActKind.TELL:
            return msgspec.structs.replace(done, told=(*done.told, act.word))
        case ActKind.NOTE_RECORDER:
            own = {"recorder": act.recorder, "boot_id": boot_id()}
            return msgspec.structs.replace(done, attempt=None, ended_at=None, **own)
        case ActKind.NOTE_RECORDING:
            return msgspec.structs.replace(done, records_until=act.plan.ends_at)
        case ActKind.NOTE_END if _is_postponed(act.plan, done, now, rules) or _is_moved_past_end(act.plan, done):
            return done.without_recorder()  # it ended for a time that no longer holds
        case ActKind.NOTE_END:
            return msgspec.structs.replace(done, ended_at=now, attempt=None)
        case _:
            return done
