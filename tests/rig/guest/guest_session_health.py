"""A session that looks after its devices: roles, the mains frequency, and what is wrong told while it records."""

import json
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, NO_REPORT, rig_profile
from tests.support import command
from tests.support.command import Line, Running, running

SLIDES, MICROPHONE, CAMERA = "534d:2109@1-2", "534d:2109@1-2+sound", "046d:0825:CAM0001"
SETTINGS = f"""{ARCHIVE}{NO_REPORT}{rig_profile(10)}
[patience.slides]
black_s = 2

[patience.microphone]
silence_s = 2
"""
CLEAN_S = 10


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stick: RigDevice) -> Path:
    """Provide a home whose slides and microphone are the stick."""
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)
    settings = tmp_path / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS)
    stick.plug(1)
    stick.wait_for_video()
    stick.wait_for_audio()
    for role, device in (("slides", SLIDES), ("microphone", MICROPHONE)):
        done = command.liput(tmp_path, "devices", "assign", role, device, "--json")
        assert (done.returncode, json.loads(done.stdout)["device"]) == (0, device), done.stderr
    return tmp_path


def words(home: Path, profile: str, *more: str) -> list[str]:
    return ["record", "--title", "Rig", "--json", "--archive", str(home / "arsip"), "--profile", profile, *more]


def health(home: Path) -> list[Line]:
    """Return the health log, as the command gives it."""
    return command.lines(command.liput(home, "health", "--json").stdout)


def detail(line: Line) -> Mapping[str, object]:
    found = line["detail"]
    assert isinstance(found, dict)
    return found


def told(session: Running, kind: str, fault: str) -> Line:
    """Return the event of a fault, whether it has come or is to come."""

    def matches(line: Line) -> bool:
        return (line["type"], line.get("kind")) == ("event", kind) and detail(line).get("fault") == fault

    for line in [*session.seen]:
        if matches(line):
            return line
    for line in session.read():
        if matches(line):
            return line
    raise AssertionError(f"no {kind} of {fault}: {session.seen}; {session.errors()}")


def moment(line: Line) -> datetime:
    return datetime.fromisoformat(str(line["at"]))


def test_a_session_without_faults_has_no_line_of_any_and_its_camera_is_set_before_it_streams(
    camera: RigDevice, home: Path
) -> None:
    camera.plug(0)
    camera.wait_for_video()
    done = command.liput(home, *words(home, "240p15", "--video", CAMERA, "--for", f"{CLEAN_S}s"), timeout=100)
    lines = command.lines(done.stdout)
    assert (done.returncode, lines[-1]["degraded"]) == (0, []), (lines, done.stderr)
    assert [line["kind"] for line in command.of_type(lines, "event")] == [
        "priority-granted", "session-live", "session-ended",
    ]  # fmt: skip
    for status in command.of_type(lines, "status"):
        sources = status["sources"]
        assert isinstance(sources, list)
        assert [(source["id"], source["role"]) for source in sources] == [(CAMERA, None), (MICROPHONE, "microphone")]
        assert {source["health"]["state"] for source in sources} == {"ok"}
    assert camera.get("controls.power_line_frequency") == "1"
    log = health(home)
    assert [line for line in log if line["kind"] in {"degraded", "recovered", "refused", "watch-failed"}] == []
    of_camera = [str(line["kind"]) for line in log if line["device"] == CAMERA]
    assert of_camera.index("controls-applied") < of_camera.index("opened") < of_camera.index("closed")
    applied = [line for line in log if (line["kind"], line["device"]) == ("controls-applied", CAMERA)]
    assert applied  # by the session, by its device service, or by both at the same time
    assert all(detail(line)["controls"] == {"power_line_frequency": 1} for line in applied)
    (started,) = [line for line in log if line["kind"] == "watch-started"]
    assert {SLIDES, MICROPHONE, CAMERA} == set(detail(started)["devices"])  # type: ignore[call-overload] # JSON
    assert [str(line["kind"]) for line in log if line["device"] == "pc"][-1] == "watch-stopped"


def test_what_is_wrong_with_the_devices_of_a_session_is_told_while_it_records(stick: RigDevice, home: Path) -> None:
    with running(home, *words(home, "rig10")) as session:
        live = session.until("event", kind="session-live")
        session.until("status", state="live")
        stick.set("video.picture", "black")
        stick.set("audio.sound", "silence")
        found = {fault: told(session, f"source-{fault}", fault) for fault in ("black", "silence")}
        status = session.until("status")
        stick.set("video.picture", "no-signal")
        stick.set("audio.sound", "tone")
        found["no-signal"] = told(session, "source-no-signal", "no-signal")
        stick.set("video.picture", "live")
        over = {fault: told(session, "source-recovered", fault) for fault in found}
        session.until("status")
        well = session.seen[-1]
        session.signal(signal.SIGINT)
        assert session.wait() == 3
    assert [moment(found[fault]) < moment(over[fault]) for fault in found] == [True] * 3
    assert 2.0 <= (moment(found["black"]) - moment(live)).total_seconds() < 6.0
    names = {SLIDES: "MS2109 HDMI capture stick", MICROPHONE: "MS2109 HDMI capture stick (sound)"}
    for fault, device in (("black", SLIDES), ("silence", MICROPHONE), ("no-signal", SLIDES)):
        assert (found[fault]["subject"], detail(found[fault])["device"]) == (names[device], device)
    assert "black frames for 2 s" in str(found["black"]["message"])
    assert "exactly nothing for 2 s" in str(found["silence"]["message"])
    assert "a test picture of bars" in str(found["no-signal"]["message"])
    assert states(status) == {(SLIDES, "slides"): "degraded", (MICROPHONE, "microphone"): "silent"}
    assert set(states(well).values()) == {"ok"}
    result = session.seen[-1]
    assert (result["type"], result["state"]) == ("result", "sealed")
    assert result["degraded"] == [
        f"{event['kind']}: {event['subject']}" for event in sorted(found.values(), key=moment)
    ]
    log = health(home)
    begun = [(line["device"], detail(line)["fault"]) for line in log if line["kind"] == "degraded"]
    ended = [(line["device"], detail(line)["fault"]) for line in log if line["kind"] == "recovered"]
    assert sorted(map(str, begun)) == sorted(map(str, ended))
    assert sorted(str(fault) for _, fault in begun) == ["black", "no-signal", "silence"]


def states(status: Line) -> dict[tuple[str, str], str]:
    """Return the state of each source of a status line, by its id and role."""
    sources = status["sources"]
    assert isinstance(sources, list)
    return {(source["id"], source["role"]): source["health"]["state"] for source in sources}
