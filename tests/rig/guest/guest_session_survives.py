"""Sources come and go in the middle of a session: slates, silence, and back; one timeline without a hole."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
import pytest

from tests.rig import pictures
from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, NO_REPORT, rig_profile
from tests.support import command, media
from tests.support.command import Line, Running, running

WIDTH, HEIGHT, RATE = 320, 240, 10
CAMERA, SLIDES = "046d:0825:CAM0001", "534d:2109@1-2"
SETTINGS = ARCHIVE + NO_REPORT + rig_profile(10)
SLATE_WITHIN_S = 1.0
SILENCE_WITHIN_S = 2.5
"""Until it is told, by an emulated machine that shares two cores with other tests."""
BACK_WITHIN_S = 3.0
DARK = 75
"""A slate's mean luma is below it, a live picture's of the rig above."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)
    settings = tmp_path / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS)
    return tmp_path


class Recorded:
    """A session from the command line, and what became of it."""

    def __init__(self, session: Running) -> None:
        self.session = session
        self.result: Line = {}

    def event(self, kind: str, subject: str | None = None) -> Line:
        wanted = {"kind": kind} if subject is None else {"kind": kind, "subject": subject}
        return self.session.until("event", **wanted)

    def go_on(self, seconds: float) -> None:
        """Let so much more be recorded."""
        elapsed = float(str(self.session.until("status")["elapsed_s"]))
        while float(str(self.session.until("status")["elapsed_s"])) < elapsed + seconds:
            pass

    @property
    def program(self) -> Path:
        return Path(str(self.result["package"])) / "data/media/program.mp4"


@contextmanager
def recorded(home: Path, *words: str) -> Iterator[Recorded]:
    """Record until the block ends; the session must then be sealed with all that happened told."""
    arguments = ["record", "--title", "Rig", "--json", "--archive", str(home / "arsip"), "--profile", "rig10", *words]
    with running(home, *arguments) as session:
        room = Recorded(session)
        room.event("session-live")
        yield room
        session.signal(signal.SIGINT)
        room.result = session.until("result")
        assert session.wait_for_exit() == 3, session.errors()
    assert room.result["state"] == "sealed"


def at(line: Line) -> datetime:
    return datetime.fromisoformat(str(line["at"]))


def detail(line: Line, name: str) -> float:
    found = line["detail"]
    assert isinstance(found, dict)
    return float(found[name])


def now() -> datetime:
    return datetime.now().astimezone()


def picture_times(program: Path) -> list[float]:
    told = media.run(
        "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", program
    )
    return [float(line.strip(",")) for line in told.split()]


