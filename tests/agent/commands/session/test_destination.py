"""`liput destination`: the real command line, a real recorder, real servers, and kills."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from agent.sessions.receiver import HOST, free_port
from agent.terminal.reporters import destination_text
from recorder.model.status import DestinationLine
from tests.agent.commands.session.test_running import answer, liput, refused, until
from tests.support import command
from tests.support.command import Line, running
from tests.support.processes import children, is_alive
from tests.support.recorders import kill, recorders
from tests.support.room import Room
from tests.support.rtmp_server import NginxRtmp
from tests.support.streams import count, decode
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

SECRET = "gUARDED-w0rd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server


def destinations(room: Room) -> dict[str, Line]:
    (line,) = command.lines(liput(room, "destination", "status", "--json").stdout)
    found = line["destinations"]
    assert isinstance(found, list)
    return {one["name"]: one for one in found}


def is_live(room: Room, name: str) -> bool:
    return destinations(room).get(name, {}).get("state") == "live"


def address_file(room: Room, name: str, url: str) -> Path:
    file = room.home / name
    file.touch(0o600)
    file.write_text(url + "\n")
    return file


def test_they_are_added_restarted_and_removed_while_it_records(room: Room, server: NginxRtmp) -> None:
    url = server.url("").rstrip("/")
    room.configure(f'[destinations.kampus]\nurl = "{url}"\n[destinations.aula]\nurl = "{url}"\n', 'kampus = "salah"\n')
    with running(room.home, *room.words("--json")) as recording:
        recording.until("event", kind="session-live")
        assert destinations(room) == {}
        assert answer(room, "destination", "add", "kampus") == {
            "type": "destination", "name": "kampus", "change": "added", "note": "",
        }  # fmt: skip
        wait_for(lambda: destinations(room)["kampus"]["reason"] == "rejected")
        assert "NOT LIVE since" in liput(room, "destination", "status").stdout
        room.settings.with_name("keys.toml").write_text(f'kampus = "good-{SECRET}"\n')
        answer(room, "destination", "restart", "kampus")
        wait_for(lambda: is_live(room, "kampus"))
        address_file(room, "lain.txt", server.url(f"good2-{SECRET}"))
        answer(room, "destination", "add", "@lain.txt")
        wait_for(lambda: is_live(room, "lain"))
        refused(liput(room, "destination", "add", "kampus"), 2, '"kampus" is a destination of this session already')
        refused(liput(room, "destination", "add", "tidak-ada"), 2, 'there is no destination "tidak-ada"')
        refused(liput(room, "destination", "add", "aula"), 2, "key")
        refused(liput(room, "destination", "remove", "aula"), 2, '"aula" is no destination of this session')
        refused(liput(room, "destination", "add", f"rtmp://h/live/{SECRET}"), 2, "does not belong on the command line")
        (room.home / "lain.txt").chmod(0o644)
        refused(liput(room, "destination", "add", "@lain.txt"), 2, "must be for its owner alone")
        answer(room, "destination", "remove", "kampus")
        assert destinations(room)["kampus"]["state"] == "removed"
        assert is_live(room, "lain")
        assert "lain: LIVE since" in liput(room, "status").stdout
        until(room, "media_time_s", 1.0)
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


def test_what_was_added_goes_on_after_a_kill_and_what_was_removed_does_not(
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
            streams = {"kampus", "berkas", "web"}
            wait_for(lambda: all(is_live(room, name) for name in streams))
            playlist = folder / "live.m3u8"
            wait_for(playlist.exists)
            [first] = recorders(runtime)
            spec = (runtime / first.id / "spec.json").read_text()
            assert "good" not in spec
            killed = datetime.now(UTC)
            kill(first.pid)
            wait_for(lambda: any(one.pid != first.pid and one.work for one in recorders(runtime)))
            wait_for(lambda: set(destinations(room)) == streams)
            wait_for(lambda: all(is_live(room, name) for name in streams))
            wait_for(lambda: "#EXT-X-DISCONTINUITY\n" in playlist.read_text())
            assert liput(room, "stop").returncode == 3  # what was not live is said
            recording.wait()
    told = json.loads((room.only_package() / "metadata/recording.json").read_text())
    assert told["destinations"] == ["lama", "kampus", "berkas", "web"]
    assert playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    took = {
        str(line["subject"]): (datetime.fromisoformat(str(line["at"])) - killed).total_seconds()
        for line in reversed(recording.seen)
        if line.get("kind") == "destination-live" and datetime.fromisoformat(str(line["at"])) > killed
    }
    assert set(took) == streams  # who follows the session is told, too
    assert max(took.values()) < 30, took  # 2 s, on a machine that is busy with much else


@pytest.fixture
def four(room: Room, server: NginxRtmp, tmp_path: Path) -> Iterator[NginxRtmp]:
    """One server that is well and three destinations that fail in different ways; yields the one that is to hang."""
    hung = NginxRtmp(tmp_path / "hung")
    hung.start()
    with socket.create_server((HOST, 0)) as silent:
        addresses = {
            "sehat": server.url("").rstrip("/"),
            "macet": hung.url("").rstrip("/"),
            "diam": f"rtmp://{HOST}:{silent.getsockname()[1]}/live",
            "tutup": f"rtmp://{HOST}:{free_port()}/live",
        }
        room.configure(
            "".join(f'[destinations.{name}]\nurl = "{url}"\n' for name, url in addresses.items()),
            "".join(f'{name} = "good"\n' for name in addresses),
        )
        yield hung
    hung.stop()


STREAMS = ("--stream", "sehat", "--stream", "macet", "--stream", "diam", "--stream", "tutup")


def failing(room: Room, hung: NginxRtmp) -> None:
    """Wait until all four are as they shall be: one live, one live at a server that hangs, and two that are not."""
    wait_for(lambda: is_live(room, "sehat") and is_live(room, "macet"))
    wait_for(lambda: {destinations(room)[name]["reason"] for name in ("diam", "tutup")} == {"timeout", "refused"})
    hung.freeze()


def working(recorder: psutil.Process) -> set[psutil.Process]:
    """Return the connections' processes that have begun to work: one that only starts is not tied to anybody yet."""
    found = set()
    for child in children(of=recorder):
        with contextlib.suppress(OSError):
            if "libav" in Path(f"/proc/{child.pid}/maps").read_text():
                found.add(child)
    return found


