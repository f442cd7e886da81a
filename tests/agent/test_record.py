"""`liput record` as scripts and people use it: the real command, in a process of its own."""

import itertools
import os
import shutil
import signal
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from devices.host.priority import NICE, REALTIME, SOUND_NICE
from tests.support import command, media
from tests.support.command import check_lines, running, until_on_disk
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


@pytest.mark.parametrize("pace", ["fast", "real"])
def test_a_file_that_breaks_off_is_told(room: Room, tmp_path: Path, pace: str) -> None:
    path = tmp_path / "kuliah.mp4"
    media.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=320x240:r={FPS}:d=6", "-f", "lavfi",
              "-i", "sine=d=6:r=48000", "-g", "15", "-movflags", "+faststart", path)  # fmt: skip
    os.truncate(path, path.stat().st_size // 2)
    done = room.record("--pace", pace, video=path)
    assert done.status == 3
    assert done.result["degraded"][0] == "file-broken: kuliah.mp4"  # type: ignore[index] # a list
    told = [str(line["message"]) for line in done.of("event") if line["kind"] == "file-broken"]
    assert told[0].startswith(f"{path} is not whole: the ")
    assert FPS < frames(room.only_package()) < 5 * FPS


def test_the_sound_before_the_first_picture_of_a_film_is_recorded(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "kuliah.mkv"
    media.run("ffmpeg", "-v", "error", "-itsoffset", "1.5", "-f", "lavfi", "-i", f"testsrc2=s=320x240:r={FPS}:d=1",
              "-f", "lavfi", "-i", "sine=d=3:r=48000", path)  # fmt: skip
    done = room.record("--pace", "fast", video=path)
    assert (done.status, done.result["degraded"]) == (0, [])
    assert media.decoded(program(room.only_package()), "a").end_s == pytest.approx(3, abs=0.05)


def test_without_sound(room: Room) -> None:
    done = room.record("--for", "1s", "--pace", "fast", "--audio", "none")
    assert done.status == 0
    assert all(line["levels_dbfs"] == [] for line in done.of("status"))
    kinds = media.run("ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0",
                      program(room.only_package()))  # fmt: skip
    assert kinds.split() == ["video"]


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
