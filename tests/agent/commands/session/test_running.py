"""Commands that talk to a session which runs: the real command line, real recorders, synthetic sources."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.sessions import control
from config.errors import SessionError
from recorder.model.status import SessionState, SessionStatus
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder, running_recorders
from tests.support import command, media, recorders
from tests.support.command import Line, running, until_on_disk
from tests.support.room import Room, frames, program
from tests.support.rtmp_server import NginxRtmp
from tests.support.scripted_session import ServedRecorder
from tests.support.sessions import faults
from tests.support.streams import count, decode
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


def status() -> SessionStatus:
    """Ask the session that runs, without a command."""
    (found,) = running_recorders()
    assert found.status
    return found.status


def until(field: str, at_least: float) -> None:
    wait_for(lambda: getattr(status(), field) >= at_least, what=f"{field} of {at_least}")


def refused(done: "subprocess.CompletedProcess[str]", exit_status: int, message: str) -> None:
    assert done.returncode == exit_status, (done.stdout, done.stderr)
    assert message in done.stderr
    assert done.stderr.count("\n") == 2


def test_from_arming_to_the_package(room: Room) -> None:
    name = arm(room)
    until("pre_roll_s", 1.0)
    assert room.packages() == room.leftovers() == []  # nothing is written before the start
    started = answer(room, "start", "--pre-roll", "1s")
    assert (started["id"], started["state"]) == (name, "live")
    assert answer(room, "start")["id"] == name  # which changes nothing
    refused(liput(room, "disarm"), 1, "the session is live, not armed")
    mark = answer(room, "mark", "Tanya jawab")
    assert (mark["type"], mark["text"]) == ("mark", "Tanya jawab")
    at_s = float(str(mark["media_s"]))
    until("media_time_s", at_s + 0.5)
    assert answer(room, "mute") == {"type": "mute", "name": None, "on": True}
    wait_for(lambda: status().levels_dbfs == [-90.0, -90.0])
    assert answer(room, "mute", "--off") == {"type": "mute", "name": None, "on": False}
    refused(liput(room, "mute", "mik-9"), 2, 'no sound input "mik-9"')
    assert answer(room, "layout", "pause") == {"type": "layout", "name": "pause"}
    assert status().layout == "pause"
    refused(liput(room, "layout", "tidak-ada"), 2, 'no layout "tidak-ada"')
    result = answer(room, "stop")
    assert answer(room, "stop", "--session", name) == result  # which has ended long since
    package = room.only_package()
    assert (result["state"], result["package"], faults(result)) == ("sealed", str(package), [])
    assert result["frames"] == frames(package)
    shown = media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", program(package))
    chapters = json.loads(shown)["chapters"]
    assert chapters[-1]["tags"]["title"] == "Tanya jawab"
    assert float(chapters[-1]["start_time"]) == pytest.approx(at_s, abs=0.01)


def test_a_start_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "START_S", 0.2)
    with ServedRecorder(change=armed) as recorder, pytest.raises(SessionError, match="has not begun to record within"):
        control.start(RunningRecorder(recorder.folder, recorder.info, None), 0.0)


def armed(status: SessionStatus) -> SessionStatus:
    return msgspec.structs.replace(status, state=SessionState.ARMED)


def test_what_is_disarmed_leaves_nothing(room: Room, runtime: Path) -> None:
    arm(room)
    with Terminal(room.home, "status", "--watch") as terminal:
        before = terminal.settings()
        terminal.until(r"keeps \d+ s")
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.settings() == before
        assert [line["state"] for line in statuses(room)] == ["armed"], "whoever watches it leaves it alone"
        assert answer(room, "disarm")["state"] == "idle"
        wait_for(lambda: recorders.recorders(runtime) == [])
    assert room.packages() == room.leftovers() == []


def test_where_several_run_the_likeliest_is_meant_or_it_is_asked_which(room: Room) -> None:
    with ServedRecorder("Satu", armed) as one, ServedRecorder("Dua", armed) as other:
        first, second = one.info.id, other.info.id
        refused(liput(room, "start"), 2, f'2 sessions match: {first} "Satu", {second} "Dua"')
        refused(liput(room, "stop", "--session", "zzz"), 1, "no running session is called zzz")
        assert answer(room, "mark", "Dua saja", "--session", second[:5])["text"] == "Dua saja"
        assert (one.session.calls, other.session.calls) == ([], [("mark", "Dua saja")])
        with ServedRecorder("Tiga") as live:
            assert [line["state"] for line in statuses(room)] == ["armed", "armed", "live"]
            answer(room, "mark", "Tiga saja")
            assert live.session.calls == [("mark", "Tiga saja")], "the one that records"


def test_without_a_session_it_is_said_that_none_runs(room: Room) -> None:
    for words in (("start",), ("disarm",), ("mark", "x"), ("mute",), ("layout", "pause")):
        refused(liput(room, *words), 1, "no session runs")
    assert answer(room, "stop") == {
        "type": "result", "state": "idle", "package": None, "duration_s": 0.0, "frames": 0, "degraded": [],
    }  # fmt: skip
    assert liput(room, "status").stdout == "No session runs.\n"


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
    with running(room.home, *room.words("--json")) as session:
        until_on_disk(session.read(), 0.5)
        (info,) = recorders.recorders(runtime)
        recorders.kill(info.pid)
        assert session.wait() == 1
        assert "the recorder was killed" in str(session.seen[-1]["message"])
    assert f'"Rapat Senat" ({info.id}) was killed; liput recover' in liput(room, "status").stdout
    assert statuses(room) == []
    room.archive.rename(away := room.home / "away")  # its disk is pulled out for a moment
    assert "was killed" in liput(room, "status").stdout
    away.rename(room.archive)
    (folder,) = runtime_directory.killed_recorders()
    assert json.loads(folder.spec.read_bytes())["asked"]["title"] == "Rapat Senat", "whoever goes on with it needs that"
    assert liput(room, "recover", "--archive", room.archive).returncode in {0, 3}
    assert liput(room, "status").stdout == "No session runs.\n"
    (package,) = room.packages()
    assert frames(package) > 0


def test_somebody_may_watch_and_leave_without_ending_it(room: Room) -> None:
    with ServedRecorder() as recorder:
        recorder.tell("session-live")
        with (
            running(room.home, "status", "--watch", "--json") as first,
            running(room.home, "status", "--watch", "--json") as second,
        ):
            first.until("event", kind="session-live")
            first.signal(signal.SIGINT)
            assert first.wait() == 0
            second.until("status")
            assert recorder.session.calls == []
            recorder.end()
            assert second.wait() == 0
            assert second.seen[-1]["type"] == "result"


@pytest.mark.slow
@pytest.mark.server
def test_what_was_recorded_before_is_its_package(room: Room, runtime: Path, tmp_path: Path) -> None:
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
        until("media_time_s", 1.0)
        on_disk_s = status().media_time_s
        screen.hang()  # a screen that does not answer stands for a camera that takes its time
        recorders.kill(first.pid)
        client.until("status", state="idle")  # of the next one
        (following,) = recorders.recorders(runtime)
        assert (following.replaces, following.work) == (first.id, None)
        opening = threading.Timer(2.0, screen.go_on)
        opening.start()
        refused(liput(room, "disarm", "--session", following.id), 1, "not armed")
        client.signal(signal.SIGTERM)
        result = client.until("result")
        opening.join()
        assert result["state"] == "sealed", client.seen
        assert client.wait() == 3
        assert "nothing has been recorded" not in client.errors()
    package = room.only_package()
    assert result["package"] == str(package)
    assert float(str(result["duration_s"])) > on_disk_s - 0.1
    assert "the recorder was killed" in (package / "metadata/recording.json").read_text()


# Destinations, with real servers


SECRET = "gUARDED-w0rd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server


def destinations() -> dict[str, str]:
    """Return the state of each destination of the session that runs, or the reason for which it is not live."""
    told = (one.status.destinations for one in running_recorders() if one.status)
    return {line.name: line.reason or line.state for lines in told for line in lines}


def address_file(room: Room, name: str, url: str) -> Path:
    file = room.home / name
    file.touch(0o600)
    file.write_text(url + "\n")
    return file


@pytest.mark.server
def test_destinations_are_added_restarted_and_removed_while_it_records(room: Room, server: NginxRtmp) -> None:
    url = server.url("").rstrip("/")
    room.configure(f'[destinations.kampus]\nurl = "{url}"\n[destinations.aula]\nurl = "{url}"\n', 'kampus = "salah"\n')
    with running(room.home, *room.words("--json")) as recording:
        recording.until("event", kind="session-live")
        assert destinations() == {}
        assert answer(room, "destination", "add", "kampus") == {
            "type": "destination", "name": "kampus", "change": "added", "note": "",
        }  # fmt: skip
        wait_for(lambda: destinations()["kampus"] == "rejected")
        (line,) = command.lines(liput(room, "destination", "status", "--json").stdout)
        assert '"rejected"' in json.dumps(line["destinations"])
        assert "NOT LIVE since" in liput(room, "destination", "status").stdout
        room.settings.with_name("keys.toml").write_text(f'kampus = "good-{SECRET}"\n')
        answer(room, "destination", "restart", "kampus")
        wait_for(lambda: destinations()["kampus"] == "live")
        address_file(room, "lain.txt", server.url(f"good2-{SECRET}"))
        answer(room, "destination", "add", "@lain.txt")
        wait_for(lambda: destinations()["lain"] == "live")
        refused(liput(room, "destination", "add", "kampus"), 2, '"kampus" is a destination of this session already')
        refused(liput(room, "destination", "add", "tidak-ada"), 2, 'there is no destination "tidak-ada"')
        refused(liput(room, "destination", "add", "aula"), 2, "key")
        refused(liput(room, "destination", "remove", "aula"), 2, '"aula" is no destination of this session')
        refused(liput(room, "destination", "add", f"rtmp://h/live/{SECRET}"), 2, "does not belong on the command line")
        (room.home / "lain.txt").chmod(0o644)
        refused(liput(room, "destination", "add", "@lain.txt"), 2, "must be for its owner alone")
        answer(room, "destination", "remove", "kampus")
        assert destinations() == {"kampus": "removed", "lain": "live"}
        assert "lain: LIVE since" in liput(room, "status").stdout
        until("media_time_s", 1.0)
        assert liput(room, "stop").returncode == 3  # what was not live is said
        recording.wait()
    refused(liput(room, "destination", "add", "kampus"), 1, "no session runs")
    package = room.only_package()
    told = json.loads((package / "metadata/recording.json").read_text())
    assert told["destinations"] == ["kampus", "lain"]
    for received in server.recordings():
        decode(received)
        assert count(received)["video"] > 0
    assert len(server.recordings()) == 2
    kept = b"".join(path.read_bytes() for path in room.archive.rglob("*.json*"))
    assert SECRET.encode() not in kept + repr(recording.seen).encode()


@pytest.mark.server
def test_a_destination_that_was_added_goes_on_after_a_kill_and_one_that_was_removed_does_not(
    room: Room, server: NginxRtmp, runtime: Path, tmp_path: Path
) -> None:
    url, folder = server.url("").rstrip("/"), tmp_path / "hls"
    folder.mkdir()

    def configure(**named: str) -> None:
        room.configure(
            "".join(f'[destinations.{name}]\nurl = "{url}"\n' for name, url in named.items()),
            'kampus = "good1"\nlama = "good2"\n',
        )

    configure(lama=url, web=f"file://{folder}")
    room.archive.mkdir()
    with running(room.home, "serve", "--archive", room.archive, "--json") as daemon:
        daemon.until("note", text="ready")
        with running(room.home, *room.words("--stream", "lama", "--json")) as recording:
            recording.until("event", kind="session-live")
            address_file(room, "berkas.txt", server.url("good3"))
            configure(kampus=url, lama=url, web=f"file://{folder}")  # it is in the settings since the session began
            for words in (("add", "kampus"), ("add", "@berkas.txt"), ("add", "web"), ("remove", "lama")):
                answer(room, "destination", *words)
            streams = dict.fromkeys(("kampus", "berkas", "web"), "live")
            wait_for(lambda: destinations() == {"lama": "removed"} | streams)
            playlist = folder / "live.m3u8"
            wait_for(playlist.exists)
            [first] = recorders.recorders(runtime)
            spec = (runtime / first.id / "spec.json").read_text()
            assert "good" not in spec
            killed = datetime.now(UTC)
            recorders.kill(first.pid)
            wait_for(lambda: any(one.pid != first.pid and one.work for one in recorders.recorders(runtime)))
            wait_for(lambda: destinations() == streams)
            wait_for(lambda: "#EXT-X-DISCONTINUITY\n" in playlist.read_text())
            assert liput(room, "stop").returncode == 3  # what was not live is said
            recording.wait()
    told = json.loads((room.only_package() / "metadata/recording.json").read_text())
    assert told["destinations"] == ["lama", "kampus", "berkas", "web"]
    assert playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    live = [line for line in recording.seen if line.get("kind") == "destination-live"]
    again = {line["subject"] for line in live if datetime.fromisoformat(str(line["at"])) > killed}
    assert again == {*streams}, "who follows the session is told, too"
