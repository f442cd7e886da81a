"""`liput record` as scripts and people use it: the real command, in a process of its own."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from agent.sessions.receiver import HOST
from capture.compose.cards import draw_slate
from capture.source import ColorMatrix
from capture.sources.worker import OutageKind
from config.locale.lookup import picture_text
from devices.host.priority import NICE, REALTIME, SOUND_NICE
from devices.model.device import Device, DeviceKind
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support import command, media
from tests.support.command import Line, check_lines, running, until_on_disk
from tests.support.recorders import recorders
from tests.support.room import FPS, Room, frames, program
from tests.support.rtmp_server import NginxRtmp
from tests.support.sessions import faults
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.streams import count, decode
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for


def test_every_line_is_what_the_contract_says(room: Room) -> None:
    done = room.record("--for", "2s")
    check_lines(done.lines)
    assert done.status == 0
    kinds = [line["kind"] for line in done.of("event") if line["kind"] != "frames-dropped"]
    assert kinds == ["priority-granted", "session-live", "session-ended"]
    granted = done.of("event")[0]["detail"]
    assert isinstance(granted, dict)
    assert granted.keys() - {"hint"} == {"nice", "group_nice", "realtime", "oom_score_adj", "asked"}
    assert ("hint" in granted) is ((granted["nice"], granted["realtime"]) != (NICE, REALTIME))
    elapsed = [float(str(line["elapsed_s"])) for line in done.of("status")]
    assert len(elapsed) >= 2
    assert elapsed == sorted(elapsed)
    assert len(done.of("status")[-1]["levels_dbfs"]) == 2  # type: ignore[arg-type] # a list, as was checked
    package = room.only_package()
    assert done.result | {"degraded": faults(done.result)} == {
        "type": "result", "state": "sealed", "package": str(package), "duration_s": 2.0, "frames": 2 * FPS,
        "degraded": [], "packages": [str(package)],
    }  # fmt: skip
    assert frames(package) == 2 * FPS
    events = command.lines((package / "metadata/events.jsonl").read_text())
    assert events == done.of("event")


def niceness(recorder: psutil.Process) -> Counter[int]:
    """Return how many of its threads have which niceness."""
    found: Counter[int] = Counter()
    for thread in recorder.threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            found[os.getpriority(os.PRIO_PROCESS, thread.id)] += 1
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="only root may be less nice than is usual")
def test_the_sound_goes_before_the_picture(room: Room) -> None:
    as_usual = ("nice", "-n", str(-os.getpriority(os.PRIO_PROCESS, 0)))  # whoever is nicer asks for nothing
    with running(room.home, *room.words("--json"), enter=as_usual) as session:
        session.until("event", kind="session-live")
        (recorder,) = psutil.Process(session.pid).children()
        wait_for(lambda: niceness(recorder)[SOUND_NICE] >= 2)  # the threads that read the sound and encode it
        nice = niceness(recorder)
        session.signal(signal.SIGINT)
        session.wait()
    assert min(nice) == SOUND_NICE
    assert nice[NICE] > 4


def test_a_signal_ends_it_in_order_and_more_of_them_lose_nothing(room: Room) -> None:
    with running(room.home, *room.words("--json")) as session:
        until_on_disk(session.read(), 0.3)
        session.signal(signal.SIGQUIT)
        session.interrupt_everything()
        session.until("event", kind="session-ended")
        session.interrupt_everything()
        session.signal(signal.SIGTERM)
        assert session.wait() == 0, session.seen
        check_lines(session.seen)
        assert faults(session.seen[-1]) == []
        assert "Still closing" in session.errors()
    assert frames(room.only_package()) == session.seen[-1]["frames"]


def test_whoever_reads_it_may_go_away(room: Room) -> None:
    with running(room.home, *room.words("--json")) as session:
        until_on_disk(session.read(), 0.3)
        session.close_output()
        (growing,) = room.archive.glob(".incoming/*/data/media/program.mp4")
        size = growing.stat().st_size
        wait_for(lambda: growing.stat().st_size > size + 20_000)
        session.signal(signal.SIGINT)
        assert session.wait_for_exit() == 0
    assert frames(room.only_package()) > FPS


def test_whoever_reads_it_may_fall_asleep(room: Room) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        session.fill_output()
        session.signal(signal.SIGTERM)
        wait_for(lambda: list(room.archive.glob("2*/*/*/bagit.txt")))
        assert session.wait() == 0, (session.errors(), session.seen)
    assert frames(room.only_package()) > FPS


def test_a_key_ends_it_and_the_terminal_is_as_before(room: Room) -> None:
    with Terminal(room.home, *room.words()) as terminal:
        before = terminal.settings()
        terminal.until("LIVE")
        assert terminal.settings() != before
        terminal.press("x\x1a")
        terminal.until("cannot be paused")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.settings() == before
        text = terminal.text
    package = room.only_package()
    assert f"Package: {package}" in text.splitlines()[-1]
    assert "Ending" in text
    assert frames(package) >= FPS


def test_without_a_terminal_there_are_plain_lines(room: Room) -> None:
    done = command.liput(room.home, *room.words("--for", "1s"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].endswith("Recording.")
    assert lines[-2:] == [f"Recorded 0:00:01, {FPS} frames.", f"Package: {room.only_package()}"]


def test_a_file_ends_it_and_is_recorded_as_fast_as_it_goes(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "kuliah umum.mkv"
    media.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=320x240:r={FPS}:d=20", "-f", "lavfi",
              "-i", "sine=d=20:r=48000", "-c:a", "flac", path)  # fmt: skip
    done = room.record("--pace", "fast", video=path)
    assert (done.status, done.result["frames"], done.result["degraded"]) == (0, 20 * FPS, [])
    _, began, ended = (datetime.fromisoformat(str(line["at"])) for line in done.of("event"))
    assert (ended - began).total_seconds() < 20
    package = room.only_package()
    assert frames(package) == 20 * FPS
    assert media.decoded(program(package), "a").end_s == pytest.approx(20, abs=0.025)


def test_who_sits_at_the_terminal_is_asked_whether_to_begin_without_what_is_missing(room: Room) -> None:
    words = room.words("--audio", "synthetic", video="no-such-camera")
    with Terminal(room.home, *words) as terminal:
        terminal.until("no-such-camera")
        terminal.until("Begin without")
        terminal.press("n\n")
        assert terminal.wait() == 1
    assert not room.archive.exists()
    with Terminal(room.home, *words) as terminal:
        terminal.until("Begin without")
        terminal.press("y\n")
        terminal.until("DEGRADED")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 3
        assert "source-missing: no-such-camera" in terminal.text


FILM = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=2", "-g", "10")


def shown(path: Path) -> list[tuple[float, str]]:
    """Return when each picture of a file is shown, and the checksum of what it decodes to."""
    words = ("ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough")
    done = subprocess.run(
        (*words, "-enc_time_base", "1:1000", "-f", "framemd5", "-"), capture_output=True, check=True, text=True
    )
    rows = [line.replace(" ", "").split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    return [(int(row[2]) / 1000, row[5]) for row in rows]


@pytest.mark.parametrize(
    ("pace", "name", "codec"),
    [
        ("real", "b-frames.mp4", ("-c:v", "libx264", "-bf", "3")),
        ("fast", "camera.ts", ("-c:v", "libx264", "-tune", "zerolatency")),
        ("fast", "hevc.mp4", ("-c:v", "libx265", "-x265-params", "log-level=error")),
        ("fast", "mjpeg.avi", ("-c:v", "mjpeg")),
    ],
)
def test_a_film_is_recorded_apart_as_it_is_in_its_file(
    room: Room, pace: str, name: str, codec: tuple[str, ...]
) -> None:
    film = room.home / name
    subprocess.run(
        ("ffmpeg", "-v", "error", *FILM, *codec, "-pix_fmt", "yuvj420p" if "mjpeg" in codec else "yuv420p", str(film)),
        check=True,
    )
    done = room.record("--audio", "none", "--isolate", "--pace", pace, video=film)
    assert done.status == 0, done.errors
    assert [line for line in done.lines if line["type"] == "event" and str(line["kind"]).startswith("isolated-")] == []
    (apart,) = (room.only_package() / "data/media").glob("*.mkv")
    media.decodes_cleanly(apart)
    was, there = shown(film), shown(apart)
    assert [checksum for _, checksum in there] == [checksum for _, checksum in was]
    assert [at for at, _ in there] == pytest.approx([at - was[0][0] for at, _ in was], abs=0.002)


PODIUM = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam", vid="046d", pid="0825", serial="CAM1", port="1-1"
)
MICROPHONE = Device(
    id="0d8c:0134:MIC1", kind=DeviceKind.MICROPHONE, name="Desk", vid="0d8c", pid="0134", serial="MIC1", port="1-3"
)


@pytest.fixture
def state(room: Room, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Give roles to a camera and a microphone that are not plugged in; return what says where that stands."""
    monkeypatch.setenv("LIPUT_STATE", str(room.home / "state"))
    at = datetime(2026, 11, 25, tzinfo=UTC)
    roles_store().change(lambda _: {"podium": binding_of(PODIUM, at), "microphone": binding_of(MICROPHONE, at)})
    return {"LIPUT_STATE": str(room.home / "state")}


