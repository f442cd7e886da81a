"""Devices and checks by the API, where nothing is plugged in; what is plugged in is tried in the rig."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.checks.history import Checked, History
from agent.checks.result import Result, Verdict, Words
from agent.web.runs import Runs
from devices.clock import SystemClock
from devices.model import Device, DeviceKind
from devices.roles import roles
from tests.agent.web.test_live import is_kind, opened, until
from tests.support import web
from tests.support.room import Room
from tests.support.waiting import wait_for
from tests.support.web import Page

pytestmark = pytest.mark.server
CAMERA = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Kamera", vid="046d", pid="0825", serial="CAM1", port="1-1",
    node="/dev/video9",
)  # fmt: skip


def test_devices_are_those_of_the_command(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.devices.gather.list_devices", lambda: [CAMERA])
    monkeypatch.setattr("agent.devices.gather.server_inputs", list)
    (device,) = page.get("/api/v1/devices").json
    assert (device["id"], device["kind"], device["role"]) == (CAMERA.id, "camera", None)


def test_a_role_is_given_and_taken_away(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.devices.giving.list_devices", lambda: [CAMERA])
    monkeypatch.setattr("agent.devices.giving.server_inputs", list)
    assert page.get("/api/v1/roles").json["roles"] == []
    at = f"/api/v1/devices/{CAMERA.id}/role"
    assert page.post(at, {"role": "podium"}).json["device"] == CAMERA.id
    assert list(roles.roles_store().read()) == ["podium"]
    (state,) = page.get("/api/v1/roles").json["roles"]
    assert (state["role"], state["state"]) == ("podium", "present")
    assert page.post(at, {"role": None}).json == {"type": "role", "role": "podium", "device": None, "before": CAMERA.id}
    assert page.post(at, {"role": None}).status == 400
    assert page.post(at, {}).status == 400
    assert page.post("/api/v1/devices/nowhere/role", {"role": "podium"}).status == 404
    assert page.get("/api/v1/devices/nowhere/controls").status == 404
    assert page.ask("PATCH", "/api/v1/devices/nowhere/controls", {"values": {"focus": "1"}}).status == 404
    assert page.ask("PATCH", "/api/v1/devices/nowhere/controls", {"values": {}}).status == 400


def result(name: str, verdict: Verdict) -> Result:
    return Result(
        name=name, verdict=verdict, code="full", reason=Words("Penuh", "Full"), advice=Words("Kosongkan", "Empty it")
    )


def test_the_last_check_is_kept_and_one_runs_at_a_time(room: Room) -> None:
    asked: list[Sequence[str]] = []
    goes_on = threading.Event()

    def work(words: Sequence[str], config_file: Path | None) -> str | None:
        assert config_file == room.settings
        asked.append(words)
        assert goes_on.wait(30)
        History().add(Checked(at=SystemClock().now(), results=[result("storage", Verdict.FAILURE)]))
        return None

    with web.serving(config_file=room.settings, runs=Runs(work)) as page, opened(page) as looking:
        assert page.get("/api/v1/checks").json == {
            "type": "check-run", "running": False, "since_s": None, "last": None, "problem": None,
        }  # fmt: skip
        began = page.post("/api/v1/checks", {"quick": True, "have": ["tripod"]})
        assert (began.status, began.json["running"]) == (202, True)
        assert page.post("/api/v1/checks").json["running"] is True
        goes_on.set()
        told = until(looking, lambda said: is_kind("check-run")(said) and not said["running"])
        assert told["last"]["ready"] is False
        assert told["last"]["checks"][0]["reason"] == "Penuh"
        assert page.get("/api/v1/checks").json["last"] == told["last"]
        assert asked == [["--quick", "--have=tripod"]]
        assert page.get("/api/v1/checks/history").json == []


def test_words_that_would_be_options_or_files_are_refused(page: Page) -> None:
    for body in ({"request": "--config=/etc/passwd"}, {"have": ["-x"]}, {"have": ["@file"]}, {"session": "plan.toml"}):
        assert page.post("/api/v1/checks", body).status == 400


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_check_is_run_and_what_goes_wrong_is_said(page: Page) -> None:
    assert page.post("/api/v1/checks", {"quick": True, "request": "nowhere"}).status == 202
    assert "nowhere" in str(wait_for(lambda: page.get("/api/v1/checks").json["problem"], 60.0))
    assert page.post("/api/v1/checks", {"quick": True}).status == 202
    last = wait_for(lambda: page.get("/api/v1/checks").json["last"], 120.0)
    assert last["quick"] is True
    assert {"name", "verdict", "reason", "advice"} <= last["checks"][0].keys()
