"""`liput devices`: a table for people, JSON for scripts, the page of one device, and what comes and goes."""

import json
import re
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from agent.commands.devices import show
from agent.commands.devices.group import devices_command
from agent.devices import listing
from config.errors import DeviceNotFound
from devices.health.log_line import LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Health, HealthState, Mode
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support.command import Line, Running, lines, liput, run_python, running
from tests.support.ports import usb_tree
from tests.support.room import Room
from tests.support.sound_server import PulseMicrophone
from tests.support.terminal import Terminal

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


def run(
    monkeypatch: pytest.MonkeyPatch, *words: str, devices: Sequence[Device] = (), servers: Sequence[Device] = ()
) -> Result:
    monkeypatch.setattr(listing, "list_devices", lambda: list(devices))
    monkeypatch.setattr(listing, "server_inputs", lambda: list(servers))
    result = CliRunner().invoke(devices_command, words)
    assert result.exception is None, result.output
    assert result.exit_code == 0
    return result


def test_with_nothing_plugged_in_people_are_told_what_to_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch)
    assert (result.stdout.count("\n"), "plug in a camera" in result.stdout, result.stderr) == (1, True, "")
    result = run(monkeypatch, "--json")
    assert (json.loads(result.stdout), "plug in a camera" in result.stderr) == ([], True)
    refused = CliRunner().invoke(devices_command, ["--json", "show", "x"])
    assert (refused.exit_code, "Options go after it: liput devices show --json" in refused.stderr) == (2, True)


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


def test_every_help_has_examples_and_loads_nothing_heavy(tmp_path: Path) -> None:
    for words in ("", "show", "assign", "unassign", "roles", "controls"):
        done = liput(tmp_path, "devices", *words.split(), "-h")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Examples:\n    liput devices {words}".rstrip() in done.stdout
        assert not re.search(r"\w\.\.\.$", done.stdout, re.MULTILINE)  # no line of it is cut off
    heavy = "{'rich.table', 'rich.console', 'numpy', 'av', 'cv2', 'sounddevice'} & set(sys.modules)"
    code = f"import sys\nfrom agent.cli.group import liput\ntry: liput()\nfinally: print({heavy})"
    done = run_python(tmp_path, code, "devices", "controls", "--help")
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


# `liput devices show`

