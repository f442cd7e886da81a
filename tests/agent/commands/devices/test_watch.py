"""`liput devices --watch`: it ends when asked, leaves the terminal as it was, and keeps the health log meanwhile."""

import os
import queue
import re
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.commands.devices import watch
from agent.devices.board import WatchMessage
from devices.health.log_line import HealthLine, LogKind
from devices.model.device import Device, DeviceKind, Health, HealthState
from devices.monitor.device_changes import ChangeKind, DeviceChange
from tests.support import command
from tests.support.command import Running, running
from tests.support.room import Room
from tests.support.sound_server import PulseMicrophone
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

ENDS_CLEAN = re.compile(r"\x1b\[\?25h\x1b\[\?1049l$")


def log_of(home: Path) -> list[command.Line]:
    (file,) = (home / ".local/state/liput/health").glob("*.jsonl")
    return command.lines(file.read_text())


def test_a_signal_that_interrupts_no_wait_is_heard_all_the_same() -> None:
    """As one does that comes just before a wait begins: here another thread takes it, in the middle of one."""
    inbox: queue.SimpleQueue[WatchMessage] = queue.SimpleQueue()

    def take_it() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)

    with watch._signals(inbox):
        threading.Timer(0.3, take_it).start()
        assert next(watch._messages([], inbox)) == "end"


@pytest.mark.parametrize(("key", "columns"), [("q", 80), ("\x03", 200), ("\x1a", 120)])
def test_a_key_ends_it_and_leaves_the_terminal_as_it_was(room: Room, key: str, columns: int) -> None:
    with Terminal(room.home, "devices", "--watch", columns=columns) as terminal:
        before = terminal.settings()
        terminal.until("as they change; q or Ctrl-C ends")
        assert terminal.settings() != before
        terminal.press(key)
        assert terminal.wait() == 0
        assert terminal.settings() == before
        assert ENDS_CLEAN.search(terminal.raw)
        assert "Traceback" not in terminal.text


def test_another_size_of_the_terminal_is_drawn_anew(room: Room) -> None:
    with Terminal(room.home, "devices", "--watch", columns=200) as terminal:
        terminal.until("Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone")
        drawn = len(terminal.raw)
        terminal.resize(columns=40)
        terminal.until("Nothing is plugged in: plug in a camera,\n")
        assert len(terminal.raw) > drawn
        terminal.press("q")
        assert terminal.wait() == 0


def test_a_closed_window_ends_it(room: Room) -> None:
    with Terminal(room.home, "devices", "--watch") as terminal:
        terminal.until("as they change; q or Ctrl-C ends")
        terminal.close_window()
        terminal.wait()
    assert log_of(room.home)[-1]["kind"] == "watch-stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_without_a_terminal_it_writes_lines_and_ends_with_0(
    room: Room, number: signal.Signals, options: tuple[str, ...]
) -> None:
    with running(room.home, "devices", "--watch", *options) as watch:
        first = watch.until("devices")
        assert isinstance(first["devices"], list)
        watch.signal(number)
        assert watch.wait() == 0
        assert watch.errors() == ""
        pid = watch.pid
    kinds = [(line["kind"], line["device"]) for line in log_of(room.home) if line["kind"] != "kernel"]
    assert kinds == [("watch-started", "pc"), ("sample", "pc"), ("watch-stopped", "pc")]
    assert log_of(room.home)[0]["detail"] == {"pid": pid, "devices": []}


def test_a_second_one_watches_silently_and_takes_over_when_the_first_is_killed(room: Room) -> None:
    with running(room.home, "devices", "--watch") as first, running(room.home, "devices", "--watch") as second:
        first.until("devices")
        second.until("devices")
        holder, other = sorted((first, second), key=lambda watch: watch.pid != _holder(room.home))
        os.kill(holder.pid, signal.SIGKILL)
        wait_for(lambda: _started(room.home) == [holder.pid, other.pid], what="the other takes over")


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


class Asked:
    """Counts what is asked anew."""

    def __init__(self) -> None:
        self.refreshes = self.looks = 0

    def refresh(self) -> None:
        self.refreshes += 1

    def look(self) -> None:
        self.looks += 1


def test_a_session_that_takes_or_leaves_a_device_is_a_reason_to_look_and_its_health_none_to_ask_servers() -> None:
    asked = Asked()
    device = Device(id="cam", kind=DeviceKind.CAMERA, name="Cam")
    busy = msgspec.structs.replace(device, health=Health(HealthState.BUSY, "zoom has it"))
    lines = [
        HealthLine(at=datetime(2026, 11, 25, tzinfo=UTC), device="cam", kind=kind)
        for kind in (LogKind.OPENED, LogKind.CLOSED, LogKind.REFUSED, LogKind.KERNEL)
    ]
    of_health = DeviceChange(ChangeKind.CHANGED, busy, device, (busy,))
    for message in (*lines, of_health, DeviceChange(ChangeKind.PLUGGED, device, None, (device,))):
        watch._refresh(message, asked, asked)  # type: ignore[arg-type] # it needs no more of them
    assert (asked.refreshes, asked.looks) == (3, 1)


def _holder(home: Path) -> int:
    return int((home / ".local/state/liput/health/watch.lock").read_text())


def _started(home: Path) -> list[object]:
    lines = [line for line in log_of(home) if line["kind"] == "watch-started"]
    return [detail["pid"] for line in lines if isinstance(detail := line["detail"], dict)]


def test_settings_that_are_wrong_are_named_before_anything_is_watched(room: Room) -> None:
    room.configure("[devices]\npower_line_frequency = 55\n")
    done = command.liput(room.home, "devices", "--watch")
    assert done.returncode == 2
    assert "power_line_frequency" in done.stderr
    assert not (room.home / ".local/state").exists()
