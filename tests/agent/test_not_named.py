"""Sessions whose devices nobody named, where one is not there: they begin all the same, and say so."""

import json
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.model.device import Device, DeviceKind
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support import command, media, web
from tests.support.recorders import kill, recorders
from tests.support.room import Room, program
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

GIVEN_AT = datetime(2026, 11, 25, tzinfo=UTC)
PODIUM = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam", vid="046d", pid="0825", serial="CAM1", port="1-1"
)
MICROPHONE = Device(
    id="0d8c:0134:MIC1", kind=DeviceKind.MICROPHONE, name="Desk", vid="0d8c", pid="0134", serial="MIC1", port="1-3"
)
MISSING = ["source-missing: microphone", "source-missing: podium"]


@pytest.fixture
def state(room: Room, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Give roles to a camera and a microphone that are not plugged in; return what says where that stands."""
    monkeypatch.setenv("LIPUT_STATE", str(room.home / "state"))
    roles_store().change(lambda _: {one: binding_of(of, GIVEN_AT) for one, of in
                                    (("podium", PODIUM), ("microphone", MICROPHONE))})  # fmt: skip
    return {"LIPUT_STATE": str(room.home / "state")}


def words(room: Room, name: str, *more: str) -> list[str | Path]:
    return [name, "--title", "Rapat", "--archive", room.archive, "--consent", "not-asked", *more]


def test_what_has_a_role_and_is_missing_costs_no_recording(room: Room, state: Mapping[str, str]) -> None:
    done = command.liput(room.home, *words(room, "record", "--for", "2s", "--json"), more=state)
    assert done.returncode == 3, done.stderr
    lines = command.lines(done.stdout)
    told = [str(line["message"]) for line in command.of_type(lines, "event") if line["kind"] == "source-missing"]
    assert sorted(told) == [
        "A slate stands for podium: podium (Webcam) is missing: it is not plugged in (it was in port 1-1)",
        "Silence stands for microphone: microphone (Desk) is missing: it is not plugged in (it was in port 1-3)",
    ]
    assert sorted(lines[-1]["degraded"]) == MISSING  # type: ignore[call-overload] # a list
    assert media.decoded(program(room.only_package()), "a").end_s == pytest.approx(2, abs=0.1)


def test_what_was_named_is_needed(room: Room, state: Mapping[str, str]) -> None:
    done = command.liput(room.home, *words(room, "record", "--video", "podium", "--for", "1s"), more=state)
    assert done.returncode == 1
    assert "podium (Webcam) is missing" in done.stderr
    assert not room.archive.exists()
    done = command.liput(
        room.home, *words(room, "record", "--video", "podium", "--for", "1s", "--allow-missing"), more=state
    )
    assert done.returncode == 3, done.stderr


def test_nobody_is_asked_about_what_nobody_named(room: Room, state: Mapping[str, str]) -> None:
    with Terminal(room.home, *words(room, "record"), more=state) as terminal:
        terminal.until("! A slate stands for podium")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 3
        assert "Begin without" not in terminal.text


@pytest.mark.slow
def test_a_session_is_armed_without_it_and_armed_again_after_a_kill(
    room: Room, state: Mapping[str, str], runtime: Path
) -> None:
    room.archive.mkdir()
    with command.running(room.home, "serve", "--json", "--archive", room.archive, more=state) as daemon:
        daemon.until("note", text="ready")
        done = command.liput(room.home, *words(room, "arm"), more=state)
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
        assert sorted(said[:-1]) == [f"! {trouble}" for trouble in MISSING]
        assert said[-1].startswith("Armed: ")
        (first,) = recorders(runtime)
        kill(first.pid)
        wait_for(lambda: [one.id for one in recorders(runtime)] not in ([], [first.id]))
        wait_for(lambda: _states(room) == ["armed"])
        done = command.liput(room.home, "start", "--json")
        assert json.loads(done.stdout)["state"] == "degraded", done.stderr
        done = command.liput(room.home, "stop", "--json")
        assert json.loads(done.stdout)["state"] == "sealed", done.stderr
        daemon.signal(signal.SIGTERM)


def _states(room: Room) -> list[object]:
    return [one["state"] for one in json.loads(command.liput(room.home, "status", "--json").stdout)]


@pytest.mark.server
@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("path", ["/api/v1/sessions", "/api/v1/recording/start"])
def test_the_page_records_and_says_in_red_what_is_missing(room: Room, path: str) -> None:
    room.configure("[web]\nport = 0\n")
    with web.serving(config_file=room.settings, folder=room.archive) as page:
        answer = page.post(path, {"title": "Rapat"} if path.endswith("sessions") else {})
        assert answer.status == 200, answer.body
        assert answer.json["state"] == "degraded"
        troubles = page.get("/api/v1/state").json["troubles"]
        assert sorted(f"{one['kind']}: {one['subject']}" for one in troubles) == MISSING
        assert [one["is_grave"] for one in troubles] == [True, True]
        assert page.post("/api/v1/recording/stop", {"wait": True}).json["state"] == "sealed"
