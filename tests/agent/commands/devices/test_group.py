"""`liput devices`: a table for people, JSON for scripts, and what to plug in when there is nothing."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.commands.devices import group as command
from agent.devices import listing
from devices.health.log_line import LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Health, HealthState, Mode
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support.command import liput, run_python

STICK = Device(
    id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="MS2109 HDMI capture stick", vid="534d", pid="2109",
    port="1-2", node="/dev/video2", paired_with="534d:2109@1-2+sound", link_bps=480_000_000,
    modes=(
        Mode("MJPG", 1920, 1080, (30.0, 15.0)), Mode("MJPG", 640, 480, (60.0,)), Mode("YUYV", 160, 120, (29.97,)),
        Mode("RGB3", 4096, 2160, ()),
    ),
)  # fmt: skip
SOUND = Device(
    id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="MS2109 HDMI capture stick (sound)", vid="534d",
    pid="2109", port="1-2", alsa="hw:CARD=MS2109,DEV=0", paired_with="534d:2109@1-2", link_bps=480_000_000,
)  # fmt: skip
DENIED = Device(
    id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam [x]", node="/dev/video0", port="1-1",
    health=Health(HealthState.DEGRADED, "this user may not open it", datetime(2026, 1, 1, tzinfo=UTC)),
)  # fmt: skip
ROOM = Device(id="sound:room", kind=DeviceKind.MICROPHONE, name="room")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep away what this machine's user has in its state folder."""
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    return tmp_path


def run(
    monkeypatch: pytest.MonkeyPatch, *words: str, devices: Sequence[Device] = (), servers: Sequence[Device] = ()
) -> Result:
    monkeypatch.setattr(listing, "list_devices", lambda: list(devices))
    monkeypatch.setattr(listing, "server_inputs", lambda: list(servers))
    result = CliRunner().invoke(command.devices_command, words)
    assert result.exception is None, result.output
    assert result.exit_code == 0
    return result


def test_with_nothing_plugged_in_people_are_told_what_to_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch)
    assert result.stdout.count("\n") == 1
    assert "plug in a camera" in result.stdout
    assert result.stderr == ""


def test_with_nothing_plugged_in_scripts_get_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--json")
    assert json.loads(result.stdout) == []
    assert "plug in a camera" in result.stderr


def test_json_is_the_devices_and_then_the_servers_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "--json", devices=[STICK, SOUND, DENIED], servers=[ROOM])
    stick, sound, denied, room = json.loads(result.stdout)
    assert (stick["id"], stick["kind"], stick["paired_with"]) == (STICK.id, "capture-card", SOUND.id)
    assert stick["modes"][0] == {"format": "MJPG", "width": 1920, "height": 1080, "fps": [30.0, 15.0]}
    assert (sound["alsa"], sound["node"], sound["modes"]) == (SOUND.alsa, None, [])
    assert denied["health"]["since"] == "2026-01-01T00:00:00Z"
    assert (room["id"], room["alsa"], room["vid"]) == ("sound:room", None, None)
    assert result.stderr == ""


def test_the_table_says_what_each_is_and_what_belongs_together(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(monkeypatch, devices=[STICK, SOUND, DENIED], servers=[ROOM]).stdout.splitlines()
    text = "\n".join(lines)
    assert lines[0].split() == ["Name", "Role", "Id", "Where", "Offers"]
    assert [line for line in lines if line != line.rstrip()] == []
    assert [line.split("  ")[0] for line in lines[1:4]] == [STICK.name, "capture card", SOUND.name]
    assert "MJPG up to 1920x1080 at 30, YUYV up to 160x120 at 29.97, sound as 534d:2109@1-2+sound" in text
    assert "RGB3" not in text
    assert "sound, of 534d:2109@1-2" in text
    assert "port 1-2 (480 Mbit/s)" in text
    assert "Webcam [x]" in text
    assert re.search(r"degraded since [-:\d ]+: this user may not open it", text)
    assert "sound:room" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "show", "x"], "Options go after it: liput devices show --json"),
        (["--config", "x", "roles"], "Options go after it: liput devices roles --json"),
        (["--watch", "roles"], "--watch goes with no command."),
    ],
)
def test_options_that_would_do_nothing_before_a_command_are_refused(words: list[str], said: str) -> None:
    result = CliRunner().invoke(command.devices_command, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.parametrize("words", ["", "show", "assign", "unassign", "roles", "controls"])
def test_every_help_has_examples_and_loads_nothing_heavy(tmp_path: Path, words: str) -> None:
    for option in ("--help", "-h"):
        done = liput(tmp_path, "devices", *words.split(), option)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Examples:\n    liput devices {words}".rstrip() in done.stdout
        assert not re.search(r"\w\.\.\.$", done.stdout, re.MULTILINE)  # no line of it is cut off
    heavy = "{'rich.table', 'rich.console', 'numpy', 'av', 'cv2', 'sounddevice'} & set(sys.modules)"
    code = f"import sys\nfrom agent.cli.group import liput\ntry: liput()\nfinally: print({heavy})"
    done = run_python(tmp_path, code, "devices", *words.split(), "--help")
    assert done.stdout.endswith("set()\n"), done.stdout


def test_a_device_that_a_recorder_uses_shows_the_fault_it_has_now(monkeypatch: pytest.MonkeyPatch) -> None:
    with HealthLog(clock=SystemClock(), journal=None) as log:
        log(STICK.id, LogKind.OPENED)
        log(
            STICK.id,
            LogKind.DEGRADED,
            "nothing is plugged into it",
            level=LogLevel.ERROR,
            fault="no-signal",
            after_s=400.0,
        )
    result = run(monkeypatch, "--json", devices=[STICK, SOUND])
    stick, sound = json.loads(result.stdout)
    assert (stick["health"]["state"], stick["health"]["fault"]) == ("silent", "no-signal")
    assert sound["health"]["state"] == "ok"
    assert re.search(r"silent since [-:\d ]+: nothing is plugged into it", run(monkeypatch, devices=[STICK]).stdout)


def test_a_log_that_cannot_be_read_costs_the_list_nothing(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    (state / "health").write_text("no folder")
    assert json.loads(run(monkeypatch, "--json", devices=[STICK]).stdout)[0]["health"]["state"] == "ok"


def test_roles_stand_in_the_list_and_those_that_are_missing_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hint = "liput devices roles proposes"
    result = run(monkeypatch, devices=[STICK, SOUND])
    assert result.stdout.splitlines()[-1].startswith(f"No roles yet: {hint}")
    at = datetime(2026, 11, 25, tzinfo=UTC)
    roles_store().change(lambda _: {"slides": binding_of(STICK, at), "podium": binding_of(DENIED, at)})
    lines = run(monkeypatch, devices=[STICK, SOUND]).stdout.splitlines()
    assert "slides" in lines[1].split()
    assert lines[-2].startswith("podium is missing: Webcam [x] (046d:0825:A1): ")
    assert lines[-1] == "liput devices roles names replacements."
    assert hint not in "".join(lines)
    listed = json.loads(run(monkeypatch, "--json", devices=[STICK, SOUND]).stdout)
    assert [device["role"] for device in listed] == ["slides", None]
