"""Planned sessions and changed settings with the real daemon and real recorders, through the daemon's death."""

import json
import os
import signal
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.daemon.settings_part import CHANGED, RESTART
from agent.schedule.plan import Plan, PlanMode
from agent.schedule.store import Plans, plan_record_store
from config.state import STATE_VARIABLE
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.package.metadata import PackageState
from recorder.package.work_folder import RECORDING_FILE
from recorder.running.client import send_command
from recorder.running.protocol import StartCommand, StopCommand
from recorder.running.runtime_directory import RecorderFolder
from tests.support import browser, command, media, recorders
from tests.support.buses import Bus, Notifications
from tests.support.room import Room
from tests.support.schedule import calendar, event
from tests.support.servers import HookServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))
    return {"LIPUT_STATE": str(tmp_path / "state")}


@pytest.fixture
def office(room: Room) -> Room:
    room.archive.mkdir()
    room.configure("[schedule]\nremind = []\ncheck_before_s = 0\narm_ahead_s = 20\n")
    return room


def planned(title: str, begins_s: float, length_s: float, mode: PlanMode = PlanMode.RECORD) -> Plan:
    """Plan a session that begins so soon."""
    now = datetime.now().astimezone()
    plan = Plan(
        id=f"{now:%Y-%m-%d}_{title.lower()}_0000000{title[-1]}", title=title, videos=("synthetic",),
        profile="240p15", starts_at=now + timedelta(seconds=begins_s),
        ends_at=now + timedelta(seconds=begins_s + length_s), mode=mode,
    )  # fmt: skip
    Plans().add(plan)
    return plan


def serving(office: Room, state: dict[str, str]) -> "command.Running":
    return command.Running(office.home, "serve", "--archive", office.archive, "--json", more=state)


def titles(office: Room) -> list[str]:
    return [
        package.recording.title for package in Archive(office.archive, SystemClock(), 1).list() if package.recording
    ]


def test_a_session_is_armed_recorded_and_sealed_by_time(office: Room, runtime: Path, state: dict[str, str]) -> None:
    plan = planned("Rapat1", 25.0, 8.0)
    daemon = serving(office, state)
    try:
        daemon.until("note", text="ready")
        for text in ('"Rapat1" is armed', '"Rapat1" is recorded', '"Rapat1" is stopped as planned'):
            heard(daemon, text)
        wait_for(lambda: not recorders.recorders(runtime))
        wait_for(lambda: plan_record_store().read()[plan.id].ended_at)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    finally:
        daemon.close()
    (package,) = Archive(office.archive, SystemClock(), 1).list()
    assert package.state is PackageState.SEALED
    assert package.recording
    begun = package.recording.started_at
    assert abs((begun - plan.starts_at).total_seconds()) < 3.0
    assert package.recording.duration_s == pytest.approx(8.0, abs=3.0)
    media.decodes_cleanly(package.folder / "data" / "media" / "program.mp4")
    assert Archive(office.archive, SystemClock(), 1).verify(package, decode=True) == []


def heard(daemon: "command.Running", text: str) -> None:
    """Read what it says until it has said that."""
    said = next((line for line in daemon.read() if text in str(line.get("text"))), None)
    assert said, f"it never said {text}"


def test_a_daemon_that_is_killed_in_between_costs_nothing_and_begins_nothing_twice(
    office: Room, runtime: Path, state: dict[str, str]
) -> None:
    plan = planned("Rapat2", 0.0, 25.0)
    daemon = serving(office, state)
    try:
        daemon.until("note", text="ready")
        first = recorders.recording(runtime)
        daemon.signal(signal.SIGKILL)
        daemon.wait_for_exit()
        assert recorders.recorders(runtime) == [first]
        other = serving(office, state)
        try:
            other.until("note", text="ready")
            wait_for(lambda: not recorders.recorders(runtime), 90.0, "the end of the session")
            wait_for(lambda: plan_record_store().read()[plan.id].ended_at)
            other.signal(signal.SIGTERM)
            assert other.wait() == 0
        finally:
            other.close()
    finally:
        daemon.close()
    assert titles(office) == ["Rapat2"], "there is one package, whole"
    (package,) = Archive(office.archive, SystemClock(), 1).list()
    assert package.recording
    assert package.recording.parts == ()


def test_a_daemon_that_is_killed_before_it_noted_its_recorder_finds_it(
    office: Room, runtime: Path, state: dict[str, str]
) -> None:
    plan = planned("Rapat3", 0.0, 3600.0)
    daemon = serving(office, state)
    try:
        daemon.until("note", text="ready")
        first = recorders.recording(runtime)
        daemon.signal(signal.SIGKILL)
        daemon.wait_for_exit()
        (Path(state["LIPUT_STATE"]) / "schedule" / "done.json").unlink()
        other = serving(office, state)
        try:
            other.until("note", text="ready")
            done = wait_for(lambda: plan_record_store().read().get(plan.id))
            assert done
            assert done.recorder == first.id
            assert recorders.recorders(runtime) == [first]
            send_command(RecorderFolder(runtime / first.id), StopCommand())
            wait_for(lambda: plan_record_store().read()[plan.id].ended_at)
            other.signal(signal.SIGTERM)
            assert other.wait() == 0, "stopped by hand: it has begun no other"
        finally:
            other.close()
    finally:
        daemon.close()
    assert titles(office) == ["Rapat3"]


