"""The part of the daemon, and a session that is armed: what becomes of it when its plan changes, until it records."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.schedule.plan import Plan, PlanState
from agent.schedule.scheduler import Scheduler
from agent.schedule.store import Plans, plan_record_store
from agent.sessions.control import NOTHING_RUNS
from recorder.model.status import SessionResult, SessionState
from recorder.running.protocol import AnyRequest, DisarmCommand, StartCommand, encode
from recorder.running.runtime_directory import RecorderFolder, runtime_folder
from tests.support.schedule import MINUTE, plan
from tests.support.schedule_bench import Bench, plan_in


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
    for _ in range(3):
        schedule.look()
    assert asked == [("r1", DisarmCommand())]
    bench.runs = []
    RecorderFolder(runtime / "r1").end(encode(NOTHING_RUNS))
    again = bench.schedule()  # the daemon is killed just then
    again.look()
    again.look()
    bench.ready(again)
    bench.runs = [replace(bench.runs[0], state=SessionState.ARMED)]
    for _ in range(3):
        again.look()
    assert [list(spec.asked.streams) for spec in bench.specs] == [[], ["youtube"]]
    assert (len(asked), bench.kinds().count("armed")) == (1, 2)
    bench.runs = []
    RecorderFolder(runtime / "r2").end(encode(NOTHING_RUNS))  # now by people
    for second in (10, 20):
        bench.at(second)
        again.look()
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
    bench.runs = []
    sealed = SessionResult(state=SessionState.SEALED, package="p", duration_s=9.0, frames=9, degraded=[])
    RecorderFolder(runtime / "r1").end(encode(sealed))
    for second in (10, 20, 200):
        bench.at(second)
        schedule.look()
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
    for _ in range(3):
        schedule.look()
    assert {(recorder, type(request)) for recorder, request in asked} == {("r1", DisarmCommand)}
    bench.runs = []
    RecorderFolder(runtime / "r1").end(encode(NOTHING_RUNS))
    again = bench.schedule()  # the daemon is killed just then
    if is_seen_to_end:
        for _ in range(3):
            again.look()
    become(state=PlanState.PLANNED)
    begins(bench, again)
    assert (len(bench.specs), bench.kinds().count("armed")) == (2, 2)
    bench.runs = []
    RecorderFolder(runtime / "r2").end(encode(NOTHING_RUNS))  # now by people, while it holds
    for second in (10, 20):
        bench.at(second)
        again.look()
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
    for _ in range(3):
        schedule.look()
    assert asked == [("r1", DisarmCommand())]
    assert len(bench.specs) == 1
    bench.runs = []
    RecorderFolder(runtime / "r1").end(encode(NOTHING_RUNS))
    begins(bench, schedule)
    assert [spec.plan for spec in bench.specs] == [one.id, other.id]
    bench.runs = []
    sealed = SessionResult(state=SessionState.SEALED, package="p", duration_s=9.0, frames=9, degraded=[])
    RecorderFolder(runtime / "r2").end(encode(sealed))
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
    for _ in range(3):
        schedule.look()
    assert (bench.kinds().count("recording"), bench.kinds()[-1]) == (1, "recording")
    assert "after its beginning" in bench.notices[-1].english