STREAMCAM = Device(
    id="046d:0893:5079EB25", kind=DeviceKind.CAMERA, name="Logitech StreamCam", vid="046d", pid="0893",
    serial="5079EB25", port="5-1.4", node="/dev/video0", paired_with="046d:0893:5079EB25+sound",
    link_bps=480_000_000, role="podium",
    modes=(
        Mode("YUYV", 1920, 1080, (20.0, 5.0)), Mode("MJPG", 1920, 1080, (60.0, 30.0)), Mode("MJPG", 1280, 720, (30.0,)),
    ),
)  # fmt: skip
ITS_SOUND = Device(
    id="046d:0893:5079EB25+sound", kind=DeviceKind.MICROPHONE, name="Logitech StreamCam (sound)", vid="046d",
    pid="0893", serial="5079EB25", port="5-1.4", alsa="hw:CARD=StreamCam,DEV=0", paired_with=STREAMCAM.id,
)  # fmt: skip
C270 = Device(
    id="046d:0825:E190CC90", kind=DeviceKind.CAMERA, name="Logitech C270", vid="046d", pid="0825", serial="E190CC90",
    port="5-1.3.1.3.7", node="/dev/video2", modes=(Mode("MJPG", 1280, 720, (30.0,)),),
)  # fmt: skip
SILENT_STICK = Device(
    id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="MS2109 HDMI capture stick", vid="534d", pid="2109",
    port="1-2", node="/dev/video4", modes=(Mode("MJPG", 1920, 1080, (60.0, 30.0)),),
    health=Health(HealthState.SILENT, "it does not list its modes", datetime(2026, 1, 1, tzinfo=UTC)),
)  # fmt: skip
EVERYTHING = (STREAMCAM, C270, SILENT_STICK, ITS_SOUND, ROOM)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plug everything in; the tree of hubs is a recorded one, in which the stick is not."""
    monkeypatch.setattr(show, "known_devices", lambda _: list(EVERYTHING))
    roles_store().change(lambda _: {"podium": binding_of(STREAMCAM, datetime(2026, 1, 1, tzinfo=UTC))})
    monkeypatch.setattr(show, "SYSFS", usb_tree("three_cameras", tmp_path))


def run_show(*words: str) -> Result:
    return CliRunner().invoke(show.show_command, words)


def shown(*words: str) -> dict[str, Any]:
    result = run_show(*words, "--json")
    assert result.exception is None, result.exception
    page: dict[str, Any] = json.loads(result.stdout)
    return page


def test_the_json_of_one_device_is_one_document_with_everything(devices: None) -> None:
    page = shown(STREAMCAM.id)
    assert msgspec.convert(page["device"], Device) == STREAMCAM
    assert msgspec.convert(page["partner"], Device) == ITS_SOUND
    assert page["no_serial"] is None
    assert page["usb"] == {
        "path": [
            {"port": "usb5", "name": "xHCI Host Controller", "link_bps": 480_000_000, "is_hub": True},
            {"port": "5-1", "name": "USB 2.0 Hub", "link_bps": 480_000_000, "is_hub": True},
            {"port": "5-1.4", "name": "Logitech StreamCam", "link_bps": 480_000_000, "is_hub": False},
        ],
        "usable_bps": 196_608_000,
        "shared_with": ["H264 USB Camera (port 5-1.3.1.3.6)", "Logitech C270 (port 5-1.3.1.3.7)"],
    }
    assert (page["profile"], page["wanted"]) == ("1080p30", {"width": 1920, "height": 1080, "fps": 30.0})
    mode = {"format": "MJPG", "width": 1920, "height": 1080, "fps": 30.0, "needs_bps": None, "reason": None}
    assert page["mode"] == mode
    assert page["runners_up"] == [
        mode | {"width": 1280, "height": 720, "reason": "smaller"},
        mode | {"format": "YUYV", "fps": 5.0, "needs_bps": 165_888_000,
                "reason": "needs 664 Mbit/s at 20 frames a second, the link gives 197"},
    ]  # fmt: skip
    assert page["make"]["name"] == "Logitech StreamCam"
    assert "github.com/espressif/esp-usb" in page["make"]["source"]


def test_the_warnings_are_the_slow_port_and_the_bus_it_shares(devices: None) -> None:
    slow, crowded = shown(STREAMCAM.id)["warnings"]
    assert slow["kind"] == "slow-port"
    assert slow["message"].endswith("the hub at port 5-1 is a USB 2 hub")
    assert "USB 3 port" in slow["hint"]
    assert crowded["kind"] == "may-not-fit"
    assert crowded["message"].startswith("Logitech StreamCam, Logitech C270 and Logitech StreamCam (sound) may not fit")
    assert crowded["hint"] == "Move one device to another port."


def test_people_see_a_page_of_one_device(devices: None) -> None:
    lines = [line.rstrip() for line in run_show("podium").stdout.splitlines()]
    assert lines[0] == "Logitech StreamCam, camera"
    text = "\n".join(lines)
    assert "Serial       5079EB25\n" in text
    assert "             └─ 5-1  USB 2.0 Hub, 480 Mbit/s\n" in text
    assert "                └─ 5-1.4  Logitech StreamCam, 480 Mbit/s\n" in text
    assert "Sound        046d:0893:5079EB25+sound (hw:CARD=StreamCam,DEV=0)\n" in text
    assert "Warning: Logitech StreamCam is made for USB 3 and runs at 480 Mbit/s" in text
    assert "For the profile 1080p30 (1920x1080 at 30):\n→  MJPG  1920x1080  at 30  is opened\n" in text
    assert "   MJPG  1280x720   at 30  smaller\n" in text
    assert "\x1b" not in text


def test_what_is_wrong_is_said_and_what_is_known_of_the_make(devices: None) -> None:
    page = shown("1-2")
    assert page["no_serial"] == "it says none; its port tells it from others"
    assert page["usb"] is None
    assert page["mode"] == {
        "format": "MJPG", "width": 1920, "height": 1080, "fps": 30.0, "needs_bps": None, "reason": None,
    }  # fmt: skip
    text = run_show("1-2", "--profile", "1080p60").stdout
    assert "silent since" in text
    assert "it does not list its modes" in text
    assert "MS2109 HDMI capture stick (kernel: sound/usb/quirks-table.h, MacroSilicon MS2109)" in text
    assert "from 1920x1080 on, it gives 30 frames per second, not the listed rate" in text
    assert "→  MJPG  1920x1080  at 30  is opened" in [line.rstrip() for line in text.splitlines()]


def test_a_name_is_that_of_one_device_or_all_there_are_are_listed(devices: None) -> None:
    assert shown("hw:card=streamcam,dev=0")["device"]["id"] == ITS_SOUND.id
    error = run_show("lectern").exception
    assert isinstance(error, DeviceNotFound)
    assert error.message == "no connected device is called 'lectern'"
    assert all(device.id in error.hint for device in EVERYTHING)


# `liput devices --watch` ends when asked, leaves the terminal as it was, and keeps the health log meanwhile


def log_of(home: Path) -> list[Line]:
    (file,) = (home / ".local/state/liput/health").glob("*.jsonl")
    return lines(file.read_text())


def test_a_key_ends_the_watch_and_leaves_the_terminal_as_it_was(room: Room) -> None:
    with Terminal(room.home, "devices", "--watch", columns=200) as terminal:
        before = terminal.settings()
        terminal.until("Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone")
        assert terminal.settings() != before
        terminal.resize(columns=40)
        terminal.until("Nothing is plugged in: plug in a camera,\n")
        terminal.press("\x1a")
        assert terminal.wait() == 0
        assert terminal.settings() == before
        assert re.search(r"\x1b\[\?25h\x1b\[\?1049l$", terminal.raw)
        assert "Traceback" not in terminal.text


def test_a_closed_window_ends_the_watch(room: Room) -> None:
    with Terminal(room.home, "devices", "--watch") as terminal:
        terminal.until("as they change; q or Ctrl-C ends")
        terminal.close_window()
        terminal.wait()
    assert log_of(room.home)[-1]["kind"] == "watch-stopped"


def test_without_a_terminal_the_watch_writes_lines_and_ends_with_0(room: Room) -> None:
    with running(room.home, "devices", "--watch") as watch:
        first = watch.until("devices")
        assert isinstance(first["devices"], list)
        watch.signal(signal.SIGTERM)
        assert watch.wait() == 0
        assert watch.errors() == ""
        pid = watch.pid
    kinds = [(line["kind"], line["device"]) for line in log_of(room.home) if line["kind"] != "kernel"]
    assert kinds == [("watch-started", "pc"), ("sample", "pc"), ("watch-stopped", "pc")]
    assert log_of(room.home)[0]["detail"] == {"pid": pid, "devices": []}


@pytest.mark.server
def test_what_comes_and_goes_at_a_sound_server_is_shown_also_when_that_is_started_later(
    room: Room, tmp_path: Path
) -> None:
    server = PulseMicrophone(tmp_path)
    place = {"PULSE_SERVER": server.environment["PULSE_SERVER"]}
    with running(room.home, "devices", "--watch", more=place) as watch:
        watch.until("devices")
        with server:
            assert _next_pulse(watch) == ("plugged", "pulse:mic.monitor")
            module = server.control("load-module", "module-null-sink", "sink_name=hall")
            assert _next_pulse(watch) == ("plugged", "pulse:hall.monitor")
            server.control("unload-module", module)
            assert _next_pulse(watch) == ("unplugged", "pulse:hall.monitor")
            server.kill()
            assert _next_pulse(watch) == ("unplugged", "pulse:mic.monitor")


def _next_pulse(watch: Running) -> tuple[object, str]:
    """Return the next change of a source of the sound server, and whose."""
    while True:
        line = watch.until("device-change")
        device = line["device"]
        if isinstance(device, dict) and device["id"].startswith("pulse:"):
            return line["change"], device["id"]
