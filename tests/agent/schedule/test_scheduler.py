"""The part of the daemon, with processes that stand for recorders: what is kept, tried again, and told."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from agent.daemon.command_child import CommandChild
from agent.daemon.presence import RESUME_WITHIN_S, SUCCESSOR_WAIT_S, recently_killed
from agent.schedule.decide import RunningSession
from agent.schedule.plan import Plan, PlanMode, PlanState
from agent.schedule.room_check import begin_check, check_words, problems_of_room
from agent.schedule.running import TAKEOVER_S, running_sessions
from agent.schedule.scheduler import Scheduler
from agent.schedule.starting import spec_of
from agent.schedule.store import Plans, change_record, plan_record_store
from agent.sessions.control import NOTHING_RUNS
from config.errors import SessionError
from config.events import Event
from config.locale.lookup import LocalizedText, words
from config.settings.schema import Settings, load_settings
from config.settings.serving import ScheduleSettings
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import protocol
from recorder.running.client import ControlClient, RunningRecorder
from recorder.running.runtime_directory import RecorderFolder, make_recorder_folder, new_recorder_info, runtime_folder
from recorder.session.request import SessionRequest
from tests.support.room import Room
from tests.support.schedule import MINUTE, plan
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.situations import session
from tests.support.waiting import wait_for


class Spawned:
    """Stands for a recorder that is started: a process that lives until it is killed."""

    def __init__(self, number: int, error: SessionError | None) -> None:
        self.notes: list[str] = []
        self._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self._error, self._folder = error, RecorderFolder(Path(f"/r{number}"))

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> RecorderFolder:
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
        said = {"id": {"reason": "tidak ada"}, "en": {"reason": "not there"}}
        return msgspec.json.encode({"checks": [{"name": "camera: podium", "verdict": "failure", **said}]})


@dataclass
class Bench:
    folder: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    specs: list[RecorderSpec] = field(default_factory=list)
    spawned: list[Spawned] = field(default_factory=list)
    runs: list[RunningSession] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    notices: list[LocalizedText] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    begun: int = 0
    error: SessionError | None = None

    def schedule(self) -> Scheduler:
        """Return a schedule as a daemon that has just begun has it."""
        return Scheduler(
            Settings(schedule=ScheduleSettings(mode="record")), self.clock, self.notify, self.told.append,
            self.spawn,  # type: ignore[arg-type]  # it stands for a recorder
            lambda: self.runs, self.check, Plans(self.folder), plan_record_store(self.folder),
        )  # fmt: skip

    def spawn(self, spec: RecorderSpec) -> Spawned:
        self.specs.append(spec)
        self.spawned.append(Spawned(len(self.specs), self.error))
        return self.spawned[-1]

    def notify(self, kind: str, _plan: Plan, words: LocalizedText) -> None:
        self.kinds.append(kind)
        self.notices.append(words)

    def check(self, _plan: Plan) -> CommandChild:
        return Checked()  # type: ignore[return-value]  # it stands for a process

    def at(self, moment_s: float) -> None:
        self.clock.advance_to(5 * NANOSECONDS + int(moment_s * NANOSECONDS))

    def looks_at(self, schedule: Scheduler, *moments_s: float) -> None:
        for moment_s in moments_s:
            self.at(moment_s)
            schedule.look()

    def ended(self, folder: Path, end: SessionResult | protocol.RecorderFailure) -> None:
        """Let a recorder be gone with this end."""
        self.runs = []
        RecorderFolder(folder).end(protocol.encode(end))

    @property
    def is_beginning(self) -> bool:
        """Whether a recorder is being started."""
        return self.begun < len(self.specs)

    def ready(self, schedule: Scheduler) -> None:
        """Let the recorder that is being started be ready, and the schedule hear of it."""
        assert self.is_beginning
        self.begun, spec = len(self.specs), self.specs[-1]
        if self.error is None:
            self.runs = [
                RunningSession(f"r{self.begun}", spec.asked.title, self.clock.now(), spec.plan, SessionState.LIVE)
            ]
        schedule.look()


def looks(schedule: Scheduler) -> None:
    """Let it look several times."""
    for _ in range(3):
        schedule.look()


def plan_in(minutes: float) -> Plan:
    return plan(starts_at=BEGINNING + minutes * MINUTE)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)

    class Starting:
        """A call that is over once the test lets the recorder be ready."""

        def __init__(self, ready: Callable[[], RecorderFolder], _name: str) -> None:
            self.result, self.number = ready, len(made.specs)

        @property
        def is_over(self) -> bool:
            return made.begun >= self.number

    monkeypatch.setattr("agent.schedule.starting.DeadlineTask", Starting)
    yield made
    for each in made.spawned:
        each.end()


def test_what_is_begun_is_noted_before_it_is_told_anything_and_not_begun_twice(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    schedule = bench.schedule()
    schedule.look()
    (spec,) = bench.specs
    assert (spec.plan, spec.arm_only, spec.asked.title) == (plan_in(0).id, False, "rapat")
    assert spec.asked.allow_missing
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
    assert bench.kinds == ["recording"]


def test_a_process_that_died_before_it_was_a_recorder_is_replaced(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    bench.schedule().look()
    bench.spawned[0].end()
    bench.schedule().look()
    assert len(bench.specs) == 2


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
    assert bench.kinds == ["recording"]
    bench.runs = []
    done = plan_record_store(bench.folder)
    change_record(done, plan_in(0), lambda one: msgspec.structs.replace(one, boot_id="before the power cut"))
    later = bench.schedule()
    later.may_be_set_soon = lambda: True
    later.look()
    assert len(bench.specs) == 2, "what a power cut has ended goes on at once"


def test_what_cannot_be_begun_is_told_once_and_tried_again_ever_more_seldom(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    bench.error = SessionError("no camera is plugged in")
    schedule, times = bench.schedule(), []
    for second in range(200):
        bench.at(second)
        before = len(bench.specs)
        schedule.look()
        if bench.is_beginning:
            times += [second] * (len(bench.specs) - before)
            bench.ready(schedule)
    assert times == [0, 5, 20, 50, 110, 170]
    assert bench.kinds == ["failed"]
    assert words("errors")["session"].indonesian in bench.notices[0].indonesian
    bench.error = None
    bench.at(400)
    schedule.look()
    bench.ready(schedule)
    assert bench.kinds == ["failed", "recording"]
    assert re.search(r"[67] min", bench.notices[1].english)
    assert re.search(r"[67] menit", bench.notices[1].indonesian)


def test_what_the_check_found_is_told(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(15))
    schedule = bench.schedule()
    for _ in range(2):
        schedule.look()
    assert bench.kinds == ["reminder", "not-ready"]
    assert bench.notices[-1].english == 'checked before "rapat": not ready: camera: podium: not there'
    assert bench.notices[-1].indonesian.endswith("belum siap: camera: podium: tidak ada")


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


def test_a_session_that_failed_or_broke_off_is_begun_again_ever_more_seldom_until_its_end(
    bench: Bench, runtime: Path
) -> None:
    """As of a disk that fails: nobody may be in the room."""
    runtime_folder(make=True)
    Plans(bench.folder).add(plan_in(0))
    schedule, begun = bench.schedule(), []
    broke_off = SessionResult(
        state=SessionState.SEALED, package="p", duration_s=1.0, frames=9, degraded=["recording-failed: session"],
        broke_off=True,
    )  # fmt: skip
    for second in range(700):
        bench.at(second)
        schedule.look()
        if bench.is_beginning:
            begun.append(second)
            bench.ready(schedule)
        elif bench.runs and (len(begun) < 4 or second == 600):
            failed = protocol.RecorderFailure(message="the camera is gone", why="lost", about="Podium")
            bench.ended(runtime / f"r{len(begun)}", failed if len(begun) == 1 else broke_off)
    assert begun == [0, 7, 24, 56, 606], "5, 15, 30 s after it was seen; once it had been well for minutes, 5 s"
    assert bench.kinds[:4] == ["recording", "failed", "recording", "failed"]
    assert "The device Podium does not answer." in bench.notices[1].english
    assert "The recording broke off" in bench.notices[3].english
    bench.ended(runtime / "r5", msgspec.structs.replace(broke_off, broke_off=False))
    schedule.look()
    bench.at(900)
    schedule.look()
    assert len(bench.specs) == 5
    assert plan_record_store(bench.folder).read()[plan_in(0).id].ended_at


# Settings that change while it runs


def test_settings_that_are_new_hold_from_the_next_look_on_for_what_is_far_too(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(55))
    schedule = bench.schedule()
    schedule.look()
    assert (bench.specs, bench.kinds) == ([], [])
    rules = ScheduleSettings(mode="record", arm_ahead_s=3600.0, check_before_s=0.0)
    schedule.take(Settings(schedule=rules))
    schedule.look()
    (spec,) = bench.specs
    assert (spec.plan, spec.arm_only) == (plan_in(55).id, True)


# A session that is armed: what becomes of it when its plan changes, until it records


type Asked = list[tuple[str, protocol.AnyRequest]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return what recorders are asked for; each says yes."""
    runtime_folder(make=True)
    found: Asked = []
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


