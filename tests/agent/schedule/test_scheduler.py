"""The part of the daemon, with processes that stand for recorders: what is kept, tried again, and told."""

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.daemon.command_child import CommandChild
from agent.schedule.decide import RunningSession
from agent.schedule.plan import Plan, PlanMode, PlanState
from agent.schedule.room_check import begin_check, check_words, problems_of_room
from agent.schedule.scheduler import Scheduler
from agent.schedule.starting import spec_of
from agent.schedule.store import Plans, change_record, plan_record_store
from agent.sessions.control import NOTHING_RUNS
from config.errors import SessionError
from config.events import Event
from config.locale.lookup import LocalizedText
from config.settings.schema import Settings, load_settings
from config.settings.serving import ScheduleSettings
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running.client import ControlClient
from recorder.running.protocol import (
    AnyRequest,
    DisarmCommand,
    RecorderFailure,
    StartCommand,
    StopCommand,
    WatchCommand,
    encode,
)
from recorder.running.runtime_directory import RecorderFolder, runtime_folder
from tests.support.room import Room
from tests.support.schedule import MINUTE, plan
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.waiting import wait_for

SEALED = SessionResult(state=SessionState.SEALED, package="p", duration_s=9.0, frames=9, degraded=[])


class Spawned:
    """Stands for a recorder that is started: a process that lives until it is killed, ready when it is let."""

    def __init__(self, number: int, gate: threading.Event, error: SessionError | None) -> None:
        self.notes: list[str] = []
        self._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
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

    def looks_at(self, schedule: Scheduler, *moments_s: float) -> None:
        for moment_s in moments_s:
            self.at(moment_s)
            schedule.look()

    def ended(self, folder: Path, end: SessionResult | RecorderFailure) -> None:
        """Let a recorder be gone with this end."""
        self.runs = []
        RecorderFolder(folder).end(encode(end))

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


def looks(schedule: Scheduler) -> None:
    """Let it look several times."""
    for _ in range(3):
        schedule.look()


def plan_in(minutes: float, mode: PlanMode = PlanMode.RECORD) -> Plan:
    return plan(starts_at=BEGINNING + minutes * MINUTE, mode=mode)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.gate.set()
    for each in made.spawned:
        each.end()


