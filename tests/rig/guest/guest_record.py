"""Whole sessions on real drivers: archived, with faults told, sources that come and go, and a virtual camera."""

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from agent.commands.conference import MISSING, conference_command
from agent.sessions.conference import CameraSetup, ConferencePaths
from config.settings.schema import ConferenceSettings
from devices.video_outputs import VideoOutputWriter, find_output
from tests.rig import pictures
from tests.rig.rig import CAMERA, STICK, STICK_SOUND, RigDevice, configured, listed, plugged
from tests.support import command, media
from tests.support.command import Line, Running, running
from tests.support.waiting import wait_for

WIDTH, HEIGHT, RATE = 320, 240, 10
SECONDS = 6
NAME = "MS2109 HDMI capture stick"
SLATE_WITHIN_S, BACK_WITHIN_S = 1.0, 3.0
DARK = 75  # a slate's mean luma is below it, a live picture's of the rig above


def words(home: Path, *more: str) -> list[str]:
    return ["record", "--title", "Rig", "--json", "--archive", str(home / "arsip"), "--profile", "rig", *more]


class Recorded:
    """A session from the command line, and what became of it."""

    def __init__(self, session: Running) -> None:
        self.session = session
        self.result: Line = {}
        self.status = 0

    def event(self, kind: str, after: Line | None = None, **wanted: object) -> Line:
        """Return an event with this fault or of this subject, whether it has come or is to come."""
        seen = self.session.seen
        for line in itertools.chain(seen[seen.index(after) + 1 if after else 0 :], self.session.read()):
            if line.get("kind") == kind and wanted.items() <= (detail_of(line) | {"subject": line["subject"]}).items():
                return line
        raise AssertionError(f"no {kind} with {wanted}: {self.session.seen}; {self.session.errors()}")

    def elapsed(self) -> float:
        return float(str(self.session.until("status")["elapsed_s"]))

    def go_on(self, seconds: float) -> None:
        """Let so much more be recorded."""
        until = self.elapsed() + seconds
        while self.elapsed() < until:
            pass

    @property
    def program(self) -> Path:
        return Path(str(self.result["package"])) / "data/media/program.mp4"


@contextmanager
def recorded(home: Path, *more: str) -> Iterator[Recorded]:
    """Record until the block ends; the session must then be sealed."""
    with running(home, *words(home, *more)) as session:
        room = Recorded(session)
        room.event("session-live")
        yield room
        session.signal(signal.SIGINT)
        room.result = session.until("result")
        room.status = session.wait_for_exit()
    assert room.result["state"] == "sealed"


def detail_of(line: Line) -> dict[str, Any]:
    found: Any = line["detail"]
    return dict(found)


def at(event: Line) -> float:
    return datetime.fromisoformat(str(event["at"])).timestamp()


def health_log(home: Path) -> list[Line]:
    return command.lines(command.liput(home, "health", "--json").stdout)


