"""`liput record` to destinations: what reaches a server, how one that fails is told, and that no secret is seen."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest

from agent.sessions.receiver import HOST
from tests.support import command, media
from tests.support.command import Line, check_lines, running, until_on_disk
from tests.support.recorders import recorders
from tests.support.room import FPS, Room, frames
from tests.support.rtmp_server import NginxRtmp
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.streams import count, decode
from tests.support.waiting import wait_for


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server


@pytest.mark.server
def test_ctrl_c_ends_the_stream_in_order_too(room: Room, nginx: NginxRtmp) -> None:
    address = room.home / "kampus"
    address.touch(0o600)
    address.write_text(nginx.url("good-key"))
    with running(room.home, *room.words("--json", "--stream", f"@{address}")) as session:
        session.until("event", kind="destination-live", subject="kampus")
        until_on_disk(session.read(), 1.5)
        session.interrupt_everything()
        assert session.wait() == 0, session.seen
        check_lines(session.seen)
    sent = session.seen[-1]["frames"]
    assert frames(room.only_package()) == sent
    wait_for(lambda: len(nginx.recordings()) == 1)
    nginx.stop()
    (received,) = nginx.recordings()
    media.decodes_cleanly(received)
    # The server starts with the first keyframe, and every picture after that has come.
    assert media.decoded(received, "v").frames == sent


SECRETS = (
    "bad-3f2a91c0-rahasia", "refused-77aa-rahasia", "nohost-90ab-rahasia", "good-51cd-rahasia", "login-a2c4-rahasia",
    "sandi-e8b1-rahasia", "aula-06dd-rahasia", "sandi-tambah-rahasia", "aula-tambah-rahasia",
)  # fmt: skip


def everything_readable_about_processes() -> bytes:
    """Return the command line and environment of every process of this machine."""
    text = bytearray()
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ", "comm"):
            try:
                text += (process / name).read_bytes()
            except OSError:
                continue  # gone, or not ours
    return bytes(text)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def configure_destinations(room: Room, nginx: NginxRtmp) -> None:
    """Write settings, keys and files of addresses: destinations that fail, each in its way, and one that does not."""
    wrong, refused, unknown, good, password, passphrase, stream_id, added_passphrase, added_stream_id = SECRETS
    room.configure(
        f"""