def test_one_that_changes_while_it_is_armed_is_armed_again_as_it_is_now(
    bench: Bench, runtime: Path, asked: Asked
) -> None:
    one = plan_in(3)
    schedule = armed(bench, one)
    schedule.look()
    assert asked == []
    Plans(bench.folder).replace(one.id, lambda plan: msgspec.structs.replace(plan, streams=("youtube",)))
    looks(schedule)
    assert asked == [("r1", protocol.DisarmCommand())]
    bench.ended(runtime / "r1", NOTHING_RUNS)
    again = bench.schedule()  # the daemon is killed just then
    again.look()
    again.look()
    bench.ready(again)
    bench.runs = [replace(bench.runs[0], state=SessionState.ARMED)]
    looks(again)
    assert [list(spec.asked.streams) for spec in bench.specs] == [[], ["youtube"]]
    assert (len(asked), bench.kinds.count("armed")) == (1, 2)
    bench.ended(runtime / "r2", NOTHING_RUNS)  # now by people
    bench.looks_at(again, 10, 20)
    assert len(bench.specs) == 2
    assert plan_record_store(bench.folder).read()[one.id].ended_at


def test_one_that_people_start_just_when_it_changes_is_not_begun_again_when_they_have_ended_it(
    bench: Bench, runtime: Path, asked: Asked
) -> None:
    one = plan_in(3)
    schedule = armed(bench, one)
    Plans(bench.folder).replace(one.id, lambda plan: msgspec.structs.replace(plan, title="Senat"))
    schedule.look()
    assert len(asked) == 1
    bench.runs = [replace(bench.runs[0], state=SessionState.LIVE)]
    schedule.look()
    sealed = SessionResult(state=SessionState.SEALED, package="p", duration_s=9.0, frames=9, degraded=[])
    bench.ended(runtime / "r1", sealed)
    bench.looks_at(schedule, 10, 20, 200)
    assert len(bench.specs) == 1


