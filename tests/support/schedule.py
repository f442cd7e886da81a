"""Calendars and plans as offices export them, and a PC in simulated time that carries plans out."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec

from agent.schedule.decide import ActKind, PlanAct, RunningSession, decide, with_act
from agent.schedule.plan import Plan, PlanMode, session_hash
from agent.schedule.store import PlanRecord, record_of
from config.settings.serving import ScheduleSettings
from recorder.model.status import SessionState

NINE = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(*lines: str, uid: str = "a", summary: str = "Rapat") -> str:
    """Return a VEVENT with some lines of its own."""
    return "\r\n".join(("BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:{summary}", *lines, "END:VEVENT"))


def calendar(*parts: str) -> bytes:
    """Return a calendar of these parts."""
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//uji//ID", *parts, "END:VCALENDAR", "")).encode()


def plan(
    name: str = "rapat",
    starts_at: datetime = NINE,
    length: timedelta = timedelta(hours=2),
    mode: PlanMode = PlanMode.RECORD,
) -> Plan:
    """Return a plan that was made by hand."""
    return Plan(
        id=f"2026-12-01_{name}_00000000", title=name, starts_at=starts_at, ends_at=starts_at + length, mode=mode
    )


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
