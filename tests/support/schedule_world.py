"""A PC as the schedule sees it, in simulated time, where all that is decided for its plans is done."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from agent.schedule.decide import Act, Kind, Rules, Run, decide, noted
from agent.schedule.plan import Plan, begun_as
from agent.schedule.store import Done, done_for
from recorder.model.status import SessionState
from tests.support.calendars import NINE

BOOT = "boot-1"
RULES = Rules(boot_id=BOOT)


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
        """Decide, and do it; return what was done, but for the note of how long is recorded: nobody sees that."""
        before = len(self.acts)
        for act in decide(self.plans, self.ledger, self.runs, self.now, self.rules):
            if act.kind is not Kind.NOTE_RECORDING:
                self.acts.append(act)
            self.ledger[act.plan.id] = noted(act, done_for(act.plan, self.ledger), self.now, self.rules)
            self._do(act)
        return self.acts[before:]

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


def begun(acts: list[Act]) -> list[Act]:
    return [act for act in acts if act.kind in (Kind.ARM, Kind.RECORD)]