@pytest.mark.parametrize(
    ("state", "changes_before", "is_seen_to_end"),
    [(PlanState.CANCELLED, False, True), (PlanState.REMOVED, True, False)],
)
def test_one_that_is_cancelled_while_it_is_armed_and_planned_again_is_armed_again(
    state: PlanState, changes_before: bool, is_seen_to_end: bool,
    bench: Bench, runtime: Path, asked: Asked,
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
    assert {(recorder, type(request)) for recorder, request in asked} == {("r1", protocol.DisarmCommand)}
    bench.ended(runtime / "r1", NOTHING_RUNS)
    again = bench.schedule()  # the daemon is killed just then
    if is_seen_to_end:
        looks(again)
    become(state=PlanState.PLANNED)
    looks(again)  # what was before it may have to be noted first
    bench.ready(again)
    assert (len(bench.specs), bench.kinds.count("armed")) == (2, 2)
    bench.ended(runtime / "r2", NOTHING_RUNS)  # now by people, while it holds
    bench.looks_at(again, 10, 20)
    assert len(bench.specs) == 2
    assert plan_record_store(bench.folder).read()[one.id].ended_at


def test_that_it_is_recorded_is_said_once_it_is(bench: Bench, runtime: Path, asked: Asked) -> None:
    """A start is taken at once, and may fail: of a disk that is away, say."""
    schedule = armed(bench, plan_in(3))
    for second in range(180, 260, 2):
        bench.at(second)
        schedule.look()
    assert {(recorder, type(request)) for recorder, request in asked} == {("r1", protocol.StartCommand)}
    assert len(asked) > 5, "it is asked again and again"
    assert "recording" not in bench.kinds
    bench.runs = [replace(bench.runs[0], state=SessionState.LIVE)]
    looks(schedule)
    assert (bench.kinds.count("recording"), bench.kinds[-1]) == (1, "recording")
    assert "after its beginning" in bench.notices[-1].english


# What a plan's recorder is asked to be, and what is checked before it


def test_a_plan_is_recorded_without_a_destination_that_is_lost_and_that_is_told(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    destination = '[destinations.kampus]\nurl = "rtmp://127.0.0.1:9/live"\n\n'
    room.configure(f'{destination}[conference]\nalways = true\nlayout = "pap"\n')
    one = msgspec.structs.replace(plan(), videos=("synthetic",), streams=("kampus",), profile="hd", layout="pidato")
    spec, without = spec_of(one, load_settings(room.settings), room.settings, archive=room.archive, arm_only=True)
    assert (spec.plan, without) == (one.id, None)
    # However it comes to it that a plan's session wants a conference, that keeps none from recording.
    spec = msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, conference=True))
    spawned = SpawnedRecorder(spec)
    with ControlClient(spawned.ready()) as connection:
        connection.request(protocol.WatchCommand(every_s=0.1, events_from=0))
        told = connection.told_within(60.0)
        found: dict[str, str] = {}
        while not found.keys() >= {"destination-forgotten kampus", "wish-unknown hd", "wish-unknown pidato"}:
            if isinstance(event := next(told), Event):
                found[f"{event.kind} {event.subject}"] = event.message
        assert "there is no key" in found["destination-forgotten kampus"]
        next(each for each in told if isinstance(each, SessionStatus) and each.state is SessionState.ARMED)
        connection.request(protocol.StartCommand())
        status = next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        assert "destination-forgotten: kampus" in status.troubles, "people hear of it as long as it lasts"
        assert status.layout == load_settings(room.settings).program.layout
        connection.request(protocol.StopCommand())
        result = next(each for each in told if isinstance(each, SessionResult))
    assert result.state is SessionState.SEALED
    assert {"destination-forgotten: kampus", "wish-unknown: hd", "wish-unknown: pidato"} <= {*result.degraded}
    assert spawned.wait(60.0)


