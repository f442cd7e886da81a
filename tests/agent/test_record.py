"""`liput record` as scripts and people use it: the real command, in a process of its own."""

import itertools
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from devices.priority import NICE, REALTIME, SOUND_NICE
from tests.support import command, media
from tests.support.command import Line, running
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.recorders import recorders
from tests.support.room import FPS, Room, frames, program
from tests.support.srt_peer import free_udp_port
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

STATES = {"idle", "armed", "live", "degraded", "sealing", "sealed", "failed"}
DESTINATION_STATES = {"armed", "connecting", "listening", "live", "waiting", "stopped", "removed"}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_status(line: Line) -> None:
    """Fail unless a status line is what docs/reference/cli.md promises."""
    assert line["state"] in STATES
    assert all(is_number(line[name]) for name in ("elapsed_s", "media_time_s", "fps"))
    assert all(is_count(line[name]) for name in ("bytes", "frames", "dropped", "repeated"))
    assert line["disk_left_s"] is None or is_number(line["disk_left_s"])
    assert isinstance(line["levels_dbfs"], list)
    assert all(is_number(level) and level <= 0 for level in line["levels_dbfs"])
    loudness = line["loudness"]
    assert isinstance(loudness, dict)
    assert set(loudness) == {"momentary_lufs", "short_term_lufs", "integrated_lufs", "range_lu"}
    assert all(value is None or is_number(value) for value in loudness.values())
    assert isinstance(line["destinations"], list)
    for destination in line["destinations"]:
        assert isinstance(destination["name"], str)
        assert destination["state"] in DESTINATION_STATES
        assert destination["reason"] is None or isinstance(destination["reason"], str)
        assert is_count(destination["dropped"])
        assert is_count(destination["reconnects"])


def check_event(line: Line) -> None:
    at = datetime.fromisoformat(str(line["at"]))
    assert at.tzinfo is not None
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", str(line["kind"]))
    assert isinstance(line["subject"], str)
    assert isinstance(line["detail"], dict)
    assert isinstance(line["message"], str)
    assert line["message"]


def check_lines(lines: list[Line]) -> None:
    """Fail unless every line is what the contract says, and the result is the last."""
    for line in lines:
        match line["type"]:
            case "status":
                check_status(line)
            case "event":
                check_event(line)
            case "result":
                assert line["state"] in {"sealed", "failed"}
                assert isinstance(line["package"], str)
                assert is_number(line["duration_s"])
                assert is_count(line["frames"])
                assert isinstance(line["degraded"], list)
            case other:
                raise AssertionError(other)
    assert [line["type"] for line in lines].count("result") == 1
    assert lines[-1]["type"] == "result"


def test_every_line_is_what_the_contract_says(room: Room) -> None:
    done = room.record("--for", "3s")
    check_lines(done.lines)
    assert done.status == 0
    assert [line["kind"] for line in done.of("event")] == ["priority-granted", "session-live", "session-ended"]
    granted = done.of("event")[0]["detail"]
    assert isinstance(granted, dict)
    assert granted.keys() - {"hint"} == {"nice", "group_nice", "realtime", "oom_score_adj", "asked"}
    assert ("hint" in granted) is ((granted["nice"], granted["realtime"]) != (NICE, REALTIME))
    elapsed = [0.0, *(float(str(line["elapsed_s"])) for line in done.of("status"))]
    assert max(after - before for before, after in itertools.pairwise(elapsed)) < 1.0
    assert 3.0 - elapsed[-1] < 1.0
    assert len(done.of("status")[-1]["levels_dbfs"]) == 2  # type: ignore[arg-type] # a list, as was checked
    package = room.only_package()
    assert done.result == {
        "type": "result", "state": "sealed", "package": str(package), "duration_s": 3.0, "frames": 3 * FPS,
        "degraded": [],
    }  # fmt: skip
    assert frames(package) == 3 * FPS
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


def test_what_the_status_says_is_on_disk_is_on_disk(room: Room, tmp_path: Path) -> None:
    checked = 0
    with running(room.home, *room.words("--json")) as session:
        for line in session.read():
            if checked == 4 or line["type"] != "status" or line["state"] != "live" or not line["media_time_s"]:
                continue
            (growing,) = room.archive.glob(".incoming/*/data/media/program.mp4")
            whole = shutil.copyfile(growing, tmp_path / "copy.mp4").stat().st_size
            promised, until_s = int(str(line["bytes"])), float(str(line["media_time_s"]))
            assert promised <= whole
            # What it promises plays without what may have come after it.
            os.truncate(tmp_path / "copy.mp4", promised)
            assert media.decoded(tmp_path / "copy.mp4", "v").end_s >= until_s - 0.001
            assert media.decoded(tmp_path / "copy.mp4", "a").end_s >= until_s - 0.025
            checked += 1
            if checked == 4:
                session.signal(signal.SIGINT)
        assert session.wait() == 0, session.seen
    assert checked == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_ends_it_in_order(room: Room, number: signal.Signals) -> None:
    with running(room.home, *room.words("--json")) as session:
        until_on_disk(session.read(), 0.5)
        session.signal(number)
        assert session.wait() == 0, session.seen
        check_lines(session.seen)
        result = session.seen[-1]
    package = room.only_package()
    assert (result["package"], result["degraded"]) == (str(package), [])
    assert result["frames"] == frames(package) > FPS // 2


