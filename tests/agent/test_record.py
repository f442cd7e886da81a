"""`liput record` as scripts and people use it: the real command, in a process of its own."""

import itertools
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from devices.host.priority import NICE, REALTIME, SOUND_NICE
from devices.model.device import Device, DeviceKind
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support import command, media, web
from tests.support.command import check_lines, running, until_on_disk
from tests.support.recorders import kill, recorders
from tests.support.room import FPS, Room, frames, program
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for


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
        "degraded": [], "packages": [str(package)],
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


def test_ctrl_z_does_not_stop_the_recording_and_ctrl_c_ends_it(room: Room) -> None:
    with Terminal(room.home, *room.words()) as terminal:
        before = terminal.settings()
        terminal.until("LIVE")
        terminal.press("\x1a")
        terminal.until("cannot be paused")
        terminal.press("\x03")
        assert terminal.wait() == 0
        assert terminal.settings() == before
    assert frames(room.only_package()) > 0


def test_without_a_terminal_there_are_plain_lines(room: Room) -> None:
    done = command.liput(room.home, *room.words("--for", "1s"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].endswith("Recording.")
    assert lines[-2:] == [f"Recorded 0:00:01, {FPS} frames.", f"Package: {room.only_package()}"]


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


FILM = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=4", "-g", "10")


def shown(path: Path) -> list[tuple[float, str]]:
    """Return when each picture of a file is shown, and the checksum of what it decodes to."""
    words = ("ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough")
    done = subprocess.run(
        (*words, "-enc_time_base", "1:1000", "-f", "framemd5", "-"), capture_output=True, check=True, text=True
    )
    rows = [line.replace(" ", "").split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    return [(int(row[2]) / 1000, row[5]) for row in rows]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("b-frames.mp4", ("-c:v", "libx264", "-bf", "3")),
        ("b-frames.mkv", ("-c:v", "libx264", "-bf", "3")),
        ("camera.ts", ("-c:v", "libx264", "-tune", "zerolatency")),
        ("hevc.mp4", ("-c:v", "libx265", "-x265-params", "log-level=error")),
        ("mjpeg.avi", ("-c:v", "mjpeg")),
    ],
)
@pytest.mark.parametrize("pace", ["fast", "real"])
def test_a_film_is_recorded_apart_as_it_is_in_its_file(
    room: Room, name: str, codec: tuple[str, ...], pace: str
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


def test_a_film_in_another_codec_is_not_copied_and_it_is_said_why(room: Room) -> None:
    film = room.home / "film.mkv"
    subprocess.run(("ffmpeg", "-v", "error", *FILM, "-c:v", "ffv1", str(film)), check=True)
    done = room.record("--audio", "none", "--isolate", "--pace", "fast", video=film)
    (failed,) = [line for line in done.lines if line.get("kind") == "isolated-failed"]
    assert "neither MJPEG, H.264 nor H.265" in str(failed["message"])


GIVEN_AT = datetime(2026, 11, 25, tzinfo=UTC)
PODIUM = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam", vid="046d", pid="0825", serial="CAM1", port="1-1"
)
MICROPHONE = Device(
    id="0d8c:0134:MIC1", kind=DeviceKind.MICROPHONE, name="Desk", vid="0d8c", pid="0134", serial="MIC1", port="1-3"
)
MISSING = ["source-missing: microphone", "source-missing: podium"]


