"""Devices and checks by the API, where nothing is plugged in; what is plugged in is tried in the rig."""

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from agent.checks.check import CheckResult, CheckVerdict
from agent.checks.history import CheckRun, keep_run
from agent.web.http.context import CommandRuns
from config.locale.lookup import LocalizedText
from devices.controls import presets
from devices.health.log_line import LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import log_folder
from devices.host.clock import SystemClock
from devices.model.device import Device
from devices.roles import assignment
from tests.support import hall, web
from tests.support.room import Room
from tests.support.waiting import wait_for
from tests.support.web import Page, is_kind, opened, until

pytestmark = pytest.mark.server
CAMERA = hall.CAMERA


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """Plug in what is in this list."""
    devices = [CAMERA]
    monkeypatch.setattr("agent.devices.listing.list_devices", lambda: devices)
    monkeypatch.setattr("agent.devices.listing.server_inputs", list)
    return devices


@pytest.mark.usefixtures("there")
def test_a_role_is_given_and_taken_away(page: Page) -> None:
    (device,) = page.get("/api/v1/devices").json
    assert (device["id"], device["kind"], device["role"]) == (CAMERA.id, "camera", None)
    assert page.get("/api/v1/roles").json["roles"] == []
    at = f"/api/v1/devices/{CAMERA.id}/role"
    assert page.post(at, {"role": "podium"}).json["device"] == CAMERA.id
    (state,) = page.get("/api/v1/roles").json["roles"]
    assert (state["role"], state["state"]) == ("podium", "present")
    assert page.post(at, {"role": "room"}).json["device"] == CAMERA.id
    assert list(assignment.roles_store().read()) == ["room"], "it moves in one step"
    assert page.post(at, {"role": "synthetic"}).status == 400
    assert list(assignment.roles_store().read()) == ["room"], "where that is refused, it has what it had"
    assert page.post(at, {"role": None}).json == {"type": "role", "role": "room", "device": None, "before": CAMERA.id}
    for wrong in ({"role": None}, {}):
        assert page.post(at, wrong).status == 400
    nowhere = "/api/v1/devices/nowhere"
    assert page.post(f"{nowhere}/role", {"role": "podium"}).status == 404
    assert page.get(f"{nowhere}/controls").status == 404
    assert page.ask("PATCH", f"{nowhere}/controls", {"values": {"focus": "1"}}).status == 404
    assert page.ask("DELETE", f"{nowhere}/controls/brightness").status == 404


def test_a_role_is_taken_from_a_device_that_is_called_otherwise_now(page: Page, there: list[Device]) -> None:
    """As of one without a serial number, when its bus has another number: the page knows the name of today only."""
    stick = msgspec.structs.replace(CAMERA, serial=None, place="pci-0000:00:14.0-usb-0:2")
    then, now = (msgspec.structs.replace(stick, id=f"534d:2109@{port}", port=port) for port in ("1-2", "3-2"))
    there[:] = [then]
    assert page.post(f"/api/v1/devices/{then.id}/role", {"role": "podium"}).status == 200
    there[:] = [now]
    taken = page.post(f"/api/v1/devices/{now.id}/role", {"role": None})
    assert taken.json == {"type": "role", "role": "podium", "device": None, "before": then.id}
    assert assignment.roles_store().read() == {}


def test_a_control_is_tried_kept_and_set_back(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = hall.plug(monkeypatch)
    at = f"/api/v1/devices/{CAMERA.id}/controls"
    tried = page.ask("PATCH", at, {"values": {"brightness": "150"}, "keep": False}).json
    assert [(one["name"], one["before"], one["after"]) for one in tried["changes"]] == [("brightness", 128, 150)]
    shown = {control["name"]: control["value"] for control in page.get(at).json["controls"]}
    assert (camera.values["brightness"], shown["brightness"]) == (150, 150)
    assert presets.preset_store().read() == {}
    page.ask("PATCH", at, {"values": {"brightness": "150"}})
    assert dict(presets.preset_store().read()[CAMERA.id].controls) == {"brightness": 150}
    reset = page.ask("DELETE", f"{at}/brightness").json
    assert [(one["after"], one["problem"]) for one in reset["changes"]] == [(128, None)]
    assert (camera.values["brightness"], presets.preset_store().read()) == (128, {})
    changed = LogFilter(level=LogLevel.INFO, kinds=["control-changed"])
    assert len(list(read(log_folder(), changed))) == 2, "what was only tried is no news"


def test_every_control_is_set_back_and_what_is_refused_is_said_in_a_line(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = hall.plug(monkeypatch)
    at = f"/api/v1/devices/{CAMERA.id}/controls"
    page.ask("PATCH", at, {"values": {"zoom_absolute": "200", "brightness": "1"}})
    camera.refused = "zoom_absolute"
    changes = page.ask("DELETE", at).json["changes"]
    assert {one["name"]: one["problem"] for one in changes} == {
        "brightness": None, "power_line_frequency": None,
        "zoom_absolute": "the camera refuses zoom_absolute=100: it says no",
    }  # fmt: skip
    refused = page.ask("PATCH", at, {"values": {"zoom_absolute": "300"}})
    assert (refused.status, refused.json["message"]) == (409, "the camera refuses zoom_absolute=300: it says no")
    assert page.ask("PATCH", at, {"values": {"zoom_absolute": "999"}}).status == 400
    assert page.ask("DELETE", f"{at}/no-such").status == 400
    camera.gone = True
    assert page.get(at).status == 404


def test_the_last_check_is_kept_and_one_runs_at_a_time(room: Room) -> None:
    asked: list[Sequence[str]] = []
    goes_on = threading.Event()

    def work(words: Sequence[str], config_file: Path | None) -> tuple[None, None]:
        assert config_file == room.settings
        asked.append(words)
        assert goes_on.wait(30)
        why = LocalizedText("Penuh", "Full")
        full = CheckResult(name="storage", verdict=CheckVerdict.FAILURE, code="full", reason=why)
        keep_run(CheckRun(at=SystemClock().now(), results=[full]))
        return None, None

    with web.serving(config_file=room.settings, runs=CommandRuns(work)) as page, opened(page) as looking:
        assert page.get("/api/v1/checks").json == {
            "type": "check-run", "running": False, "since_s": None, "last": None, "problem": None, "error": None,
        }  # fmt: skip
        began = page.post("/api/v1/checks", {"quick": True, "have": ["tripod"]})
        assert (began.status, began.json["running"]) == (202, True)
        assert page.post("/api/v1/checks").json["running"] is True
        goes_on.set()
        told = until(looking, lambda said: is_kind("check-run")(said) and not said["running"])
        assert told["last"]["ready"] is False
        assert told["last"]["checks"][0]["reason"] == "Penuh"
        assert asked == [["--quick", "--have=tripod"]]
        assert page.get("/api/v1/checks/history").json == []


def test_words_that_would_be_options_or_files_are_refused(page: Page) -> None:
    for body in ({"request": "--config=/etc/passwd"}, {"have": ["-x"]}, {"have": ["@file"]}, {"session": "plan.toml"}):
        assert page.post("/api/v1/checks", body).status == 400


def test_what_goes_wrong_with_a_real_check_is_said(page: Page) -> None:
    assert page.post("/api/v1/checks", {"quick": True, "request": "nowhere"}).status == 202
    assert "nowhere" in str(wait_for(lambda: page.get("/api/v1/checks").json["problem"], 60.0))