def words(room: Room, *more: str) -> list[str | Path]:
    return ["record", "--title", "Rapat", "--archive", room.archive, "--consent", "not-asked", *more]


def test_what_has_a_role_and_is_missing_costs_no_recording(room: Room, state: Mapping[str, str]) -> None:
    done = command.liput(room.home, *words(room, "--for", "2s", "--json"), more=state)
    assert done.returncode == 3, done.stderr
    lines = command.lines(done.stdout)
    told = [str(line["message"]) for line in command.of_type(lines, "event") if line["kind"] == "source-missing"]
    assert sorted(told) == [
        "A slate stands for podium: podium (Webcam) is missing: it is not plugged in (it was in port 1-1)",
        "Silence stands for microphone: microphone (Desk) is missing: it is not plugged in (it was in port 1-3)",
    ]
    assert sorted(lines[-1]["degraded"]) == ["source-missing: microphone", "source-missing: podium"]  # type: ignore[call-overload] # a list
    assert media.decoded(program(room.only_package()), "a").end_s == pytest.approx(2, abs=0.1)


def test_what_was_named_is_needed(room: Room, state: Mapping[str, str]) -> None:
    named = words(room, "--video", "podium", "--for", "1s")
    done = command.liput(room.home, *named, more=state)
    assert done.returncode == 1
    assert "podium (Webcam) is missing" in done.stderr
    assert not room.archive.exists()
    assert command.liput(room.home, *named, "--allow-missing", more=state).returncode == 3