[destinations.wrong]
url = "rtmp://127.0.0.1:{nginx.port}/live"
[destinations.refused]
url = "rtmp://127.0.0.1:1/live"
[destinations.unknown]
url = "rtmp://streaming.liput.invalid/live"
[destinations.srt]
url = "srt://127.0.0.1:{free_udp_port()}"
""",
        keys=f'wrong = "{wrong}"\nrefused = "{refused}"\nunknown = "{unknown}"\n'
        f'srt = {{ passphrase = "{passphrase}", stream_id = "{stream_id}" }}\n',
    )
    for name, url in {
        "kampus.txt": nginx.url(good).replace("//", f"//liput:{password}@"),
        "lain.txt": f"srt://lain.liput.invalid:9?passphrase={added_passphrase}&streamid={added_stream_id}",
    }.items():
        (room.home / name).touch(0o600)
        (room.home / name).write_text(url)


@pytest.mark.server
def test_each_destination_that_fails_says_how_while_everything_else_goes_on(room: Room, nginx: NginxRtmp) -> None:
    configure_destinations(room, nginx)
    failing = ("wrong", "refused", "unknown", "srt")
    streams = [word for name in (*failing, "@kampus.txt") for word in ("--stream", name)]
    with running(room.home, *room.words("--json", *streams)) as session:
        session.until("event", kind="session-live")  # a status may be degraded from the first
        assert command.liput(room.home, "destination", "add", "@lain.txt").returncode == 0
        expected = {"wrong": "rejected", "refused": "refused", "unknown": "unknown-host", "kampus": None}
        expected |= {"srt": "refused", "lain": "unknown-host"}
        for line in session.read():
            if line["type"] == "status" and reasons(line) == expected and float(str(line["media_time_s"])) > 2:
                break
        (recorder,) = recorders(session.runtime)
        for pid in (session.pid, recorder.pid):
            assert psutil.Process(pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)
        seen_of_processes = everything_readable_about_processes()
        kept = everything_in(session.runtime)
        assert states(line) | {"kampus": "live"} == states(line)
        assert {states(line)[name] for name in (*failing, "lain")} <= {"waiting", "connecting"}
        session.signal(signal.SIGTERM)
        status = session.wait()
        errors = session.errors()
        check_lines(session.seen)

    assert status == 3
    result = session.seen[-1]
    assert sorted(result["degraded"]) == [f"destination-lost: {name}" for name in sorted((*failing, "lain"))]  # type: ignore[call-overload] # a list, as was checked
    lost = [line for line in session.seen if line.get("kind") == "destination-lost"]
    assert {line["subject"]: line["detail"]["reason"] for line in lost} | {"kampus": None} == expected  # type: ignore[index] # an object, as was checked
    package = room.only_package()
    assert result["frames"] == frames(package)
    (ended,) = [line for line in session.seen if line.get("kind") == "session-ended"]
    assert result["frames"] == pytest.approx(float(ended["detail"]["media_time_s"]) * FPS, abs=2)  # type: ignore[index] # an object, as was checked

    said = json.dumps(session.seen) + errors
    assert b'"@kampus.txt"' in kept, "the recorder's own folder"
    kept += everything_in(package) + everything_in(session.runtime) + everything_in(room.home / ".local")
    for secret in SECRETS:
        assert secret not in said
        assert secret.encode() not in kept
        assert secret.encode() not in seen_of_processes


def reasons(status: Line) -> dict[str, object]:
    assert isinstance(status["destinations"], list)
    return {line["name"]: line["reason"] for line in status["destinations"]}


def states(status: Line) -> dict[str, object]:
    assert isinstance(status["destinations"], list)
    return {line["name"]: line["state"] for line in status["destinations"]}


def test_an_address_may_come_from_standard_input(room: Room) -> None:
    words = room.words("--json", "--for", "1s", "--stream", "@-")
    done = subprocess.run(
        [*command.LIPUT, *map(str, words)], input="rtmp://127.0.0.1:1/live/rahasia-sekali\n", text=True,
        env=command.environment(room.home), cwd=room.home, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert command.lines(done.stdout)[-1]["degraded"] == ["destination-lost: stdin"]
    assert "rahasia" not in done.stdout + done.stderr


def test_a_destination_that_has_not_answered_when_the_recording_ends_is_missed(room: Room) -> None:
    address = room.home / "diam"
    address.touch(0o600)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address.write_text(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/kunci")
        done = room.record("--for", "1s", "--stream", f"@{address}")
    assert (done.status, done.result["degraded"]) == (3, ["destination-lost: diam"])
    (lost,) = [line for line in command.of_type(done.lines, "event") if line["kind"] == "destination-lost"]
    assert lost["detail"] == {"reason": "not-yet", "detail": "", "live_s": 0.0}
    recording = json.loads((room.only_package() / "metadata/recording.json").read_text())
    assert recording["degraded"] == ["destination-lost: diam"]


WORD = "kata-sandi-panjang"


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[SrtPeer]:
    peer = SrtPeer(tmp_path / "relay.ts", free_udp_port(), "listener", f"passphrase={WORD}")
    peer.start()
    yield peer
    peer.stop(SIGKILL)


def test_a_session_goes_to_srt_and_to_a_folder(room: Room, peer: SrtPeer, tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    room.configure(
        f'[destinations.relay]\nurl = "srt://{HOST}:{peer.port}"\nlatency_s = "200ms"\n'
        f'[destinations.web]\nurl = "file://{web}"\n',
        keys=f'relay = {{ passphrase = "{WORD}", stream_id = "aula-utama" }}\n',
    )
    done = room.record("--for", "6s", "--stream", "relay", "--stream", "web")
    check_lines(done.lines)
    assert (done.status, done.result["degraded"]) == (0, [])
    assert frames(room.only_package()) == 6 * FPS
    wait_for(lambda: not peer.is_running(), what="the end that the peer was told of")
    for received in (peer.file, web / "live.m3u8"):
        decode(received)
        assert count(received)["video"] == 6 * FPS
    said = repr(done.lines) + done.errors + repr([path.read_bytes() for path in room.archive.rglob("*.json*")])
    assert WORD not in said
    assert "aula-utama" not in said
