"""Ending a session whose recorder was killed, while the one that goes on with it still opens its devices."""

import threading
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from recorder.running.client import send_command
from recorder.running.protocol import StatusCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from tests.support import command, recorders, web
from tests.support.room import Room
from tests.support.waiting import wait_for
from tests.support.xvfb import Xvfb

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