def test_nobody_is_asked_about_what_nobody_named(room: Room, state: Mapping[str, str]) -> None:
    with Terminal(room.home, *words(room), more=state) as terminal:
        terminal.until("! A slate stands for podium")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 3
        assert "Begin without" not in terminal.text


# Destinations: what reaches a server, how one that fails is told, and that no secret is seen


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server


SECRETS = (
    "bad-3f2a91c0-rahasia", "refused-77aa-rahasia", "nohost-90ab-rahasia", "good-51cd-rahasia", "login-a2c4-rahasia",
    "sandi-e8b1-rahasia", "aula-06dd-rahasia", "sandi-tambah-rahasia", "aula-tambah-rahasia",
)  # fmt: skip


def everything_readable_about_processes() -> bytes:
    """Return the command line and environment of every process of this machine."""
    text = bytearray()
    for name in ("cmdline", "environ", "comm"):
        for file in Path("/proc").glob(f"[0-9]*/{name}"):
            with suppress(OSError):  # it is gone, or not ours
                text += file.read_bytes()
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
            if line["type"] == "status" and told_of(line, "reason") == expected and line["media_time_s"] > 2:  # type: ignore[operator] # seconds
                break
        (recorder,) = recorders(session.runtime)
        for pid in (session.pid, recorder.pid):
            assert psutil.Process(pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)
        seen_of_processes = everything_readable_about_processes()
        kept = everything_in(session.runtime)
        states = told_of(line, "state")
        assert states.pop("kampus") == "live"
        assert {*states.values()} <= {"waiting", "connecting"}
        session.signal(signal.SIGTERM)
        status = session.wait()
        errors = session.errors()
        check_lines(session.seen)

    assert status == 3
    result = session.seen[-1]
    assert sorted(faults(result)) == [f"destination-lost: {name}" for name in sorted((*failing, "lain"))]
    lost = [line for line in session.seen if line.get("kind") == "destination-lost"]
    assert {line["subject"]: line["detail"]["reason"] for line in lost} | {"kampus": None} == expected  # type: ignore[index] # an object, as was checked
    package = room.only_package()
    assert result["frames"] == frames(package)
    wait_for(nginx.recordings)
    nginx.stop()
    (received,) = nginx.recordings()
    media.decodes_cleanly(received)
    assert media.decoded(received, "v").frames == result["frames"]  # it begins with the first keyframe

    said = json.dumps(session.seen) + errors
    assert b'"@kampus.txt"' in kept, "the recorder's own folder"
    kept += everything_in(package) + everything_in(session.runtime) + everything_in(room.home / ".local")
    for secret in SECRETS:
        assert secret not in said
        assert secret.encode() not in kept
        assert secret.encode() not in seen_of_processes


def told_of(status: Line, field: str) -> dict[str, object]:
    """Return a field of each destination, by name."""
    assert isinstance(status["destinations"], list)
    return {line["name"]: line[field] for line in status["destinations"]}


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[SrtPeer]:
    peer = SrtPeer(tmp_path / "relay.ts", free_udp_port(), "listener", "passphrase=kata-sandi-panjang")
    peer.start()
    yield peer
    peer.stop(SIGKILL)