def lumas(program: Path) -> Sequence[pictures.Luma]:
    return list(np.frombuffer(media.luma(program, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH))


def sound_of(program: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Return its samples, shape (2, samples)."""
    command = ["ffmpeg", "-v", "error", "-i", str(program), "-ac", "2", "-ar", "48000", "-f", "s16le", "-"]
    pcm = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(pcm, np.int16).reshape(-1, 2).T


def assert_one_timeline(program: Path) -> None:
    """No hole of more than two pictures."""
    times = media.shown(program, "v")
    usual = median(after - before for before, after in pairwise(times))  # the stick gives fewer than the profile takes
    assert usual <= 0.21
    assert [(before, after) for before, after in pairwise(times) if after - before > 2.3 * usual] == []
    assert times[0] == pytest.approx(0, abs=0.01)
    # vfr: a picture that returned may come less than a nominal interval after the slate before it.
    media.run("ffmpeg", "-v", "warning", "-xerror", "-i", program, "-map", "0", "-fps_mode", "vfr", "-f", "null", "-")


def test_a_camera_and_a_microphone_are_in_the_archive_whole_and_without_a_word_of_any_fault(
    camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK_SOUND)
    home = configured(tmp_path, fps=15)
    asked = words(home, "--video", CAMERA, "--audio", STICK_SOUND, "--for", f"{SECONDS}s")
    done = command.liput(home, *asked, timeout=100)
    lines = command.lines(done.stdout)
    assert (done.returncode, lines[-1]["degraded"]) == (0, []), (lines, done.stderr)
    assert [line["kind"] for line in command.of_type(lines, "event")] == [
        "priority-granted", "session-live", "session-ended",
    ]  # fmt: skip
    last = command.of_type(lines, "status")[-1]
    assert (last["dropped"], last["repeated"]) == (0, 0)
    program = Path(str(lines[-1]["package"])) / "data/media/program.mp4"
    media.decodes_cleanly(program)
    shown = [pictures.number_of(luma) for luma in lumas(program)]
    assert len(shown) >= 15 * (SECONDS - 1)
    assert {(after - before) % pictures.NUMBERS for before, after in pairwise(shown[15:])} == {1}
    tones = sound_of(program)[:, 96_000:192_000]
    assert [int(np.abs(np.fft.rfft(channel)).argmax()) / 2 for channel in tones] == [440, 880]
    assert media.decoded(program, "a").end_s == pytest.approx(SECONDS, abs=0.1)
    # Its devices were looked after meanwhile.
    assert camera.get("controls.power_line_frequency") == "1"
    log = health_log(home)
    assert [line for line in log if line["kind"] in {"degraded", "recovered", "refused", "watch-failed"}] == []
    of_camera = [line["kind"] for line in log if line["device"] == CAMERA]
    assert of_camera.index("controls-applied") < of_camera.index("opened") < of_camera.index("closed")
    assert [line["kind"] for line in log if line["device"] == "pc"][-1] == "watch-stopped"


def test_each_fault_of_a_sessions_devices_is_an_event_while_it_records(stick: RigDevice, tmp_path: Path) -> None:
    plugged(stick, 1, STICK_SOUND)
    home = configured(tmp_path, more="[patience.slides]\nblack_s = 2\n[patience.microphone]\nsilence_s = 2\n")
    for role, device in (("slides", STICK), ("microphone", STICK_SOUND)):
        assert command.liput(home, "devices", "assign", role, device).returncode == 0
    with recorded(home) as room:
        live = room.event("session-live")
        room.session.until("status", state="live")
        stick.set("video.picture", "black")
        stick.set("audio.sound", "silence")
        found = {fault: room.event(f"source-{fault}", fault=fault) for fault in ("black", "silence")}
        status = room.session.until("status")
        stick.set("video.picture", "no-signal")
        stick.set("audio.sound", "tone")
        found["no-signal"] = room.event("source-no-signal", fault="no-signal")
        stick.set("video.picture", "live")
        over = {fault: room.event("source-recovered", fault=fault) for fault in found}
        well = room.session.until("status")
    assert room.status == 3
    assert all(at(found[fault]) < at(over[fault]) for fault in found)
    assert 2.0 <= at(found["black"]) - at(live) < 6.0
    assert {fault: detail_of(line)["device"] for fault, line in found.items()} == {
        "black": STICK, "silence": STICK_SOUND, "no-signal": STICK,
    }  # fmt: skip
    assert "black frames for 2 s" in str(found["black"]["message"])
    assert "exactly nothing for 2 s" in str(found["silence"]["message"])
    assert "a test picture of bars" in str(found["no-signal"]["message"])
    assert states(status) == {(STICK, "slides"): "degraded", (STICK_SOUND, "microphone"): "silent"}
    assert set(states(well).values()) == {"ok"}
    degraded: Any = room.result["degraded"]
    # An emulated PC beside other tests is late for frames and sound, too, which is told.
    assert [reason for reason in degraded if reason.startswith("source-")] == [
        f"{event['kind']}: {event['subject']}" for event in sorted(found.values(), key=lambda line: str(line["at"]))
    ]
    log = health_log(home)
    for kind in ("degraded", "recovered"):
        faults = [detail_of(line)["fault"] for line in log if line["kind"] == kind]
        assert sorted(faults) == ["black", "no-signal", "silence"]


def states(status: Line) -> dict[tuple[str, str], str]:
    """Return the state of each source of a status line, by its id and role."""
    sources: Any = status["sources"]
    return {(source["id"], source["role"]): source["health"]["state"] for source in sources}


def test_a_camera_that_is_pulled_is_a_slate_and_comes_back_in_another_port(camera: RigDevice, tmp_path: Path) -> None:
    plugged(camera, 0, CAMERA)
    with recorded(configured(tmp_path), "--video", CAMERA, "--audio", "none") as room:
        room.go_on(3)
        pulled_at = time.time()
        camera.unplug()
        lost, missing = room.event("source-lost"), room.event("source-missing")
        room.session.until("status", state="degraded")
        room.go_on(2)
        plugged_at = time.time()
        camera.plug(3)
        found, returned = room.event("source-found"), room.event("source-returned", missing)
        room.session.until("status", state="live")
        room.go_on(3)
    assert at(lost) - pulled_at < SLATE_WITHIN_S
    assert at(missing) - pulled_at < SLATE_WITHIN_S
    assert at(returned) - plugged_at < BACK_WITHIN_S
    where = {"device": CAMERA, "port": "1-4", "moved_from": "1-1"}
    assert where.items() <= detail_of(found).items()
    assert room.status == 3
    degraded: Any = room.result["degraded"]
    assert set(degraded) == {"source-lost: Rig Webcam", "source-missing: Rig Webcam"}
    assert_one_timeline(room.program)
    shown = [None if luma.mean() < DARK else pictures.number_of(luma) for luma in lumas(room.program)]
    slates = [time for time, number in zip(media.shown(room.program, "v"), shown, strict=True) if number is None]
    assert slates[0] == pytest.approx(detail_of(missing)["since_s"], abs=0.15)
    assert slates[-1] == pytest.approx(detail_of(returned)["at_s"], abs=0.15)
    # Before the loss and after the return no picture is missing, but those of 15 a second that are left out for 10.
    runs = [[*run] for is_slate, run in groupby(shown, key=lambda number: number is None) if not is_slate]
    assert len(runs) == 2
    for run in runs:
        steps = [((after or 0) - (before or 0)) % pictures.NUMBERS for before, after in pairwise(run)]
        # The last picture before a loss stays for some tenths of a second; a camera's first ones may be unsteady.
        steady = steps[RATE : len(steps) - RATE]
        assert set(steady) <= {0, 1, 2, 3}, run
        assert steady.count(0) <= 1, run  # the rig's host may be too busy for one of its pictures
        assert sum(steady) == pytest.approx(1.5 * len(steady), abs=3), run


def test_a_stick_that_is_pulled_is_a_slate_and_silence_and_costs_the_other_source_nothing(
    camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK_SOUND)
    sources = ("--video", CAMERA, "--video", STICK, "--audio", STICK_SOUND)
    with recorded(configured(tmp_path), *sources, "--layout", "side-by-side", "--isolate") as room:
        room.go_on(4)
        pulled_s = room.elapsed()
        stick.unplug()
        missing = room.event("source-missing", subject=NAME)
        room.go_on(4)
        stick.plug(1)
        returned = room.event("source-returned", missing, subject=NAME)  # a slow PC's stick may pause before
        room.event("source-returned", missing, subject=f"{NAME} (sound)")
        back_s = room.elapsed()
        room.go_on(3)
    assert_one_timeline(room.program)
    middle = np.stack(lumas(room.program))[:, HEIGHT // 2 - 20 : HEIGHT // 2 + 20]
    left, right = middle[:, :, : WIDTH // 2 - 10].mean(axis=(1, 2)), middle[:, :, WIDTH // 2 + 10 :].mean(axis=(1, 2))
    assert left.min() > DARK
    moments = zip(media.shown(room.program, "v"), right, strict=True)
    dark = [time for time, level in moments if level < DARK and time > 1]  # black before the first picture
    assert dark[0] == pytest.approx(detail_of(missing)["since_s"], abs=0.15)
    assert dark[-1] == pytest.approx(detail_of(returned)["at_s"], abs=0.25)
    loud = np.abs(sound_of(room.program)[0].astype(int))
    heard = [int(loud[begin : begin + 4800].max()) for begin in range(0, len(loud), 4800)]  # of each tenth of a second
    assert min(heard[10 : round(pulled_s * 10) - 5]) > 1000
    assert max(heard[round(pulled_s * 10) + 20 : round(pulled_s * 10) + 30]) < 10
    assert min(heard[round(back_s * 10) + 10 : round(back_s * 10) + 20]) > 1000
    assert abs(len(heard) / 10 - media.shown(room.program, "v")[-1]) < 0.3
    # Each is recorded apart.
    for name, is_lost in (("rig-webcam", False), ("ms2109-hdmi-capture-stick", True)):
        (path,) = [path for path in room.program.parent.glob("*.mkv") if path.name.startswith(name)]
        times = media.shown(path, "v")
        assert times[0] < 1
        assert times[-1] == pytest.approx(float(str(room.result["duration_s"])), abs=0.7)
        assert (max(after - before for before, after in pairwise(times)) > 3) is is_lost


# The conference


NODE = "/dev/video10"
CONFERENCE = f"""
[conference]
width = 320
height = 240
fps = 15
far_side = ["{STICK}"]
"""
CARD_AT_LEAST, CARD_AT_MOST = 30, 80


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have v4l2loopback set up as an operator does who says yes, and taken away again; give its node."""
    places, camera = ConferencePaths(), CameraSetup(ConferenceSettings(), ConferencePaths())
    assert "module" in {check.name for check in camera.checks() if not check.ok}
    assert conference_command_at_a_terminal("setup", monkeypatch) == MISSING  # nobody runs a sound server here
    wait_for(Path(NODE).exists)
    assert [check for check in camera.checks() if not check.ok] == []
    assert (places.load.read_text(), list(camera.commands())) == ("v4l2loopback\n", [])  # twice does nothing more
    yield NODE
    # Whoever looks at what is plugged in, as udev does, has it open for a moment: its module stays as long as that.
    users = Path("/sys/module/v4l2loopback/refcnt")
    wait_for(lambda: int(users.read_text()) == 0, what="a node that nobody has open")
    assert conference_command_at_a_terminal("setup --undo", monkeypatch) == 0
    assert [path for path in (Path(NODE), places.load, places.options) if path.exists()] == []


def conference_command_at_a_terminal(words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run it as root, at a terminal where somebody says yes; return the exit status."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, b"y\n")
        with open(theirs) as terminal, monkeypatch.context() as patch:  # noqa: PTH123 - a descriptor
            patch.setattr("sys.stdin", terminal)
            patch.setattr("agent.commands.conference.can_ask", lambda: True)
            return int(conference_command.main(words.split(), standalone_mode=False))
    finally:
        os.close(ours)


def is_camera(node: str) -> bool:
    """Return whether somebody writes to a node: only then it is a camera."""
    return "Video Capture" in subprocess.run(["v4l2-ctl", "-d", node, "--info"], capture_output=True, text=True).stdout


def assert_in_order(shown: list[int], least: int) -> None:
    """Every picture is the one before it again, or the next: hardly any is left out, none comes late."""
    steps = [(after - before) % pictures.NUMBERS for before, after in pairwise(shown)]
    assert set(steps) <= {0, 1, 2}, str(shown)
    assert steps.count(2) <= len(steps) // 5, str(shown)
    assert sum(steps) >= least, str(shown)


def test_a_virtual_camera_shows_what_is_near_to_others_and_stays_when_the_session_is_over(
    loopback: str, camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    stick.set("video.picture", "black")
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK)
    form = "--set-fmt-video-out=width=320,height=240,pixelformat=YUYV"
    other = subprocess.Popen(["v4l2-ctl", "-d", loopback, form, "--stream-out-mmap"], stdout=subprocess.DEVNULL)
    wait_for(lambda: is_camera(loopback))
    home = configured(tmp_path, fps=15, more=CONFERENCE)
    more = ("--conference", "--video", STICK, "--video", CAMERA, "--audio", "none", "--layout", "side-by-side")
    with recorded(home, *more) as room:
        # The node is another program's: that costs the recording nothing, and it is taken when it is free.
        assert detail_of(room.event("conference-lost"))["reason"] == "busy"
        room.go_on(1)
        other.terminate()
        other.wait()
        assert detail_of(room.event("conference-live")) == {
            "node": NODE, "width": WIDTH, "height": HEIGHT, "format": "YUYV",
        }  # fmt: skip
        wait_for(lambda: conference(room)["state"] == "idle")  # nobody looks
        read = tmp_path / "seen.yuyv"
        words = ["--get-fmt-video", "--stream-mmap", "--stream-count=100", f"--stream-to={read}"]
        zoom = subprocess.Popen(["v4l2-ctl", "-d", loopback, *words], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: conference(room)["state"] == "live")
        room.go_on(3)
    # An emulated PC composes and packs a second picture on one core: one that comes late is shown twice, and rarely one
    # is left out.
    last = [line for line in room.session.seen if line["type"] == "status"][-1]
    assert int(str(last["dropped"])) <= 1
    assert int(str(last["repeated"])) <= 8, "of some 90"
    # Zoom saw the camera alone, in all of the picture, and has its own camera still, with a card.
    told, _ = zoom.communicate(timeout=60)
    assert (zoom.returncode, "320/240" in told, "'YUYV'" in told) == (0, True, True), told
    shown = list(np.fromfile(read, np.uint8).reshape(-1, HEIGHT, WIDTH, 2)[..., 0])
    bright = [bool(luma.mean() > CARD_AT_MOST) for luma in shown]
    first, end_card = bright.index(True), len(bright) - bright[::-1].index(True)
    assert all(bright[first:end_card])  # the far side beside it would make it as dark as a card
    assert_in_order([pictures.number_of(luma) for luma in shown[first + 30 : end_card]], 8)
    assert end_card < len(shown)
    assert min(luma.mean() for luma in shown) > CARD_AT_LEAST
    # The recording has both, beside each other.
    both, half, quarter = lumas(room.program), WIDTH // 2, HEIGHT // 4
    assert np.median([luma[quarter:-quarter, :half].mean() for luma in both]) < 40
    assert_in_order([pictures.number_of(luma[quarter:-quarter, half:]) for luma in both[10:]], 20)
    # The next session takes it up again.
    node = VideoOutputWriter(find_output("Liput"), WIDTH, HEIGHT, Fraction(15))
    assert (node.format, node.size) == ("YUYV", (WIDTH, HEIGHT))
    assert node.write(memoryview(bytes(2 * WIDTH * HEIGHT)))
    node.close()


def conference(room: Recorded) -> dict[str, Any]:
    line: Any = room.session.until("status")["conference"]
    return dict(line["camera"])