def test_what_is_begun_is_noted_before_it_is_told_anything_and_not_begun_twice(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    schedule = bench.schedule()
    schedule.look()
    (spec,) = bench.specs
    assert (spec.plan, spec.arm_only, spec.asked.title, spec.asked.allow_missing) == (
        plan_in(0).id,
        False,
        "rapat",
        True,
    )
    assert spec.folder == Path("/"), "a word that is no device is no file beside the daemon either"
    attempt = plan_record_store(bench.folder).read()[plan_in(0).id].attempt
    assert attempt
    assert attempt.pid == bench.spawned[0].pid
    assert attempt.is_alive
    for other in (schedule, bench.schedule()):  # the daemon is killed and begun anew meanwhile
        looks(other)
    assert len(bench.specs) == 1
    bench.ready(schedule)
    assert plan_record_store(bench.folder).read()[plan_in(0).id].recorder == "r1"
    assert bench.kinds() == ["recording"]


def test_a_clock_that_may_be_hours_off_begins_nothing_and_one_that_was_begun_goes_on(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    is_doubtful = True
    schedule = bench.schedule()
    schedule.may_be_set_soon = lambda: is_doubtful
    looks(schedule)
    assert bench.specs == []
    assert len(bench.told) == 1
    assert "clock" in bench.told[0]
    is_doubtful = False
    schedule.look()
    bench.ready(schedule)
    assert bench.kinds() == ["recording"]
    bench.runs = []
    done = plan_record_store(bench.folder)
    change_record(done, plan_in(0), lambda one: msgspec.structs.replace(one, boot_id="before the power cut"))
    later = bench.schedule()
    later.may_be_set_soon = lambda: True
    later.look()
    assert len(bench.specs) == 2, "what a power cut has ended goes on at once"


def test_a_process_that_died_before_it_was_a_recorder_is_replaced(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    bench.schedule().look()
    bench.spawned[0].end()
    bench.schedule().look()
    assert len(bench.specs) == 2


def test_what_cannot_be_begun_is_told_once_and_tried_again_ever_more_seldom(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    bench.error = SessionError("no camera is plugged in")
    schedule, times = bench.schedule(), []
    bench.gate.set()
    for second in range(200):
        bench.at(second)
        before = len(bench.specs)
        schedule.look()
        if schedule._beginning:
            times += [second] * (len(bench.specs) - before)
            bench.ready(schedule)
    assert times == [0, 5, 20, 50, 110, 170]
    assert bench.kinds() == ["failed"]
    assert "no camera is plugged in" in bench.notices[0].english
    bench.error = None
    bench.at(400)
    schedule.look()
    bench.ready(schedule)
    assert bench.kinds() == ["failed", "recording"]
    assert "6m" in bench.notices[1].english or "7m" in bench.notices[1].english


def test_a_session_that_failed_by_itself_is_begun_again_and_one_that_people_ended_is_not(
    bench: Bench, runtime: Path
) -> None:
    runtime_folder(make=True)
    Plans(bench.folder).add(plan_in(0))
    schedule = bench.schedule()
    schedule.look()
    bench.ready(schedule)
    bench.ended(runtime / "r1", RecorderFailure(message="the camera is gone"))
    schedule.look()
    assert bench.kinds() == ["recording", "failed"]
    bench.at(10)
    schedule.look()
    bench.ready(schedule)
    assert len(bench.specs) == 2
    bench.runs = []
    bench.at(20)
    schedule.look()
    assert plan_record_store(bench.folder).read()[plan_in(0).id].ended_at == BEGINNING + timedelta(seconds=20)
    bench.at(60)
    schedule.look()
    assert len(bench.specs) == 2


def test_reminders_and_the_check_come_in_time_and_once_for_all_daemons(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(40))
    for minute in range(35):
        bench.at(minute * 60)
        bench.schedule().look()
        if minute == 20:
            same = bench.schedule()
            same.look()
    assert bench.kinds() == ["reminder", "reminder"]
    assert [one.title for one in bench.checked] == ["rapat"]
    assert bench.notices[0].indonesian == '"rapat" dimulai 30m lagi, pukul 09:40; perekaman dimulai sendiri'


def test_what_the_check_found_is_told(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(15))
    schedule = bench.schedule()
    for _ in range(2):
        schedule.look()
    assert bench.kinds() == ["reminder", "not-ready"]
    assert bench.notices[-1].english == 'checked before "rapat": not ready: camera: podium: not there'


def test_a_disk_that_takes_nothing_costs_no_session_and_says_so_once(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    (bench.folder / "done.json").write_text("[damaged")
    schedule = bench.schedule()
    for _ in range(4):
        schedule.look()
    bench.ready(schedule)
    schedule.look()
    assert len(bench.specs) == 1
    assert len(bench.told) == 1
    assert "are not kept" in bench.told[0]
    assert (bench.folder / "done.json").read_text() == "[damaged"


def test_plans_that_cannot_be_read_any_more_hold_as_they_were(bench: Bench) -> None:
    plans = Plans(bench.folder)
    plans.add(plan_in(1))
    schedule = bench.schedule()
    schedule.look()
    plans.path.write_text("[damaged")
    bench.at(90)
    schedule.look()
    assert [spec.plan for spec in bench.specs] == [plan_in(1).id]
    assert [text for text in bench.told if "earlier plans hold" in text] == bench.told != []


def test_it_ends_when_it_is_told_to_and_beats_meanwhile(bench: Bench) -> None:
    stop, beats = threading.Event(), []

    def beat() -> None:
        beats.append(bench.clock.now_ns())
        if len(beats) == 5:
            stop.set()

    bench.schedule().run(stop, beat)
    assert len(beats) == 5


def test_a_recording_that_broke_off_is_begun_again_ever_more_seldom_until_its_end(bench: Bench, runtime: Path) -> None:
    """As of a disk that fails: nobody may be in the room. One that people stopped stays so, whatever failed then."""
    runtime_folder(make=True)
    Plans(bench.folder).add(plan_in(0))
    schedule, begun = bench.schedule(), []
    bench.gate.set()

    def ended(*, broke_off: bool) -> None:
        bench.runs = []
        end = SessionResult(
            state=SessionState.SEALED, package="p", duration_s=1.0, frames=9, degraded=["recording-failed: session"],
            broke_off=broke_off,
        )  # fmt: skip
        RecorderFolder(runtime / f"r{len(bench.specs)}").end(encode(end))

    for second in range(700):
        bench.at(second)
        before = len(bench.specs)
        schedule.look()
        if schedule._beginning:
            begun += [second] * (len(bench.specs) - before)
            bench.ready(schedule)
        elif bench.runs and (len(begun) < 4 or second == 600):
            ended(broke_off=True)
    assert begun == [0, 7, 24, 56, 606], "5, 15, 30 s after it was seen; once it had been well for minutes, 5 s"
    assert bench.kinds()[:3] == ["recording", "failed", "recording"]
    assert "broke off after 1s" in bench.notices[1].english
    ended(broke_off=False)
    schedule.look()
    bench.at(900)
    schedule.look()
    assert len(bench.specs) == 5
    assert plan_record_store(bench.folder).read()[plan_in(0).id].ended_at


# Settings that change while it runs


def with_schedule(**own: Any) -> Settings:
    return Settings(schedule=ScheduleSettings(mode="record", **own))


def test_settings_that_are_new_hold_from_the_next_look_on(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(30))
    schedule = bench.schedule()
    bench.at(60)
    schedule.look()
    assert (bench.specs, bench.kinds()) == ([], ["reminder"])
    schedule.take(with_schedule(arm_ahead_s=1800.0, check_before_s=0.0))
    schedule.look()
    (spec,) = bench.specs
    assert (spec.plan, spec.arm_only) == (plan_in(30).id, True)


def test_what_is_armed_or_being_begun_goes_on_when_settings_change(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(4))
    schedule = bench.schedule()
    schedule.look()
    assert len(bench.specs) == 1
    schedule.take(with_schedule(arm_ahead_s=0.0, check_before_s=0.0, remind=()))
    looks(schedule)
    bench.ready(schedule)
    schedule.look()
    assert (len(bench.specs), bench.kinds()) == (1, ["reminder", "armed"])
    assert plan_record_store(bench.folder).read()[plan_in(4).id].recorder == "r1"


def test_what_is_far_is_looked_at_by_the_new_times(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(55))
    schedule = bench.schedule()
    schedule.look()
    assert bench.kinds() == []
    schedule.take(with_schedule(remind=(3600.0,)))
    schedule.look()
    assert bench.kinds() == ["reminder"]


# A session that is armed: what becomes of it when its plan changes, until it records


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, AnyRequest]]:
    """Return what recorders are asked for; each says yes."""
    runtime_folder(make=True)
    found: list[tuple[str, AnyRequest]] = []
    monkeypatch.setattr(
        "agent.schedule.running.send_command", lambda folder, request: found.append((folder.id, request))
    )
    return found


def armed(bench: Bench, one: Plan) -> Scheduler:
    """Plan a session, and let it be armed."""
    Plans(bench.folder).add(one)
    schedule = bench.schedule()
    schedule.look()
    bench.ready(schedule)
    bench.runs = [replace(bench.runs[0], state=SessionState.ARMED)]
    return schedule


def begins(bench: Bench, schedule: Scheduler) -> None:
    """Let a recorder be started, and be ready."""
    for _ in range(2):  # what was before it may have to be noted first
        if not schedule._beginning:
            schedule.look()
    bench.ready(schedule)


def test_one_that_changes_while_it_is_armed_is_armed_again_as_it_is_now(
    bench: Bench, runtime: Path, asked: list[tuple[str, AnyRequest]]
) -> None:
    one = plan_in(3)
    schedule = armed(bench, one)
    schedule.look()
    assert asked == []
    Plans(bench.folder).replace(one.id, lambda plan: msgspec.structs.replace(plan, streams=("youtube",)))
    looks(schedule)
    assert asked == [("r1", DisarmCommand())]
    bench.ended(runtime / "r1", NOTHING_RUNS)
    again = bench.schedule()  # the daemon is killed just then
    again.look()
    again.look()
    bench.ready(again)
    bench.runs = [replace(bench.runs[0], state=SessionState.ARMED)]
    looks(again)
    assert [list(spec.asked.streams) for spec in bench.specs] == [[], ["youtube"]]
    assert (len(asked), bench.kinds().count("armed")) == (1, 2)
    bench.ended(runtime / "r2", NOTHING_RUNS)  # now by people
    bench.looks_at(again, 10, 20)
    assert len(bench.specs) == 2
    assert plan_record_store(bench.folder).read()[one.id].ended_at


def test_one_that_people_start_just_when_it_changes_is_not_begun_again_when_they_have_ended_it(
    bench: Bench, runtime: Path, asked: list[tuple[str, AnyRequest]]
) -> None:
    one = plan_in(3)
    schedule = armed(bench, one)
    Plans(bench.folder).replace(one.id, lambda plan: msgspec.structs.replace(plan, title="Senat"))
    schedule.look()
    assert len(asked) == 1
    bench.runs = [replace(bench.runs[0], state=SessionState.LIVE)]
    schedule.look()
    bench.ended(runtime / "r1", SEALED)
    bench.looks_at(schedule, 10, 20, 200)
    assert len(bench.specs) == 1


@pytest.mark.parametrize("state", [PlanState.CANCELLED, PlanState.REMOVED])
@pytest.mark.parametrize("changes_before", [False, True])
@pytest.mark.parametrize("is_seen_to_end", [False, True])
def test_one_that_is_cancelled_while_it_is_armed_and_planned_again_is_armed_again(
    state: PlanState, changes_before: bool, is_seen_to_end: bool,
    bench: Bench, runtime: Path, asked: list[tuple[str, AnyRequest]],
) -> None:  # fmt: skip
    one, plans = plan_in(3), Plans(bench.folder)
    schedule = armed(bench, one)

    def become(**fields: object) -> None:
        plans.replace(one.id, lambda plan: msgspec.structs.replace(plan, **fields))

    if changes_before:
        become(title="Senat")
        schedule.look()
    become(state=state)
    looks(schedule)
    assert {(recorder, type(request)) for recorder, request in asked} == {("r1", DisarmCommand)}
    bench.ended(runtime / "r1", NOTHING_RUNS)
    again = bench.schedule()  # the daemon is killed just then
    if is_seen_to_end:
        looks(again)
    become(state=PlanState.PLANNED)
    begins(bench, again)
    assert (len(bench.specs), bench.kinds().count("armed")) == (2, 2)
    bench.ended(runtime / "r2", NOTHING_RUNS)  # now by people, while it holds
    bench.looks_at(again, 10, 20)
    assert len(bench.specs) == 2
    assert plan_record_store(bench.folder).read()[one.id].ended_at


def test_one_that_is_moved_later_while_it_is_armed_leaves_the_room_to_others_and_is_armed_again_when_it_is_due(
    bench: Bench, runtime: Path, asked: list[tuple[str, AnyRequest]]
) -> None:
    one, plans = plan_in(3), Plans(bench.folder)
    schedule = armed(bench, one)
    assert plan_record_store(bench.folder).read()[one.id].begun_for == one.starts_at
    other = plan("kuliah", one.starts_at, 30 * MINUTE)
    plans.add(other)
    later = one.starts_at + 60 * MINUTE
    plans.replace(one.id, lambda plan: msgspec.structs.replace(plan, starts_at=later, ends_at=later + 60 * MINUTE))
    looks(schedule)
    assert asked == [("r1", DisarmCommand())]
    assert len(bench.specs) == 1
    bench.ended(runtime / "r1", NOTHING_RUNS)
    begins(bench, schedule)
    assert [spec.plan for spec in bench.specs] == [one.id, other.id]
    bench.ended(runtime / "r2", SEALED)
    for minute in (33, 57):
        bench.at(minute * 60.0)
        schedule.look()
    assert len(bench.specs) == 2
    bench.at(58.5 * 60)
    begins(bench, schedule)
    assert [spec.plan for spec in bench.specs] == [one.id, other.id, one.id]
    assert len(asked) == 1


def test_that_it_is_recorded_is_said_once_it_is(
    bench: Bench, runtime: Path, asked: list[tuple[str, AnyRequest]]
) -> None:
    """A start is taken at once, and may fail: of a disk that is away, say."""
    schedule = armed(bench, plan_in(3))
    for second in range(180, 260, 2):
        bench.at(second)
        schedule.look()
    assert {(recorder, type(request)) for recorder, request in asked} == {("r1", StartCommand)}
    assert len(asked) > 5, "it is asked again and again"
    assert "recording" not in bench.kinds()
    bench.runs = [replace(bench.runs[0], state=SessionState.LIVE)]
    looks(schedule)
    assert (bench.kinds().count("recording"), bench.kinds()[-1]) == (1, "recording")
    assert "after its beginning" in bench.notices[-1].english


# What a plan's recorder is asked to be, and what is checked before it


DESTINATION = '[destinations.{name}]\nurl = "rtmp://127.0.0.1:9/live"\n\n'


@pytest.mark.parametrize(
    ("destinations", "keys", "why"),
    [
        (["kampus"], "", "there is no key"),
        (["kampus"], "kampus", "is not TOML"),
        (["humas"], 'humas = "k3y"\n', "there is no destination"),
    ],
)
def test_a_plan_is_recorded_without_a_destination_that_is_lost_and_that_is_told(
    destinations: list[str], keys: str, why: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    conference = '[conference]\nalways = true\nlayout = "pap"\n'
    room.configure("".join(DESTINATION.format(name=name) for name in destinations) + conference, keys=keys)
    one = msgspec.structs.replace(plan(), videos=("synthetic",), streams=("kampus",), profile="hd", layout="pidato")
    spec, without = spec_of(one, load_settings(room.settings), room.settings, archive=room.archive, arm_only=True)
    assert (spec.plan, without) == (one.id, "")
    # However it comes to it that a plan's session wants a conference, that keeps none from recording.
    spec = msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, conference=True))
    spawned = SpawnedRecorder(spec)
    with ControlClient(spawned.ready()) as connection:
        connection.request(WatchCommand(every_s=0.1, events_from=0))
        told = connection.told_within(60.0)
        forgotten = next(each for each in told if isinstance(each, Event) and each.kind == "destination-forgotten")
        assert forgotten.subject == "kampus"
        assert why in forgotten.message
        assert "destination add" in str(forgotten.detail["hint"])
        unknown = [next(each for each in told if isinstance(each, Event) and each.kind == "wish-unknown") for _ in "ab"]
        assert [event.subject for event in unknown] == ["hd", "pidato"]
        assert all(f'"{event.subject}"' in event.message for event in unknown)
        conference_lost = next(each for each in told if isinstance(each, Event) and each.kind == "conference-lost")
        assert 'no layout "pap"' in conference_lost.message
        next(each for each in told if isinstance(each, SessionStatus) and each.state is SessionState.ARMED)
        connection.request(StartCommand())
        status = next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        assert "destination-forgotten: kampus" in status.troubles, "people hear of it as long as it lasts"
        assert status.layout == load_settings(room.settings).program.layout
        connection.request(StopCommand())
        result = next(each for each in told if isinstance(each, SessionResult))
    assert result.state is SessionState.SEALED
    assert {"destination-forgotten: kampus", "wish-unknown: hd", "wish-unknown: pidato"} <= {*result.degraded}
    assert spawned.wait(60.0)


def test_the_command_of_a_check_has_what_the_plan_has() -> None:
    one = msgspec.structs.replace(
        plan(),
        videos=("podium",),
        audios=("mixer",),
        streams=("youtube", "kampus"),
        profile="720p30",
    )
    checked = ["check", "--quick", "--json", "--for", "7200s"]
    assert check_words(one) == [
        *checked, "--video", "podium", "--audio", "mixer", "--stream", "youtube",
        "--stream", "kampus", "--profile", "720p30",
    ]  # fmt: skip
    nowhere = msgspec.structs.replace(one, videos=(), audios=(), streams=(), profile=None)
    for mode in (PlanMode.ARM, PlanMode.RECORD):
        assert check_words(msgspec.structs.replace(nowhere, mode=mode)) == [*checked, "--session", "/dev/stdin"]
    assert check_words(msgspec.structs.replace(nowhere, mode=PlanMode.REMIND)) == checked, (
        "people may stream it anywhere"
    )


@pytest.mark.slow
def test_the_check_is_the_commands_own(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    clock = SystemClock()
    checking = begin_check(msgspec.structs.replace(plan(), videos=("tidak-ada",)), clock, room.settings)
    problems = wait_for(partial(problems_of_room, checking), 100.0, "what the check found")
    assert any("tidak-ada" in each for each in problems or []), problems
    wrong = begin_check(msgspec.structs.replace(plan(), profile="tidak-ada"), clock, room.settings)
    assert wait_for(partial(problems_of_room, wrong), 100.0) == ['there is no profile "tidak-ada"']


@pytest.mark.slow
def test_what_is_checked_is_what_is_planned(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week does not fit on this disk; what it is not streamed to may be wrong."""
    monkeypatch.setenv("HOME", str(room.home))
    room.configure('[destinations.jauh]\nurl = "rtmp://127.0.0.1:9/live"\n\n', keys='[destinations]\njauh = "k3y"\n')
    week = plan('Rapat "A\\B"\n\x7f', length=timedelta(days=7))
    week = msgspec.structs.replace(week, videos=("synthetic",), profile="1080p60")
    for mode in (PlanMode.RECORD, PlanMode.REMIND):
        checking = begin_check(msgspec.structs.replace(week, mode=mode), SystemClock(), room.settings, room.archive)
        problems = wait_for(partial(problems_of_room, checking), 100.0, "what the check found") or []
        assert any(each.startswith("storage: ") for each in problems), problems
        assert any("jauh" in each for each in problems) == (mode is PlanMode.REMIND), problems