def test_a_killed_recorder_leaves_no_child_behind(room: Room, four: NginxRtmp, runtime: Path) -> None:
    with running(room.home, *room.words(*STREAMS, "--json")) as recording:
        recording.until("event", kind="session-live")
        failing(room, four)
        [info] = recorders(runtime)
        recorder = psutil.Process(info.pid)
        wait_for(lambda: len(working(recorder)) >= 2)
        before = working(recorder)
        for child in before:
            child.suspend()  # so that it is not ended by anything it could notice itself
        os.kill(info.pid, 9)
        wait_for(lambda: not any(is_alive(child) for child in before), what="the end of every child")


def test_three_that_fail_in_different_ways_do_not_hold_up_the_end(room: Room, four: NginxRtmp) -> None:
    with running(room.home, *room.words(*STREAMS, "--json")) as recording:
        recording.until("event", kind="session-live")
        failing(room, four)
        assert liput(room, "stop").returncode == 3  # what was not live is said
        recording.wait()
    package = room.only_package()
    log = command.lines((package / "metadata/events.jsonl").read_text())
    at = {(line["kind"], line["subject"]): datetime.fromisoformat(str(line["at"])) for line in log}
    stopped = [when for (kind, _), when in at.items() if kind == "destination-stopped"]
    wished = next(when for (kind, _), when in at.items() if kind == "session-stopping")
    assert len(stopped) == 4
    assert (max(stopped) - wished).total_seconds() < 5


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (DestinationLine(name="a", state="armed"), "a: kept for the start"),
        (DestinationLine(name="a", state="live", backlog_s=0.4), "a: LIVE"),
        (
            DestinationLine(
                name="a", state="live", reason="too-slow", message="too slow", backlog_s=5.51, dropped=70, reconnects=1
            ),
            "a: LIVE, but TOO SLOW; too slow; 5.5 s behind; 70 frames dropped; connected again once",
        ),
        (
            DestinationLine(name="a", state="waiting", reason="refused", message="nobody listens", reconnects=2),
            "a: NOT LIVE, trying again; nobody listens; connected again 2 times",
        ),
        (DestinationLine(name="a", state="listening"), "a: waits for somebody to call"),
        (DestinationLine(name="a", state="removed", dropped=3), "a: removed; 3 frames dropped"),
    ],
)
def test_each_is_said_in_plain_words(line: DestinationLine, text: str) -> None:
    assert destination_text(line) == text