@pytest.fixture
def state(room: Room, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Give roles to a camera and a microphone that are not plugged in; return what says where that stands."""
    monkeypatch.setenv("LIPUT_STATE", str(room.home / "state"))
    roles_store().change(lambda _: {one: binding_of(of, GIVEN_AT) for one, of in
                                    (("podium", PODIUM), ("microphone", MICROPHONE))})  # fmt: skip
    return {"LIPUT_STATE": str(room.home / "state")}


def words(room: Room, name: str, *more: str) -> list[str | Path]:
    return [name, "--title", "Rapat", "--archive", room.archive, "--consent", "not-asked", *more]


def test_what_has_a_role_and_is_missing_costs_no_recording(room: Room, state: Mapping[str, str]) -> None:
    done = command.liput(room.home, *words(room, "record", "--for", "2s", "--json"), more=state)
    assert done.returncode == 3, done.stderr
    lines = command.lines(done.stdout)
    told = [str(line["message"]) for line in command.of_type(lines, "event") if line["kind"] == "source-missing"]
    assert sorted(told) == [
        "A slate stands for podium: podium (Webcam) is missing: it is not plugged in (it was in port 1-1)",
        "Silence stands for microphone: microphone (Desk) is missing: it is not plugged in (it was in port 1-3)",
    ]
    assert sorted(lines[-1]["degraded"]) == MISSING  # type: ignore[call-overload] # a list
    assert media.decoded(program(room.only_package()), "a").end_s == pytest.approx(2, abs=0.1)


def test_what_was_named_is_needed(room: Room, state: Mapping[str, str]) -> None:
    done = command.liput(room.home, *words(room, "record", "--video", "podium", "--for", "1s"), more=state)
    assert done.returncode == 1
    assert "podium (Webcam) is missing" in done.stderr
    assert not room.archive.exists()
    done = command.liput(
        room.home, *words(room, "record", "--video", "podium", "--for", "1s", "--allow-missing"), more=state
    )
    assert done.returncode == 3, done.stderr


def test_nobody_is_asked_about_what_nobody_named(room: Room, state: Mapping[str, str]) -> None:
    with Terminal(room.home, *words(room, "record"), more=state) as terminal:
        terminal.until("! A slate stands for podium")
        terminal.until(r"on disk 0:00:01")
        terminal.press("q")
        assert terminal.wait() == 3
        assert "Begin without" not in terminal.text


@pytest.mark.slow
def test_a_session_is_armed_without_it_and_armed_again_after_a_kill(
    room: Room, state: Mapping[str, str], runtime: Path
) -> None:
    room.archive.mkdir()
    with command.running(room.home, "serve", "--json", "--archive", room.archive, more=state) as daemon:
        daemon.until("note", text="ready")
        done = command.liput(room.home, *words(room, "arm"), more=state)
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
        assert sorted(said[:-1]) == [f"! {trouble}" for trouble in MISSING]
        assert said[-1].startswith("Armed: ")
        (first,) = recorders(runtime)
        kill(first.pid)
        wait_for(lambda: [one.id for one in recorders(runtime)] not in ([], [first.id]))
        wait_for(lambda: _states(room) == ["armed"])
        done = command.liput(room.home, "start", "--json")
        assert json.loads(done.stdout)["state"] == "degraded", done.stderr
        done = command.liput(room.home, "stop", "--json")
        assert json.loads(done.stdout)["state"] == "sealed", done.stderr
        daemon.signal(signal.SIGTERM)


def _states(room: Room) -> list[object]:
    return [one["state"] for one in json.loads(command.liput(room.home, "status", "--json").stdout)]


@pytest.mark.server
@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("path", ["/api/v1/sessions", "/api/v1/recording/start"])
def test_the_page_records_and_says_in_red_what_is_missing(room: Room, path: str) -> None:
    room.configure("[web]\nport = 0\n")
    with web.serving(config_file=room.settings, folder=room.archive) as page:
        answer = page.post(path, {"title": "Rapat"} if path.endswith("sessions") else {})
        assert answer.status == 200, answer.body
        assert answer.json["state"] == "degraded"
        troubles = page.get("/api/v1/state").json["troubles"]
        assert sorted(f"{one['kind']}: {one['subject']}" for one in troubles) == MISSING
        assert [one["is_grave"] for one in troubles] == [True, True]
        assert page.post("/api/v1/recording/stop", {"wait": True}).json["state"] == "sealed"
