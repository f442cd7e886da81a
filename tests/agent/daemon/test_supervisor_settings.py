"""Settings that change while the real daemon runs: alarms and the schedule take them, sessions and plans go on."""

import json
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.daemon.settings_part import CHANGED, RESTART
from agent.schedule.plan import Plan, PlanMode
from agent.schedule.store import Plans
from config.state import STATE_VARIABLE
from recorder.package.work_folder import RECORDING_FILE
from tests.support import command, recorders
from tests.support.room import Room
from tests.support.servers import HookServer
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.server]


def heard(daemon: command.Running, text: str) -> None:
    """Read what the daemon says until it has said that."""
    assert next((line for line in daemon.read() if text in str(line.get("text"))), None), f"it never said {text}"


def planned(begins_s: float, mode: PlanMode = PlanMode.ARM) -> Plan:
    now = datetime.now().astimezone()
    plan = Plan(
        id=f"{now:%Y-%m-%d}_rapat_00000001", title="Rapat", videos=("synthetic",), profile="240p15",
        starts_at=now + timedelta(seconds=begins_s), ends_at=now + timedelta(hours=2), mode=mode,
    )  # fmt: skip
    Plans().add(plan)
    return plan


def test_alarms_and_the_schedule_take_settings_that_change_and_what_is_armed_stays(
    tmp_path: Path, room: Room, runtime: Path
) -> None:
    room.archive.mkdir()

    def configure(ahead: str, more: str = "", web: str = "") -> None:
        schedule = f"[schedule]\nremind = []\ncheck_before_s = 0\narm_ahead_s = {ahead}\n"
        room.configure(f"[web]\nport = 0\n{web}{schedule}{more}")

    configure("20")
    with (
        HookServer(tmp_path / "web", tls=False) as web,
        command.running(
            room.home, "serve", "--archive", room.archive, "--json", more={STATE_VARIABLE: os.environ[STATE_VARIABLE]}
        ) as daemon,
    ):
        daemon.until("note", text="ready")
        planned(1200.0)
        hook = f'[alarms]\nwebhook = "{web.url}"\n'
        configure('"often"', hook)
        heard(daemon, "the former settings stay in force")
        assert recorders.recorders(runtime) == []
        configure("1800", hook)
        heard(daemon, CHANGED)
        heard(daemon, '"Rapat" is armed')
        (armed,) = recorders.recorders(runtime)
        configure("20", hook, web='allowed_hosts = ["aula"]\n')
        heard(daemon, RESTART)
        os.kill(armed.pid, signal.SIGSTOP)
        try:
            wait_for(lambda: web.posted, 60.0, "an alarm at the webhook that was set meanwhile")
        finally:
            os.kill(armed.pid, signal.SIGCONT)
        assert json.loads(web.posted[0].body)["began"][0]["kind"] == "recorder-silent"
        assert recorders.recorders(runtime) == [armed], "what is armed stays so"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_slip_in_the_settings_costs_no_session(room: Room, runtime: Path) -> None:
    """What was set before holds: for one that begins by itself, and for one that is gone on with."""
    room.archive.mkdir()
    good = "[web]\nport = 0\n[schedule]\nremind = []\ncheck_before_s = 0\n"
    room.configure(good)
    with command.running(
        room.home, "serve", "--archive", room.archive, "--json", more={STATE_VARIABLE: os.environ[STATE_VARIABLE]}
    ) as daemon:
        daemon.until("note", text="ready")
        room.configure(f"{good}arm_ahead = [\n")
        heard(daemon, "the former settings stay in force")
        planned(-1.0, PlanMode.RECORD)
        heard(daemon, '"Rapat" is recorded')
        first = recorders.recording(runtime)
        recorders.kill(first.pid)
        again = recorders.recording(runtime, first.pid)
        assert again.work == f"{first.work}.2"
        assert command.liput(room.home, "stop").returncode == 3
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    package = room.only_package()
    assert len(json.loads((package / RECORDING_FILE).read_bytes())["parts"]) == 2