def test_one_that_people_start_is_armed_for_them_and_stays_theirs(
    office: Room, runtime: Path, state: dict[str, str]
) -> None:
    plan = planned("Rapat4", 3.0, 3600.0, PlanMode.ARM)
    daemon = serving(office, state)
    try:
        heard(daemon, '"Rapat4" is armed')
        (info,) = [info for info in recorders.recorders(runtime) if info.title == "Rapat4"]
        assert json.loads((runtime / info.id / "spec.json").read_text())["plan"] == plan.id
        send_command(RecorderFolder(runtime / info.id), StartCommand())
        again = recorders.recording(runtime)
        assert again.pid == info.pid
        Plans().replace(plan.id, lambda one: msgspec.structs.replace(one, ends_at=datetime.now().astimezone()))
        heard(daemon, "is still recorded")
        assert recorders.recorders(runtime) == [again]
        send_command(RecorderFolder(runtime / info.id), StopCommand())
        wait_for(lambda: not recorders.recorders(runtime))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    finally:
        daemon.close()


def test_a_session_of_a_calendar_that_is_under_way_is_joined_and_ends_when_it_says(
    office: Room, runtime: Path, state: dict[str, str]
) -> None:
    ends_at = (datetime.now(UTC) + timedelta(seconds=45)).replace(microsecond=0)
    lines = (f"DTSTART:{ends_at - timedelta(hours=1):%Y%m%dT%H%M%SZ}", f"DTEND:{ends_at:%Y%m%dT%H%M%SZ}")
    (office.home / "aula.ics").write_bytes(calendar(event(*lines, summary="Rapat5")))
    office.configure(f'[schedule]\nremind = []\n[feeds.aula]\nurl = "{(office.home / "aula.ics").as_uri()}"\n')
    daemon = serving(office, state)
    try:
        heard(daemon, 'the calendar "aula": 1 planned sessions are new')
        (plan,) = Plans().read()
        assert (plan.title, plan.mode, plan.ends_at) == ("Rapat5", PlanMode.REMIND, ends_at)
        change = {"mode": PlanMode.RECORD, "videos": ("synthetic",), "profile": "240p15"}
        Plans().replace(plan.id, lambda one: msgspec.structs.replace(one, **change))
        heard(daemon, '"Rapat5" is recorded, ')
        heard(daemon, '"Rapat5" is stopped as planned')
        wait_for(lambda: not recorders.recorders(runtime))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    finally:
        daemon.close()
    (package,) = Archive(office.archive, SystemClock(), 1).list()
    assert package.state is PackageState.SEALED
    assert package.recording
    assert abs((package.recording.ended_at - ends_at).total_seconds()) < 10.0


def test_notices_reach_the_desktop_the_webhook_and_the_page(
    tmp_path: Path, office: Room, runtime: Path, state: dict[str, str]
) -> None:
    with Bus(tmp_path / "bus") as bus, Notifications(bus.address) as screen, HookServer(tmp_path / "web") as web:
        office.configure(
            f'[web]\nport = 0\n[alarms]\nwebhook = "{web.url}"\nca_file = "{web.authority}"\n'
            '[schedule]\nremind = ["5s"]\ncheck_before_s = 0\n'
        )
        daemon = command.Running(
            office.home, "serve", "--archive", office.archive, "--json",
            more=state | {"DBUS_SESSION_BUS_ADDRESS": bus.address},
        )  # fmt: skip
        try:
            daemon.until("note", text="ready")
            url = browser.place(runtime, daemon.pid)
            planned("Rapat6", 15.0, 3600.0, PlanMode.REMIND)
            heard(daemon, '"Rapat6" begins in')
            shown = asked(url, state)["notices"]
            assert [(one["kind"], one["title"], one["urgent"]) for one in shown] == [("reminder", "Rapat6", False)]
            wait_for(lambda: web.posted and screen.shown)
            assert [one["kind"] for one in json.loads(web.posted[0].body)["notices"]] == ["reminder"]
            heard(daemon, '"Rapat6" begins now')
            wait_for(lambda: [one for one in screen.shown.values() if "dimulai sekarang" in one.body])
            assert [one["kind"] for one in asked(url, state)["notices"]] == ["begins"]
            assert len(web.posted) == 1, "what goes as planned is shown at this PC alone"
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
        finally:
            daemon.close()


def asked(url: str, state: dict[str, str]) -> Any:
    """Return the state that the page is told."""
    token = (Path(state["LIPUT_STATE"]) / "web-token").read_text().strip()
    request = urllib.request.Request(f"{url}/api/v1/state", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


# Settings that change while the real daemon runs: alarms and the schedule take them, sessions and plans go on


@pytest.mark.server
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
        planned("Rapat7", 1200.0, 6000.0, PlanMode.ARM)
        hook = f'[alarms]\nwebhook = "{web.url}"\n'
        configure('"often"', hook)
        heard(daemon, "the former settings stay in force")
        assert recorders.recorders(runtime) == []
        configure("1800", hook)
        heard(daemon, CHANGED)
        heard(daemon, '"Rapat7" is armed')
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


@pytest.mark.server
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
        planned("Rapat8", -1.0, 7200.0)
        heard(daemon, '"Rapat8" is recorded')
        first = recorders.recording(runtime)
        recorders.kill(first.pid)
        again = recorders.recording(runtime, first.pid)
        assert again.work == f"{first.work}.2"
        assert command.liput(room.home, "stop").returncode == 3
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    package = room.only_package()
    assert len(json.loads((package / RECORDING_FILE).read_bytes())["parts"]) == 2