def test_the_command_of_a_check_has_what_the_plan_has() -> None:
    wishes = {"videos": ("podium",), "audios": ("mixer",), "streams": ("youtube", "kampus"), "profile": "720p30"}
    checked = ["check", "--quick", "--json", "--for", "7200s"]
    more = ["--video", "podium", "--audio", "mixer", "--stream", "youtube", "--stream", "kampus", "--profile", "720p30"]
    assert check_words(msgspec.structs.replace(plan(), **wishes)) == checked + more
    assert check_words(plan()) == [*checked, "--session", "/dev/stdin"]
    assert check_words(plan(mode=PlanMode.REMIND)) == checked, "people may stream it anywhere"


@pytest.mark.slow
def test_what_is_checked_is_what_is_planned(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week does not fit on this disk; what it is not streamed to may be wrong."""
    monkeypatch.setenv("HOME", str(room.home))
    room.configure('[destinations.jauh]\nurl = "rtmp://127.0.0.1:9/live"\n\n', keys='[destinations]\njauh = "k3y"\n')
    week = plan('Rapat "A\\B"\n\x7f', length=timedelta(days=7))
    week = msgspec.structs.replace(week, videos=("tidak-ada",), profile="1080p60")
    checking = begin_check(week, SystemClock(), room.settings, room.archive)
    wrong = begin_check(msgspec.structs.replace(plan(), profile="tidak-ada"), SystemClock(), room.settings)
    problems = wait_for(partial(problems_of_room, checking), 100.0, "what the check found") or []
    said = [each.english for each in problems]
    assert any(each.startswith("Archive disk: ") for each in said), said
    assert any("tidak-ada" in each for each in said), said
    assert not any("jauh" in each for each in said), said
    assert wait_for(partial(problems_of_room, wrong), 100.0) == [words("errors")["usage"]]


# Which sessions the schedule sees: also killed ones, as long as somebody may go on with them


BY_HAND = RecorderSpec(asked=SessionRequest(title="Rapat"))
PLANNED = msgspec.structs.replace(BY_HAND, plan="senat")


def killed(spec: RecorderSpec, *, work: str | None = "/arsip/.incoming/rapat", ago_s: float = 0.0) -> RecorderFolder:
    """Leave the folder of a recorder that was killed so long ago."""
    info = new_recorder_info(spec.asked.title, Path("/arsip"), SystemClock().now() - timedelta(hours=2))
    folder = make_recorder_folder(msgspec.structs.replace(info, work=work, pid_started=1), encode_spec_for_disk(spec))
    then_s = folder.last_beat_s - ago_s
    for path in (folder.path, *folder.path.iterdir()):
        os.utime(path, (then_s, then_s))
    return folder


def test_a_killed_session_that_people_began_counts_as_long_as_going_on_with_it_takes(runtime: Path) -> None:
    just_now = killed(BY_HAND)
    before = killed(BY_HAND, ago_s=SUCCESSOR_WAIT_S + 5)
    killed(BY_HAND, ago_s=RESUME_WITHIN_S + 5)
    killed(BY_HAND, work=None)
    planned = killed(PLANNED, ago_s=SUCCESSOR_WAIT_S + 5)
    found = {run.recorder: (run.plan, run.state, run.is_open) for run in running_sessions()}
    assert found == {just_now.id: (None, None, True), planned.id: ("senat", None, True)}
    assert {folder.id for folder, _ in recently_killed()} == {just_now.id, before.id, planned.id}
    after = make_recorder_folder(
        msgspec.structs.replace(new_recorder_info("Rapat", Path("/arsip"), SystemClock().now()), replaces=just_now.id),
        encode_spec_for_disk(BY_HAND),
    )
    assert {run.recorder for run in running_sessions()} == {after.id, planned.id}, "seen once"


@pytest.mark.parametrize(
    ("work", "ago_s", "records", "state"),
    [
        ("/arsip/.incoming/rapat", 0.0, False, None),  # disarmed, it would end as one that has recorded nothing
        ("/arsip/.incoming/rapat", 0.0, True, SessionState.ARMED),
        ("/arsip/.incoming/rapat", TAKEOVER_S + 5, False, SessionState.ARMED),  # its disk is full: it waits for ever
        (None, 0.0, False, SessionState.ARMED),
    ],
)
def test_one_that_is_about_to_go_on_with_what_was_recorded_is_not_armed(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, work: str | None, ago_s: float, records: bool,
    state: SessionState | None,
) -> None:  # fmt: skip
    before = killed(PLANNED, work=work)
    info = new_recorder_info("Rapat", Path("/arsip"), SystemClock().now() - timedelta(seconds=ago_s))
    info = msgspec.structs.replace(info, replaces=before.id, work="/arsip/.incoming/rapat" if records else None)
    after = make_recorder_folder(info, encode_spec_for_disk(PLANNED))
    alive = RunningRecorder(after, info, session(SessionState.ARMED))
    monkeypatch.setattr("agent.schedule.running.running_recorders", lambda: [alive])
    assert [(run.recorder, run.plan, run.state) for run in running_sessions()] == [(after.id, "senat", state)]
