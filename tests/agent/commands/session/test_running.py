"""Commands that talk to a session which runs: the real command line, real recorders, synthetic sources."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from agent.sessions import control
from config.errors import SessionError
from config.events import Event
from devices.host.clock import SystemClock
from recorder.control.server import ControlServer
from recorder.model.status import SessionState
from recorder.running import runtime_directory
from recorder.running.client import ControlClient, RunningRecorder, send_command
from recorder.running.protocol import StatusCommand, StopCommand, WatchCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from tests.support import command, media, recorders, web
from tests.support.command import Line, running
from tests.support.room import FPS, Room, frames, program
from tests.support.scripted_session import ScriptedSession, unchanged
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for
from tests.support.xvfb import Xvfb


def liput(room: Room, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    return command.liput(room.home, *words)


def answer(room: Room, *words: str | Path) -> Line:
    """Return what a command answers with --json; it must have gone well."""
    done = liput(room, *words, "--json")
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    line: Line = json.loads(done.stdout)
    return line


def arm(room: Room, *more: str | Path, title: str = "Rapat Senat") -> str:
    """Arm a session and return its id."""
    words = room.words(*more, title=title)
    line = answer(room, "arm", *words[1:])
    assert (line["type"], line["state"], line["title"]) == ("session", "armed", title)
    return str(line["id"])


def statuses(room: Room) -> list[Line]:
    done = liput(room, "status", "--json")
    assert done.returncode == 0, done.stderr
    lines: list[Line] = json.loads(done.stdout)
    return lines


def status(room: Room) -> Line:
    (line,) = statuses(room)
    inner = line["status"]
    assert isinstance(inner, dict)
    return inner


def until(room: Room, field: str, at_least: float) -> None:
    wait_for(lambda: float(str(status(room)[field])) >= at_least, what=f"{field} of {at_least}")


def refused(done: "subprocess.CompletedProcess[str]", exit_status: int, message: str) -> None:
    assert done.returncode == exit_status, (done.stdout, done.stderr)
    assert message in done.stderr
    assert done.stderr.count("\n") == 2


def test_from_arming_to_the_package(room: Room) -> None:
    name = arm(room)
    until(room, "pre_roll_s", 3.0)
    assert room.packages() == room.leftovers() == []  # nothing is written before the start
    started = answer(room, "start", "--pre-roll", "2s")
    assert (started["id"], started["state"]) == (name, "live")
    until(room, "media_time_s", 2.5)
    mark = answer(room, "mark", "Tanya jawab")
    assert (mark["type"], mark["text"]) == ("mark", "Tanya jawab")
    at_s = float(str(mark["media_s"]))
    assert at_s > 2.5
    until(room, "media_time_s", at_s + 0.5)
    result = answer(room, "stop")
    package = room.only_package()
    assert (result["state"], result["package"], result["degraded"]) == ("sealed", str(package), [])
    assert result["frames"] == frames(package)
    chapters = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", program(package)))[
        "chapters"
    ]
    assert chapters[-1]["tags"]["title"] == "Tanya jawab"
    assert float(chapters[-1]["start_time"]) == pytest.approx(at_s, abs=0.01)
    assert statuses(room) == []


def test_a_start_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "START_S", 0.5)
    folder = RecorderFolder(tmp_path)
    server = ControlServer(folder.control, SystemClock())
    server.start(ScriptedSession(SessionState.ARMED), unchanged)
    info = runtime_directory.new_recorder_info("Rapat", tmp_path, SystemClock().now())
    with contextlib.closing(server), pytest.raises(SessionError, match="has not begun to record within"):
        control.start(RunningRecorder(folder, info, None), 0.0)


def test_starting_and_stopping_again_changes_nothing(room: Room) -> None:
    name = arm(room)
    assert answer(room, "start")["id"] == answer(room, "start")["id"] == name
    until(room, "media_time_s", 0.5)
    first = answer(room, "stop")
    assert answer(room, "stop", "--session", name) == first  # which has ended long since
    assert answer(room, "stop") == {
        "type": "result", "state": "idle", "package": None, "duration_s": 0.0, "frames": 0, "degraded": [],
    }  # fmt: skip
    assert frames(room.only_package()) == first["frames"]


def test_disarming_leaves_nothing_and_is_not_for_what_records(room: Room, runtime: Path) -> None:
    arm(room)
    assert answer(room, "disarm")["state"] == "idle"
    wait_for(lambda: recorders.recorders(runtime) == [])
    assert room.packages() == room.leftovers() == []
    arm(room)
    assert answer(room, "stop")["state"] == "idle"
    arm(room)
    answer(room, "start")
    refused(liput(room, "disarm"), 1, "the session is live, not armed")
    assert answer(room, "stop")["state"] == "sealed"


def test_where_several_run_the_likeliest_is_meant_or_it_is_asked_which(room: Room) -> None:
    first, second = arm(room, title="Satu"), arm(room, title="Dua")
    refused(liput(room, "start"), 2, f'2 sessions match: {first} "Satu", {second} "Dua"')
    assert answer(room, "start", "--session", second)["id"] == second
    assert answer(room, "start")["id"] == first  # the only one that is armed
    assert [line["state"] for line in statuses(room)] == ["live", "live"]
    refused(liput(room, "stop"), 2, "2 sessions match")
    refused(liput(room, "stop", "--session", "zzz"), 1, "no running session is called zzz")
    assert answer(room, "stop", "--session", first[:5])["state"] == "sealed"
    third = arm(room, title="Tiga")
    assert answer(room, "mark", "Dua saja")["text"] == "Dua saja"  # of the one that records
    assert answer(room, "stop")["state"] == "sealed"
    assert answer(room, "disarm", "--session", third)["state"] == "idle"
    assert len(room.packages()) == 2


def test_sound_is_muted_and_layouts_are_switched(room: Room) -> None:
    arm(room)
    answer(room, "start")
    assert answer(room, "mute") == {"type": "mute", "name": None, "on": True}
    wait_for(lambda: status(room)["levels_dbfs"] == [-90.0, -90.0])
    assert answer(room, "mute", "--off") == {"type": "mute", "name": None, "on": False}
    wait_for(lambda: max(map(float, status(room)["levels_dbfs"])) > -60)  # type: ignore[call-overload] # a list
    refused(liput(room, "mute", "mik-9"), 2, 'no sound input "mik-9"')
    assert answer(room, "layout", "pause") == {"type": "layout", "name": "pause"}
    assert status(room)["layout"] == "pause"
    refused(liput(room, "layout", "tidak-ada"), 2, 'no layout "tidak-ada"')
    assert answer(room, "layout", "single")["name"] == "single"
    assert answer(room, "stop")["degraded"] == []


def test_what_cannot_be_armed_is_said_and_leaves_nothing(room: Room, runtime: Path) -> None:
    refused(liput(room, "arm", "--title", "x", "--video", "kamera-9", "--archive", room.archive), 1, "'kamera-9'")
    refused(liput(room, "arm", "--title", " ", "--video", "synthetic"), 2, "the title is empty")
    refused(liput(room, "arm", "--title", "x", "--video", "synthetic", "--layout", "x"), 2, 'no layout "x"')
    assert recorders.recorders(runtime) == []
    assert runtime_directory.known_recorders() == []


@pytest.mark.parametrize("words", [("start",), ("disarm",), ("mark", "x"), ("mute",), ("layout", "pause")])
def test_without_a_session_it_is_said_that_none_runs(room: Room, words: tuple[str, ...]) -> None:
    refused(liput(room, *words), 1, "no session runs")
    assert liput(room, "status").stdout == "No session runs.\n"


def test_a_recording_whose_command_line_was_killed_is_found_and_ended(room: Room) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        os.killpg(session.pid, signal.SIGKILL)
        until(room, "media_time_s", 1.0)
        shown = liput(room, "status")
        assert 'Rapat Senat"' in shown.stdout
        assert "LIVE" in shown.stdout
        done = liput(room, "stop")
        assert done.returncode == 0, done.stderr
    package = room.only_package()
    assert done.stdout.splitlines()[-1] == f"Package: {package}"
    assert frames(package) > FPS


def test_a_recorder_that_does_not_answer_is_ended_by_a_signal(room: Room, runtime: Path) -> None:
    arm(room)
    (info,) = recorders.recorders(runtime)
    (runtime / info.id / runtime_directory.CONTROL_SOCKET).unlink()
    (line,) = statuses(room)
    assert (line["state"], line["status"]) == (None, None)
    assert "does not answer" in liput(room, "status").stdout
    assert liput(room, "stop").returncode == 0
    wait_for(lambda: recorders.recorders(runtime) == [])


def test_a_killed_recorder_is_told_of_until_what_it_left_is_a_package(room: Room, runtime: Path) -> None:
    arm(room)
    answer(room, "start")
    until(room, "media_time_s", 1.0)
    (info,) = recorders.recorders(runtime)
    recorders.kill(info.pid)
    shown = liput(room, "status")
    assert f'"Rapat Senat" ({info.id}) was killed; liput recover' in shown.stdout
    assert statuses(room) == []
    room.archive.rename(away := room.home / "away")  # its disk is pulled out for a moment
    assert "was killed" in liput(room, "status").stdout
    away.rename(room.archive)
    assert [folder.id for folder in runtime_directory.killed_recorders()] == [info.id], (
        "whoever goes on with it needs that"
    )
    assert liput(room, "recover", "--archive", room.archive).returncode in {0, 3}
    assert liput(room, "status").stdout == "No session runs.\n"
    (package,) = room.packages()
    assert frames(package) > 0


def test_somebody_may_watch_and_leave_without_ending_it(room: Room) -> None:
    name = arm(room)
    answer(room, "start")
    with (
        running(room.home, "status", "--watch", "--json") as first,
        running(room.home, "status", "--watch", "--json") as second,
    ):
        assert next(first.read())["type"] == "status"
        first.until("event", kind="session-live")
        first.signal(signal.SIGINT)
        assert first.wait() == 0
        assert [line["id"] for line in statuses(room)] == [name]
        result = answer(room, "stop")
        assert second.wait() == 0
        assert second.seen[-1] == result


def test_on_a_terminal_a_key_leaves_the_watched_session_alone(room: Room) -> None:
    arm(room)
    with Terminal(room.home, "status", "--watch") as terminal:
        before = terminal.settings()
        terminal.until(r"keeps \d+ s")
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.settings() == before
        assert [line["state"] for line in statuses(room)] == ["armed"]


def test_nothing_heavy_is_loaded_to_talk_to_a_session(room: Room) -> None:
    arm(room)
    listing = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules)); from agent.cli import main; main.main()"
    )
    for words in (["status"], ["start"], ["mark", "x"], ["mute"], ["layout", "single"], ["stop"]):
        done = command.run_python(room.home, listing, *words)
        loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
        assert {"agent", "recorder", "msgspec"} <= loaded, done.stderr
        assert loaded.isdisjoint({"av", "cv2", "numpy", "rich", "psutil", "pyudev", "sounddevice"}), words


def test_the_next_session_is_armed_while_the_last_is_sealed(room: Room, runtime: Path) -> None:
    arm(room, title="Satu")
    answer(room, "start")
    until(room, "media_time_s", 0.5)
    (info,) = recorders.recorders(runtime)
    with ControlClient(RecorderFolder(runtime / info.id)) as connection:
        connection.request(WatchCommand(every_s=10))
        connection.request(StopCommand())
        while not (isinstance(told := connection.told(30.0), Event) and told.kind == "session-ended"):
            assert told is not None
    os.kill(info.pid, signal.SIGSTOP)  # so that it takes its time
    try:
        second = arm(room, title="Dua")
        answer(room, "start", "--session", second)
        assert answer(room, "stop", "--session", second)["state"] == "sealed"
        assert len(room.packages()) == 1
        with running(room.home, "stop", "--json", "--session", info.id) as ending:
            os.kill(info.pid, signal.SIGCONT)
            assert ending.until("result")["state"] == "sealed"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGCONT)
    assert len(room.packages()) == 2


OPENS_S, NEVER_S = 2.0, 60.0
"""As long as a camera takes; and longer than a recorder waits for a source that may be missing."""

type End = Callable[[Room, command.Running, RecorderInfo], command.Line]


def by_signal(room: Room, client: command.Running, following: RecorderInfo) -> command.Line:
    client.signal(SIGTERM)
    return client.until("result")


def by_command(room: Room, client: command.Running, following: RecorderInfo) -> command.Line:
    return command.lines(command.liput(room.home, "stop", "--session", following.id, "--json").stdout)[-1]


def by_command_after_disarming(room: Room, client: command.Running, following: RecorderInfo) -> command.Line:
    refused = command.liput(room.home, "disarm", "--session", following.id)
    assert (refused.returncode, "not armed" in refused.stderr) == (1, True)
    return by_command(room, client, following)


def by_api(room: Room, client: command.Running, following: RecorderInfo) -> command.Line:
    with web.serving(folder=room.archive) as page:
        answer: command.Line = page.post(f"/api/v1/sessions/{following.id}/stop", {"wait": True}).json
        wait_for(lambda: not recorders.recorders(client.runtime))  # who serves the page of a test takes them with it
        return answer


def recorded_s(runtime: Path, info: RecorderInfo) -> float:
    """Return how much is on the disk, once it is more than a second."""
    status = send_command(RecorderFolder(runtime / info.id), StatusCommand()).status
    return status.media_time_s if status and status.media_time_s > 1 else 0.0


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(
    ("end", "opens_after_s"),
    [
        (by_signal, OPENS_S),
        (by_command_after_disarming, OPENS_S),
        (by_api, OPENS_S),
        (by_signal, NEVER_S),
    ],
)
def test_what_was_recorded_before_is_its_package(
    room: Room, runtime: Path, tmp_path: Path, end: End, opens_after_s: float
) -> None:
    """Else people are told that nothing was recorded: also where there is only a slate, of which nothing is yet."""
    room.configure("[web]\nenabled = false\n")
    room.archive.mkdir()
    with (
        command.running(room.home, "serve", "--json", "--archive", room.archive) as daemon,
        Xvfb(tmp_path, 320, 200) as screen,
        command.running(room.home, *room.words("--json", video="screen"), more={"DISPLAY": screen.display}) as client,
    ):
        daemon.until("note", text="ready")
        client.until("event", kind="session-live")
        first = recorders.recording(runtime)
        command.liput(room.home, "status")  # what serves the commands of tests takes longer to start than one of them
        on_disk_s = wait_for(lambda: recorded_s(runtime, first))
        screen.hang()  # a screen that does not answer stands for a camera that takes its time
        recorders.kill(first.pid)
        client.until("status", state="idle")  # of the next one
        (following,) = recorders.recorders(runtime)
        assert (following.replaces, following.work) == (first.id, None)
        opening = threading.Timer(opens_after_s, screen.go_on)
        opening.start()
        result = end(room, client, following)
        opening.cancel()
        opening.join()
        assert result["state"] == "sealed", client.seen
        assert client.wait() == 3
        assert "nothing has been recorded" not in client.errors()
    package = room.only_package()
    assert result["package"] == str(package)
    assert float(str(result["duration_s"])) > on_disk_s - 0.1
    assert "the recorder was killed" in (package / "metadata/recording.json").read_text()
