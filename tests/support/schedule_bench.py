"""A schedule with one PC around it: processes stand for its recorders, and time passes as a test says."""

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from agent.daemon.command_child import CommandChild
from agent.schedule.decide import RunningSession
from agent.schedule.plan import Plan, PlanMode
from agent.schedule.scheduler import Scheduler
from agent.schedule.store import Plans, plan_record_store
from config.errors import SessionError
from config.locale.lookup import LocalizedText
from config.settings.schema import Settings
from config.settings.serving import ScheduleSettings
from devices.host.clock import NANOSECONDS
from recorder.control.spec import RecorderSpec
from recorder.model.status import SessionState
from recorder.running.runtime_directory import RecorderFolder
from tests.support.schedule import MINUTE, plan
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.waiting import wait_for


class Spawned:
    """Stands for a recorder that is started: a process that lives until it is killed, ready when it is let."""

    def __init__(self, number: int, gate: threading.Event, error: SessionError | None) -> None:
        self.notes: list[str] = []
        self._process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        self._gate, self._error, self._folder = gate, error, RecorderFolder(Path(f"/r{number}"))

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> RecorderFolder:
        self._gate.wait(20)
        if self._error:
            self.end()
            raise self._error
        return self._folder

    def wait(self, timeout_s: float) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self._process.communicate()


class Checked:
    """Stands for a check that has ended."""

    def answer(self) -> bytes:
        return b'{"checks": [{"name": "camera: podium", "verdict": "failure", "reason": "not there"}]}'


@dataclass
class Bench:
    """A schedule with one PC around it."""

    folder: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    specs: list[RecorderSpec] = field(default_factory=list)
    spawned: list[Spawned] = field(default_factory=list)
    runs: list[RunningSession] = field(default_factory=list)
    told_kinds: list[str] = field(default_factory=list)
    notices: list[LocalizedText] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    error: SessionError | None = None
    checked: list[Plan] = field(default_factory=list)

    def schedule(self) -> Scheduler:
        """Return a schedule as a daemon that has just begun has it."""
        return Scheduler(
            Settings(schedule=ScheduleSettings(mode="record")), self.clock, self.notify, self.told.append,
            self.spawn,  # type: ignore[arg-type]  # it stands for a recorder
            lambda: self.runs, self.check, Plans(self.folder), plan_record_store(self.folder),
        )  # fmt: skip

    def spawn(self, spec: RecorderSpec) -> Spawned:
        self.specs.append(spec)
        self.spawned.append(Spawned(len(self.specs), self.gate, self.error))
        return self.spawned[-1]

    def notify(self, kind: str, _plan: Plan, words: LocalizedText) -> None:
        self.told_kinds.append(kind)
        self.notices.append(words)

    def check(self, one: Plan) -> CommandChild:
        self.checked.append(one)
        return Checked()  # type: ignore[return-value]  # it stands for a process

    def at(self, moment_s: float) -> None:
        self.clock.advance_to(5 * NANOSECONDS + int(moment_s * NANOSECONDS))

    def kinds(self) -> list[str]:
        return list(self.told_kinds)

    def ready(self, schedule: Scheduler) -> None:
        """Let the recorder that is being started be ready, and the schedule hear of it."""
        self.gate.set()
        beginning = schedule._beginning
        assert beginning
        wait_for(lambda: beginning.is_over)
        if self.error is None:
            recorder = f"r{len(self.specs)}"
            self.runs = [
                RunningSession(recorder, beginning.plan.title, self.clock.now(), beginning.plan.id, SessionState.LIVE)
            ]
        schedule.look()


def plan_in(minutes: float, mode: PlanMode = PlanMode.RECORD) -> Plan:
    return plan(starts_at=BEGINNING + minutes * MINUTE, mode=mode)