def until_on_disk(lines: Iterator[Line], seconds: float) -> None:
    """Read until so much is on disk."""
    assert any(line["type"] == "status" and float(str(line["media_time_s"])) >= seconds for line in lines)


def test_more_signals_while_it_closes_lose_nothing(room: Room) -> None:
    with running(room.home, *room.words("--json")) as session:
        until_on_disk(session.read(), 0.3)
        session.interrupt_everything()
        session.interrupt_everything()
        session.until("event", kind="session-ended")
        session.interrupt_everything()
        session.signal(signal.SIGTERM)
        assert session.wait() == 0, session.seen
        assert session.seen[-1]["degraded"] == []
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
        terminal.press("x")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.settings() == before
        text = terminal.text
    package = room.only_package()
    assert f"Package: {package}" in text.splitlines()[-1]
    assert "Ending" in text
    assert frames(package) >= FPS


def test_ctrl_c_on_a_terminal_ends_it_in_order(room: Room) -> None:
    with Terminal(room.home, *room.words()) as terminal:
        before = terminal.settings()
        terminal.until("LIVE")
        terminal.press("\x03")
        assert terminal.wait() == 0
        assert terminal.settings() == before
    assert frames(room.only_package()) > 0


def test_ctrl_z_does_not_stop_the_recording(room: Room) -> None:
    with Terminal(room.home, *room.words()) as terminal:
        terminal.until("LIVE")
        terminal.press("\x1a")
        terminal.until("cannot be paused")
        terminal.press("q")
        assert terminal.wait() == 0
    assert frames(room.only_package()) > 0


def test_without_a_terminal_there_are_plain_lines(room: Room) -> None:
    done = command.liput(room.home, *room.words("--for", "1s"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].endswith("Recording.")
    assert lines[-2:] == [f"Recorded 0:00:01, {FPS} pictures.", f"Package: {room.only_package()}"]


def test_as_fast_as_it_goes(room: Room) -> None:
    done = room.record("--for", "1m", "--pace", "fast")
    assert done.status == 0
    assert (done.result["frames"], done.result["duration_s"]) == (60 * FPS, 60.0)
    _, began, ended = (datetime.fromisoformat(str(line["at"])) for line in done.of("event"))
    assert (ended - began).total_seconds() < 30
    assert frames(room.only_package()) == 60 * FPS


@pytest.mark.parametrize("pace", ["fast", "real"])
def test_a_file_ends_it(room: Room, tmp_path: Path, pace: str) -> None:
    path = tmp_path / "kuliah umum.mkv"
    media.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=320x240:r={FPS}:d=2", "-f", "lavfi",
              "-i", "sine=d=2:r=48000", "-c:a", "flac", path)  # fmt: skip
    done = room.record("--pace", pace, video=path)
    assert (done.status, done.result["frames"], done.result["degraded"]) == (0, 2 * FPS, [])
    package = room.only_package()
    assert frames(package) == 2 * FPS
    assert media.decoded(program(package), "a").end_s == pytest.approx(2, abs=0.025)


def test_without_sound(room: Room) -> None:
    done = room.record("--for", "1s", "--pace", "fast", "--audio", "none")
    assert done.status == 0
    assert all(line["levels_dbfs"] == [] for line in done.of("status"))
    kinds = media.run("ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0",
                      program(room.only_package()))  # fmt: skip
    assert kinds.split() == ["video"]


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


@pytest.mark.server
def test_each_destination_that_fails_says_how_while_everything_else_goes_on(room: Room, nginx: NginxRtmp) -> None:
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


def test_who_sits_at_the_terminal_is_asked_whether_to_begin_without_what_is_missing(room: Room) -> None:
    words = room.words("--audio", "synthetic", video="no-such-camera")
    with Terminal(room.home, *words) as terminal:
        terminal.until("no-such-camera")
        terminal.until("Begin without it")
        terminal.press("n\n")
        assert terminal.wait() == 1
    assert not room.archive.exists()
    with Terminal(room.home, *words) as terminal:
        terminal.until("Begin without it")
        terminal.press("y\n")
        terminal.until("DEGRADED")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 3
        assert "source-missing: no-such-camera" in terminal.text


def test_two_sources_are_shown_by_a_layout(room: Room) -> None:
    done = room.record("--video", "synthetic", "--layout", "side-by-side", "--for", "2s")
    assert (done.status, done.lines[-1]["degraded"]) == (0, []), done.errors
    assert {line["layout"] for line in command.of_type(done.lines, "status")} == {"side-by-side"}
    (live,) = [line for line in command.of_type(done.lines, "event") if line["kind"] == "session-live"]
    assert "synthetic picture 2" in str(live["detail"])


def test_a_layout_that_is_not_there_is_refused_before_anything_is_opened(room: Room) -> None:
    done = command.liput(room.home, *room.words("--layout", "pap"))
    assert done.returncode == 2
    assert "pip" in done.stderr