def test_a_session_goes_to_srt_and_to_a_folder(room: Room, peer: SrtPeer, tmp_path: Path) -> None:
    (web := tmp_path / "web").mkdir()
    room.configure(
        f'[destinations.relay]\nurl = "srt://{HOST}:{peer.port}"\nlatency_s = "200ms"\n'
        f'[destinations.web]\nurl = "file://{web}"\n',
        keys='relay = { passphrase = "kata-sandi-panjang", stream_id = "aula-utama" }\n',
    )
    done = room.record("--for", "2s", "--stream", "relay", "--stream", "web")
    check_lines(done.lines)
    assert (done.status, faults(done.result)) == (0, [])
    assert frames(room.only_package()) == 2 * FPS
    wait_for(lambda: not peer.is_running(), what="the end that the peer was told of")
    for received in (peer.file, web / "live.m3u8"):
        decode(received)
        assert count(received)["video"] == 2 * FPS
    said = repr(done.lines) + done.errors + repr([path.read_bytes() for path in room.archive.rglob("*.json*")])
    assert "kata-sandi-panjang" not in said
    assert "aula-utama" not in said


# The recorded picture: a layout, the title line, a logo, the language of a slate

WIDTH, HEIGHT = 320, 240

type Pictures = NDArray[np.int16]
"""Shape (pictures, height, width, 3), RGB."""


def pictures(path: Path) -> Pictures:
    """Return every picture of a recording, as ffmpeg decodes it."""
    words: list[str | Path] = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(words, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3).astype(np.int16)


def colour_at(whole: Pictures, x: float, y: float) -> str:
    """Return which colour a place has in every picture; x and y are parts of the width and the height."""
    column, row = round(x * WIDTH), round(y * HEIGHT)
    red, green, blue = (int(level) for level in whole[:, row - 2 : row + 3, column - 2 : column + 3].mean((0, 1, 2)))
    assert whole[:, row - 2 : row + 3, column - 2 : column + 3].std((0, 1, 2)).max() < 12, "it is one colour"
    strong = max(red, green, blue)
    return {red: "red", green: "green", blue: "blue"}[strong]


def test_a_picture_in_picture_with_title_line_and_logo_is_what_is_in_the_archive(room: Room, tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        media.run(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"color={colour}:s=320x240:r=15:d=1", "-pix_fmt", "yuv420p",
            tmp_path / f"{colour}.mp4",
        )  # fmt: skip
    Image.new("RGBA", (48, 48), (0, 255, 0, 255)).save(tmp_path / "logo.png")
    logo = f'logo = "{tmp_path / "logo.png"}"\nlogo_corner = "top-left"\n'
    room.configure(f'[program]\nlayout = "pip"\ntitle_line = true\n{logo}')
    films = ("--video", tmp_path / "blue.mp4")
    done = room.record("--audio", "none", "--pace", "fast", *films, video=tmp_path / "red.mp4")
    assert (done.status, done.result["degraded"]) == (0, []), done.errors
    whole = pictures(program(room.only_package()))
    assert len(whole) == 15
    assert colour_at(whole, 0.055, 0.09) == "green"
    band = whole[:, round(0.88 * HEIGHT) : round(0.95 * HEIGHT), round(0.04 * WIDTH) : round(0.3 * WIDTH)]
    assert (band.min(axis=3) > 180).mean(axis=(1, 2)).min() > 0.03, "letters"
    assert (band.max(axis=3) < 120).mean(axis=(1, 2)).min() > 0.3, "on a dark band"
    assert colour_at(whole, 0.5, 0.5) == "red"
    assert colour_at(whole, 0.85, 0.85) == "blue"
    assert colour_at(whole, 0.69, 0.85) == "red"
    assert colour_at(whole, 0.85, 0.68) == "red"


def test_a_slate_is_in_the_language_of_the_settings(room: Room) -> None:
    room.configure('[general]\nlanguage = "en"\n')
    done = room.record("--audio", "none", "--allow-missing", "--for", "1s", video="podium")
    assert done.status == 3, done.errors
    whole = pictures(program(room.only_package()))
    assert len(whole) >= 12

    def distance(drawn_in: str) -> float:
        drawn = draw_slate(
            WIDTH, HEIGHT, name="podium", reason=picture_text(OutageKind.MISSING, drawn_in), matrix=ColorMatrix.BT601
        )
        return float(np.abs(whole - drawn.to_ndarray(format="rgb24").astype(np.int16)).mean(axis=(1, 2, 3)).max())

    assert distance("en") < 4
    assert distance("en") < distance("id") / 2
