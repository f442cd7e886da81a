"""The daemon's part for planned sessions: it decides (agent/schedule/decide.py) and acts, without blocking."""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from agent.daemon.command_child import CommandChild
from agent.daemon.parts import DaemonContext, poll
from agent.schedule.decide import LATE_S, ActKind, PlanAct, RunningSession, decide, due_span, with_act
from agent.schedule.feeds import FeedReader, feed_states
from agent.schedule.notices import Notify, board_notifier, plan_notice
from agent.schedule.plan import Plan, session_hash
from agent.schedule.room_check import begin_check, problems_of_room
from agent.schedule.running import ask_recorder, failure_reason, running_sessions, was_disarmed
from agent.schedule.starting import SpawnRecorder, StartingRecorder, spec_of
from agent.schedule.store import (
    PlanRecord,
    PlanRecords,
    PlanRecordStore,
    Plans,
    RecorderAttempt,
    change_record,
    forget_other_records,
    plan_record_store,
    record_of,
)
from config.errors import LiputError, StateError, as_liput_error
from config.files import file_stamp
from config.locale.lookup import NO_TEXT, LocalizedText, error_sentence
from config.settings.office import zone_of
from config.settings.schema import Settings
from devices.host.clock import NANOSECONDS, Clock, boot_id, is_clock_unset
from devices.host.process import process_started
from devices.host.throttle import LogOnChange
from recorder.running.protocol import AnyRequest, DisarmCommand, StartCommand, StopCommand

LOOK_S = 0.5
PRE_ROLL_S = 60.0  # how far a start may reach back to the planned beginning
RETRY_S = (5.0, 15.0, 30.0, 60.0)  # waits after successive failures; the last one repeats