def shown(program: Path) -> list[int | None]:
    """Return the number of each recorded picture, None for a slate."""
    luma = np.frombuffer(media.luma(program, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH)
    return [None if picture.mean() < DARK else pictures.number_of(picture) for picture in luma]


def assert_one_timeline(program: Path) -> None:
    """No hole of more than two pictures, and sound as long as the picture where there is any."""
    times = picture_times(program)
    usual = median(after - before for before, after in pairwise(times))  # the stick gives fewer than the profile takes
    assert usual <= 0.21
    holes = [(before, after) for before, after in pairwise(times) if after - before > 2.3 * usual]
    assert (holes, times) == ([], sorted(times))
    assert times[0] == pytest.approx(0, abs=0.01)
    # vfr: a picture that returned may come less than a nominal interval after the slate before it.
    media.run("ffmpeg", "-v", "warning", "-xerror", "-i", program, "-map", "0", "-fps_mode", "vfr", "-f", "null", "-")


def slates(program: Path) -> list[tuple[float, float]]:
    """Return from when to when slates are shown."""
    found: list[tuple[float, float]] = []
    moments = zip(picture_times(program), shown(program), strict=True)
    for is_slate, group in groupby(moments, key=lambda moment: moment[1] is None):
        times = [time for time, _ in group]
        if is_slate:
            found.append((times[0], times[-1]))
    return found


def assert_numbers_resume(program: Path) -> None:
    """Before the loss and after the return no picture is missing, but those of 15 a second that are left out for 10."""
    runs = [
        [number for number in group if number is not None]
        for is_slate, group in groupby(shown(program), key=lambda number: number is None)
        if not is_slate
    ]
    assert len(runs) == 2
    for run in runs:
        steps = [(after - before) % pictures.NUMBERS for before, after in pairwise(run)]
        # The last picture before a loss stays for some tenths of a second; a camera's first ones may be unsteady.
        steady = steps[RATE : len(steps) - RATE]
        assert set(steady) <= {1, 2, 3}, run  # the rig's host may be too busy for one of its pictures
        assert sum(steady) == pytest.approx(1.5 * len(steady), abs=3), run


@pytest.mark.parametrize("port", [0, 3])
def test_a_camera_that_is_pulled_is_a_slate_and_comes_back_in_whatever_port(
    camera: RigDevice, home: Path, port: int
) -> None:
    camera.plug(0)
    camera.wait_for_video()
    with recorded(home, "--video", CAMERA, "--audio", "none") as room:
        room.go_on(3)
        pulled = now()
        camera.unplug()
        lost = room.event("source-lost")
        missing = room.event("source-missing")
        room.session.until("status", state="degraded")
        room.go_on(3)
        plugged = now()
        camera.plug(port)
        found = room.event("source-found")
        returned = room.event("source-returned")
        room.session.until("status", state="live")
        room.go_on(3)
    assert (at(lost) - pulled).total_seconds() < SLATE_WITHIN_S
    assert (at(missing) - pulled).total_seconds() < SLATE_WITHIN_S
    assert (at(returned) - plugged).total_seconds() < BACK_WITHIN_S
    where = found["detail"]
    assert isinstance(where, dict)
    assert (where["device"], where["port"]) == (CAMERA, f"1-{port + 1}")
    assert where["moved_from"] == (None if port == 0 else "1-1")
    assert_one_timeline(room.program)
    ((begin, end),) = slates(room.program)
    assert begin == pytest.approx(detail(missing, "since_s"), abs=0.15)
    assert end == pytest.approx(detail(returned, "at_s"), abs=0.15)
    assert_numbers_resume(room.program)
    assert set(room.result["degraded"]) == {"source-lost: Rig Webcam", "source-missing: Rig Webcam"}  # type: ignore[call-overload] # JSON


def test_a_camera_that_falls_silent_is_a_slate_until_it_gives_again(camera: RigDevice, home: Path) -> None:
    camera.plug(0)
    camera.wait_for_video()
    with recorded(home, "--video", CAMERA, "--audio", "none") as room:
        room.go_on(3)
        silent = now()
        camera.set("device.silent", "true")
        missing = room.event("source-missing")
        room.go_on(3)
        camera.set("device.silent", "false")
        given = now()
        returned = room.event("source-returned")
        room.go_on(2)
    # The watch begins with the last picture; one may be on its way when the device falls silent.
    assert (at(missing) - silent).total_seconds() < SLATE_WITHIN_S + 1 / RATE
    assert (at(returned) - given).total_seconds() < BACK_WITHIN_S
    assert detail(missing, "since_s") > 0
    assert_one_timeline(room.program)
    ((begin, end),) = slates(room.program)
    assert begin == pytest.approx(detail(missing, "since_s"), abs=0.15)
    assert end == pytest.approx(detail(returned, "at_s"), abs=0.15)


def test_a_picture_that_freezes_or_has_no_signal_stays_as_it_is_and_the_session_says_so(
    stick: RigDevice, home: Path
) -> None:
    stick.plug(1)
    stick.wait_for_video()
    (home / ".config/liput/liput.toml").write_text(SETTINGS + "[patience.capture-card]\nfrozen_s = 2\n")
    with recorded(home, "--video", SLIDES, "--audio", "none") as room:
        room.go_on(5)
        stick.set("video.picture", "frozen")
        frozen = room.event("source-frozen")
        room.session.until("status", state="degraded")
        stick.set("video.picture", "live")
        room.event("source-recovered")
        stick.set("video.picture", "no-signal")
        room.event("source-no-signal")
        stick.set("video.picture", "live")
        room.event("source-recovered")
        room.session.until("status", state="live")
        room.go_on(1)
    assert frozen["subject"] != ""
    assert_one_timeline(room.program)
    assert slates(room.program) == []


def test_a_stick_that_is_pulled_is_a_slate_and_silence_and_both_come_back(stick: RigDevice, home: Path) -> None:
    stick.plug(1)
    stick.wait_for_video()
    stick.wait_for_audio()
    with recorded(home, "--video", SLIDES, "--audio", f"{SLIDES}+sound") as room:
        room.go_on(3)
        pulled_s = float(str(room.session.until("status")["elapsed_s"]))
        stick.unplug()
        room.event("source-missing")
        room.go_on(4)
        stick.plug(1)
        plugged = now()
        returned = [room.event("source-returned"), room.event("source-returned")]
        back_s = float(str(room.session.until("status")["elapsed_s"]))
        room.go_on(4)
    for line in returned:
        assert (at(line) - plugged).total_seconds() < BACK_WITHIN_S
    assert_one_timeline(room.program)
    assert len(slates(room.program)) == 1
    levels = loudness(room.program)
    assert levels_between(levels, 1, pulled_s - 0.5) > 1000
    assert levels_between(levels, pulled_s + 2, pulled_s + 3.5, highest=True) < 10
    assert levels_between(levels, back_s + 1, back_s + 2.5) > 1000
    assert abs(len(levels) / 10 - picture_times(room.program)[-1]) < 0.3


def test_a_microphone_that_is_pulled_is_silence_and_the_picture_goes_on(
    camera: RigDevice, stick: RigDevice, home: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    camera.wait_for_video()
    stick.wait_for_audio()
    with recorded(home, "--video", CAMERA, "--audio", f"{SLIDES}+sound") as room:
        room.go_on(3)
        pulled, pulled_s = now(), float(str(room.session.until("status")["elapsed_s"]))
        stick.unplug()
        room.event("source-lost")
        missing = room.event("source-missing")
        room.session.until("status", state="degraded")
        room.go_on(3)
        plugged = now()
        stick.plug(1)
        returned = room.event("source-returned")
        back_s = float(str(room.session.until("status")["elapsed_s"]))
        room.session.until("status", state="live")
        room.go_on(3)
    assert (at(missing) - pulled).total_seconds() < SILENCE_WITHIN_S
    assert (at(returned) - plugged).total_seconds() < BACK_WITHIN_S
    assert_one_timeline(room.program)
    assert slates(room.program) == []
    levels = loudness(room.program)
    assert levels_between(levels, 1, pulled_s - 0.5) > 1000
    assert levels_between(levels, pulled_s + 1.5, pulled_s + 2.5, highest=True) < 10
    assert levels_between(levels, back_s + 1, back_s + 2) > 1000
    assert abs(len(levels) / 10 - picture_times(room.program)[-1]) < 0.3


def loudness(program: Path) -> list[int]:
    """Return the highest sample of each tenth of a second."""
    words = ["ffmpeg", "-v", "error", "-i", str(program), "-ac", "1", "-ar", "48000", "-f", "s16le", "-"]
    pcm = subprocess.run(words, capture_output=True, check=True, timeout=60).stdout
    samples = np.abs(np.frombuffer(pcm, np.int16).astype(np.int32))
    return [int(samples[begin : begin + 4800].max()) for begin in range(0, len(samples), 4800)]


def levels_between(levels: list[int], begin_s: float, end_s: float, *, highest: bool = False) -> int:
    """Return the lowest (or highest) of the levels in a span."""
    span = levels[round(begin_s * 10) : round(end_s * 10)]
    return max(span) if highest else min(span)


def test_a_session_may_begin_with_a_slate_and_its_camera_joins_when_it_is_plugged_in(
    camera: RigDevice, stick: RigDevice, home: Path
) -> None:
    camera.plug(0)
    camera.wait_for_video()
    done = command.liput(home, "devices", "assign", "podium", CAMERA)
    assert done.returncode == 0, done.stderr
    camera.unplug()
    time.sleep(0.5)
    refused = command.liput(
        home, "record", "--title", "Rig", "--video", "podium", "--audio", "none", "--json", "--archive", home / "arsip"
    )
    assert refused.returncode == 1
    assert "podium (Rig Webcam) is missing" in refused.stdout
    with recorded(home, "--video", "podium", "--audio", "none", "--allow-missing") as room:
        room.session.until("status", troubles=["source-missing: podium"])  # the event came before session-live
        room.go_on(2)
        camera.plug(2)
        plugged = now()
        returned = room.event("source-returned", "podium")
        room.go_on(2)
    assert (at(returned) - plugged).total_seconds() < BACK_WITHIN_S
    assert_one_timeline(room.program)
    assert slates(room.program)[0][0] == 0


def test_sound_that_does_not_answer_at_the_start_costs_no_recording_and_is_heard_when_it_does(
    camera: RigDevice, stick: RigDevice, home: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    camera.wait_for_video()
    stick.wait_for_audio()
    command.liput(home, "devices", "assign", "podium", CAMERA)
    stick.set("device.silent", "true")
    with recorded(home) as room:  # nobody has named a device
        (trouble,) = cast("list[str]", room.session.until("status", state="degraded")["troubles"])
        assert trouble.startswith("source-silent: ")
        room.go_on(2)
        stick.set("device.silent", "false")
        room.event("source-returned", trouble.partition(": ")[2])
        back_s = float(str(room.session.until("status")["elapsed_s"]))
        room.go_on(3)
    assert slates(room.program) == []
    levels = loudness(room.program)
    assert levels_between(levels, 0, 2, highest=True) < 10
    assert levels_between(levels, back_s + 1, back_s + 2) > 1000


def test_a_session_that_wants_the_camera_of_another_is_told_whose_it_is_and_costs_it_nothing(
    camera: RigDevice, home: Path
) -> None:
    camera.plug(0)
    camera.wait_for_video()
    words = ("--video", CAMERA, "--audio", "none", "--json", "--archive", str(home / "arsip"), "--profile", "rig10")
    with running(home, "record", "--title", "Rapat senat", *words) as session:
        session.until("event", kind="session-live")
        refused = command.liput(home, "record", "--title", "Wisuda", *words)
        session.until("status", state="live")
        session.signal(signal.SIGINT)
        result = session.until("result")
        assert session.wait_for_exit() == 0, session.errors()
    assert refused.returncode == 1
    assert 'Rig Webcam is used by the session \\"Rapat senat\\"' in refused.stdout
    assert (result["state"], result["degraded"]) == ("sealed", [])
    assert len(list((home / "arsip").glob("20*/*/*"))) == 1


def test_of_two_sources_one_dies_and_the_other_goes_on_and_each_is_recorded_apart(
    camera: RigDevice, stick: RigDevice, home: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    camera.wait_for_video()
    stick.wait_for_video()
    words = ("--video", CAMERA, "--video", SLIDES, "--audio", "none", "--layout", "side-by-side", "--isolate")
    with recorded(home, *words) as room:
        room.go_on(4)
        stick.unplug()
        missing = room.event("source-missing")
        room.go_on(3)
        stick.plug(1)
        returned = room.event("source-returned")
        room.go_on(3)
    assert_one_timeline(room.program)
    luma = np.frombuffer(media.luma(room.program, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH)
    middle = luma[:, HEIGHT // 2 - 20 : HEIGHT // 2 + 20]
    left, right = middle[:, :, : WIDTH // 2 - 10].mean(axis=(1, 2)), middle[:, :, WIDTH // 2 + 10 :].mean(axis=(1, 2))
    assert left.min() > DARK
    moments = zip(picture_times(room.program), right, strict=True)
    dark = [time for time, level in moments if level < DARK and time > 1]  # black before the first picture
    assert dark[0] == pytest.approx(detail(missing, "since_s"), abs=0.15)
    assert dark[-1] == pytest.approx(detail(returned, "at_s"), abs=0.25)
    ends = float(str(room.result["duration_s"]))
    for name, lost in (("rig-webcam", False), ("ms2109-hdmi-capture-stick", True)):
        found = sorted(room.program.parent.glob("*.mkv"))
        (path,) = (path for path in found if path.name.startswith(name))
        times = picture_times(path)
        assert times[0] < 1
        assert times[-1] == pytest.approx(ends, abs=0.7)
        hole = max(after - before for before, after in pairwise(times))
        assert (hole > 3) is lost, (name, hole)
