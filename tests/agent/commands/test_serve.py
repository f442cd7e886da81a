"""The real daemon with a real recorder: a planned session through the daemon's death, and its notices."""

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.schedule.plan import Plan, PlanMode
from agent.schedule.store import Plans, plan_record_store
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from tests.support import command, recorders, web
from tests.support.room import Room
from tests.support.servers import HookServer
from tests.support.waiting import wait_for


def heard(daemon: command.Running, *texts: str) -> None:
    """Read what it says until it has said all that, in any order."""
    missing = {*texts}
    for line in daemon.read():
        missing -= {text for text in missing if text in str(line.get("text"))}
        if not missing:
            return
    raise AssertionError(f"it never said {missing}")


@pytest.mark.server
@pytest.mark.slow  # the session begins and ends by the clock
def test_a_session_is_recorded_by_time_once_and_whole_although_the_daemon_is_killed(
    room: Room, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("LIPUT_STATE", str(state))
    room.archive.mkdir()
    starts_at = datetime.now().astimezone() + timedelta(seconds=10)
    plan = Plan(
        id=f"{starts_at:%Y-%m-%d}_rapat_00000001", title="Rapat", videos=("synthetic",), profile="240p15",
        starts_at=starts_at, ends_at=starts_at + timedelta(seconds=8), mode=PlanMode.RECORD,
    )  # fmt: skip
    Plans().add(plan)
    words, more = ("serve", "--archive", room.archive, "--json"), {"LIPUT_STATE": str(state)}
    with HookServer(tmp_path / "hook", tls=False) as hook:
        schedule = '[schedule]\nremind = ["3s"]\ncheck_before_s = 0\narm_ahead_s = 20\n'
        room.configure(f'[web]\nport = 0\n{schedule}[alarms]\nwebhook = "{hook.url}"\n')
        with command.running(room.home, *words, more=more) as daemon:
            heard(daemon, '"Rapat" is armed', '"Rapat" begins in', '"Rapat" is recorded')
            notices = web.found().get("/api/v1/state").json["notices"]
            assert [one["title"] for one in notices] == ["Rapat"], "the newest of each plan"
            posted = wait_for(lambda: [one for post in hook.posted for one in json.loads(post.body)["notices"]])
            assert "reminder" in {one["kind"] for one in posted}
            first = recorders.recording(runtime)
            daemon.signal(signal.SIGKILL)
            daemon.wait_for_exit()
            (state / "schedule/done.json").unlink()  # as where it was killed before it noted its recorder
            assert recorders.recorders(runtime) == [first]
            with command.running(room.home, *words, more=more) as other:
                heard(other, '"Rapat" is stopped as planned')
                wait_for(lambda: not recorders.recorders(runtime))
                wait_for(lambda: plan_record_store().read()[plan.id].ended_at)
                other.signal(signal.SIGTERM)
                assert other.wait() == 0
    archive = Archive(room.archive, SystemClock(), 1)
    (package,) = archive.list()
    assert package.recording
    assert (package.recording.title, package.recording.parts) == ("Rapat", ())
    assert abs((package.recording.started_at - starts_at).total_seconds()) < 3.0
    assert package.recording.duration_s > 5.0
    assert archive.verify(package, decode=True) == []