@dataclass(eq=False)
class Scheduler:
    settings: Settings
    clock: Clock
    notify: Notify
    tell: Callable[[str], None]
    spawn: SpawnRecorder
    runs: Callable[[], Sequence[RunningSession]]
    check: Callable[[Plan], CommandChild]
    plans: Plans = field(default_factory=Plans)
    done: PlanRecordStore = field(default_factory=plan_record_store)
    feeds: FeedReader | None = None
    config_file: Path | None = None
    archive: Path | None = None
    may_be_set_soon: Callable[[], bool] = lambda: False
    name: str = "schedule"
    _beginning: StartingRecorder | None = None
    _checking: list[tuple[Plan, CommandChild]] = field(default_factory=list)
    _children: list[StartingRecorder] = field(default_factory=list)
    _unsaved: dict[str, PlanRecord] = field(default_factory=dict)
    _known: list[Plan] = field(default_factory=list)
    _times: list[tuple[float, float]] = field(default_factory=list)
    _seen: object = None
    _failures: dict[str, int] = field(default_factory=dict)
    _begun_ns: dict[str, int] = field(default_factory=dict)
    _not_before_ns: dict[str, int] = field(default_factory=dict)
    _starting: dict[str, Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._log_on_change = LogOnChange(self.tell)
        self._newest = self.settings

    def take(self, settings: Settings) -> None:
        self._newest = settings

    def _apply_settings(self) -> None:
        """Use new settings; armed sessions, beginnings and checks go on."""
        if self._newest is self.settings:
            return
        self.settings = self._newest
        self._times = [due_span(plan, self.settings.schedule) for plan in self._known]
        if self.feeds is not None:
            self.feeds.take(self.settings)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Look repeatedly until `stop` is set; sessions go on afterwards."""
        try:
            poll(self.look, LOOK_S, self.clock, stop, beat)
        finally:
            if self.feeds is not None:
                self.feeds.close()
            for _, check in self._checking:
                check.end()
            self._checking.clear()

    def look(self) -> None:
        self._apply_settings()
        self._children = [child for child in self._children if not child.spawned.wait(0.0)]
        if self.feeds is not None:
            try:
                self.feeds.look()
            except LiputError as error:  # calendars fail; plans go on
                self._log_on_change(error.message, "feeds")
        self._take_checks()
        self._take_beginning()
        if not self._plans():
            return
        try:
            runs = list(self.runs())
        except (LiputError, OSError) as error:
            self._log_on_change(f"running sessions cannot be listed: {error}", "runs")
            return
        self._log_on_change("", "runs")
        ledger, now = self._ledger(), self._now()
        self._report_recordings(runs, now)
        plans = self._plans_in_range(ledger, runs, now)
        coming = self._starting_plans(plans, ledger, runs)
        for act in decide(plans, ledger, runs, now, self.settings.schedule, coming):
            if not self._waits_for_the_clock(act, ledger):
                self._do(act, now)

    def _waits_for_the_clock(self, act: PlanAct, ledger: PlanRecords) -> bool:
        """Return whether a new session waits because the clock may be hours off; a begun one never waits."""
        done = record_of(act.plan, ledger)
        is_new = act.kind in {ActKind.ARM, ActKind.RECORD} and done.recorder is None and done.attempt is None
        if is_new and self.may_be_set_soon():
            self._log_on_change("this PC's clock is not set since its start: planned sessions wait, a minute at most")
            return True
        return False

    # State

    def _now(self) -> datetime:
        return self.clock.now().astimezone(zone_of(self.settings.office.time_zone))

    def _plans(self) -> list[Plan]:
        """Return the plans; the last known ones if the file is unreadable."""
        seen = file_stamp(self.plans.path)
        if seen is None:
            self._known, self._times, self._seen = [], [], None
        elif seen != self._seen:
            try:
                self._known = self.plans.read()
                self._log_on_change("", "plans")
            except StateError as error:
                self._log_on_change(f"{error.message}; earlier plans hold", "plans")
            else:
                with contextlib.suppress(StateError):  # old entries do no harm
                    forget_other_records(self.done, self._known)
            self._times = [due_span(plan, self.settings.schedule) for plan in self._known]
            self._seen = seen
        return self._known

    def _plans_in_range(self, ledger: PlanRecords, runs: Sequence[RunningSession], now: datetime) -> list[Plan]:
        """Return the plans that may need an act now: a calendar has hundreds of distant ones."""
        begun = {run.plan for run in runs} | {
            plan_id for plan_id, done in ledger.items() if done.ended_at is None and (done.recorder or done.attempt)
        }
        now_s = now.timestamp()
        return [
            plan for plan, (since_s, until_s) in zip(self._known, self._times, strict=True)
            if since_s <= now_s <= until_s or plan.id in begun
        ]  # fmt: skip

    def _ledger(self) -> PlanRecords:
        try:
            kept: Mapping[str, PlanRecord] = self.done.read()
            self._log_on_change("", "done")
        except StateError as error:
            self._log_on_change(f"{error.message}; records of planned sessions are not kept", "done")
            kept = {}
        return {**kept, **self._unsaved}

    def _change_record(self, plan: Plan, change: Callable[[PlanRecord], PlanRecord]) -> None:
        """Keep a plan's record; in memory if the disk fails."""
        try:
            if plan.id not in self._unsaved:
                change_record(self.done, plan, change)
                return
        except StateError as error:
            self._log_on_change(f"{error.message}; records of planned sessions are not kept", "done")
        self._unsaved[plan.id] = change(record_of(plan, self._ledger()))

    def _starting_plans(self, plans: Sequence[Plan], ledger: PlanRecords, runs: Sequence[RunningSession]) -> set[str]:
        running = {run.plan for run in runs}
        coming = {
            plan.id
            for plan in plans
            if plan.id not in running and (done := ledger.get(plan.id)) and done.attempt and done.attempt.is_alive
        }
        return coming | ({self._beginning.plan.id} if self._beginning is not None else set())

    # Acts

    def _do(self, act: PlanAct, now: datetime) -> None:
        match act.kind:
            case ActKind.ARM | ActKind.RECORD:
                self._begin(act.plan, now, records=act.kind is ActKind.RECORD)
            case ActKind.START:
                late_s = (now - act.plan.starts_at).total_seconds()
                self._starting[act.recorder] = act.plan
                self._ask(act, StartCommand(pre_roll_s=min(max(0.0, late_s), PRE_ROLL_S)), "recording")
            case ActKind.STOP:
                self._end(act, StopCommand(), "stopped", now)
            case ActKind.DISARM:
                if not act.plan.holds:  # the plan may hold again later
                    self._mark_changing(act)
                self._end(act, DisarmCommand(), "disarmed", now)
            case ActKind.REARM:
                self._mark_changing(act)
                self._ask(act, DisarmCommand(), "changed")
            case ActKind.NOTE_END if self._closed_for_change(act):
                self._change_record(act.plan, PlanRecord.without_recorder)
            case ActKind.NOTE_END if why := failure_reason(act, now):
                self._note_failure(act.plan, why, now)
            case _:
                self._change_record(act.plan, lambda done: with_act(act, done, now, self.settings.schedule))
                self._announce(act, now)

    def _announce(self, act: PlanAct, now: datetime) -> None:
        if act.kind in (ActKind.REMIND, ActKind.TELL) or act.word:
            self._say("reminder" if act.kind is ActKind.REMIND else act.word, act.plan, now, other=act.other)
        elif act.kind is ActKind.CHECK:
            try:
                self._checking.append((act.plan, self.check(act.plan)))
            except OSError as error:
                self.tell(f'the room cannot be checked before "{act.plan.title}": {error.strerror}')

    def _mark_changing(self, act: PlanAct) -> None:
        """Note, before asking, that a recorder closes its devices because of its plan."""
        if record_of(act.plan, self._ledger()).changing != act.recorder:
            self._change_record(act.plan, lambda done: msgspec.structs.replace(done, changing=act.recorder))

    def _closed_for_change(self, act: PlanAct) -> bool:
        """Return whether a recorder closed its devices only because its plan changed."""
        return record_of(act.plan, self._ledger()).changing == act.recorder and was_disarmed(act.recorder)

    def _ask(self, act: PlanAct, request: AnyRequest, word: str) -> bool:
        """Send a request to a recorder, at most every RETRY_S[0]; return whether it was sent now."""
        if not self._is_allowed(f"{act.recorder} {word}"):
            return False
        self._block_for(f"{act.recorder} {word}", RETRY_S[0])
        try:
            ask_recorder(act.recorder, request)
        except (LiputError, OSError) as error:
            self._log_on_change(f'"{act.plan.title}": {error}', act.recorder)
            return False
        return True

    def _end(self, act: PlanAct, request: AnyRequest, word: str, now: datetime) -> None:
        """Ask a recorder to end, and report it once."""
        if self._ask(act, request, word):
            self._say(word, act.plan, now, once=act.recorder)

    def _report_recordings(self, runs: Sequence[RunningSession], now: datetime) -> None:
        """Report each started recording once it really records: its disk may be gone or full."""
        records = {run.recorder: run.is_recording for run in runs}
        for recorder, plan in list(self._starting.items()):
            if recorder not in records:
                del self._starting[recorder]
            elif records[recorder]:
                del self._starting[recorder]
                self._say("recording", plan, now, late_s=_late_s(plan, now))

    def _begin(self, plan: Plan, now: datetime, *, records: bool) -> None:
        """Start a plan's recorder. Its process is noted before it gets its spec: one without a spec ends."""
        if not self._is_allowed(plan.id):
            return
        try:
            spec, problem = spec_of(plan, self.settings, self.config_file, archive=self.archive, arm_only=not records)
            if file := self.settings.file:
                spec = msgspec.structs.replace(spec, settings=file, settings_text=self.settings.text)
            spawned = self.spawn(spec)
        except (LiputError, OSError) as error:
            self._note_failure(plan, as_liput_error(error), now)
            return
        if problem:
            self.tell(f'"{plan.title}": {problem.message}')
            self._say("without-request", plan, now, once=plan.id, why=error_sentence(problem.why, problem.about))
        attempt = RecorderAttempt(pid=spawned.pid, pid_started=process_started(spawned.pid) or 0, boot_id=boot_id())
        begun = {"attempt": attempt, "begun_as": session_hash(plan), "begun_for": plan.starts_at}
        self._change_record(plan, lambda done: msgspec.structs.replace(done.without_recorder(), **begun))
        self._beginning = StartingRecorder(plan, spawned, records=records)
        self._children.append(self._beginning)

    def _take_beginning(self) -> None:
        beginning = self._beginning
        if beginning is None or not beginning.is_over:
            return
        self._beginning = None
        plan, now = beginning.plan, self._now()
        try:
            act = PlanAct(ActKind.NOTE_RECORDER, plan, beginning.recorder())
        except LiputError as error:
            self._note_failure(plan, error, now)
            return
        for sentence in beginning.spawned.notes:
            self.tell(sentence)
        self._change_record(plan, lambda done: with_act(act, done, now, self.settings.schedule))
        self._begun_ns[plan.id] = self.clock.now_ns()
        if beginning.records:
            self._say("recording", plan, now, late_s=_late_s(plan, now))
        else:
            self._say("armed", plan, now)

    def _note_failure(self, plan: Plan, error: LiputError, now: datetime) -> None:
        """Note that a plan's recorder failed, and the time of the next attempt."""
        self._change_record(plan, lambda done: msgspec.structs.replace(done, attempt=None, recorder=None))
        begun_ns = self._begun_ns.pop(plan.id, None)
        if begun_ns is not None and self.clock.now_ns() - begun_ns > RETRY_S[-1] * NANOSECONDS:
            self._failures.pop(plan.id, None)  # it ran well for a while
        count = self._failures[plan.id] = self._failures.get(plan.id, 0) + 1
        self._block_for(plan.id, RETRY_S[min(count, len(RETRY_S)) - 1])
        self._log_on_change(f'"{plan.title}": {error.message}', f"failure {plan.id}")
        self._say("failed", plan, now, once=plan.id, why=error_sentence(error.why, error.about))

    def _take_checks(self) -> None:
        for plan, check in list(self._checking):
            if (problems := problems_of_room(check)) is not None:
                self._checking.remove((plan, check))
                why = LocalizedText(*map("; ".join, zip(*problems, strict=True))) if problems else NO_TEXT
                self._say("not-ready" if problems else "ready", plan, self._now(), why=why)

    # Notices once, and retries

    def _is_allowed(self, key: str) -> bool:
        return self.clock.now_ns() >= self._not_before_ns.get(key, 0)

    def _block_for(self, key: str, seconds: float) -> None:
        self._not_before_ns[key] = self.clock.now_ns() + int(seconds * NANOSECONDS)

    def _say(
        self, kind: str, plan: Plan, now: datetime, *, once: str = "", other: str = "", why: LocalizedText = NO_TEXT,
        late_s: float = 0.0,
    ) -> None:  # fmt: skip
        """Send a notice about a plan; the same words for `once` are sent only once."""
        words = plan_notice(kind, plan, now, other=other, why=why, late_s=late_s)
        text = f"{kind} {words.english}"
        if not once or self._log_on_change.is_new(text, f"notice {once}"):
            self.notify(kind, plan, words)


def _late_s(plan: Plan, now: datetime) -> float:
    """Return the seconds of a late beginning; 0 if it is not worth a word."""
    late_s = (now - plan.starts_at).total_seconds()
    return late_s if late_s > LATE_S else 0.0


def make_part(daemon: DaemonContext) -> Scheduler:
    """Return the daemon's part; its log has the notices in English."""
    plans, tell = Plans(), daemon.log.of("schedule")

    return Scheduler(
        settings=daemon.settings,
        clock=daemon.clock,
        notify=board_notifier(daemon.board, tell),
        tell=tell,
        spawn=daemon.spawn,
        runs=running_sessions,
        check=partial(begin_check, clock=daemon.clock, config_file=daemon.config_file, archive=daemon.folder),
        plans=plans,
        feeds=FeedReader(daemon.settings, plans, feed_states(), daemon.clock, tell),
        config_file=daemon.config_file,
        archive=daemon.folder,
        may_be_set_soon=is_clock_unset,
    )
