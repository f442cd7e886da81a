"""What idle and plain use costs: a daemon that nothing is asked of, a plain session, an archive of thousands."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from recorder.control.spec import RecorderSpec, encode_spec
from recorder.running.client import send_command
from recorder.running.protocol import HANDSHAKE_DECODER, RecorderReady, StopCommand
from recorder.running.runtime_directory import RecorderFolder
from recorder.session.request import SessionRequest
from tests.bench import daemon
from tests.bench.shelf import PACKAGES, cpu_seconds, measure
from tests.support import command, media
from tests.support.processes import children, slowness
from tests.support.room import PROFILE, Room
from tests.support.waiting import wait_for

RECORDER = (sys.executable, "-P", "-X", "importtime", "-m", "recorder.control.process")
NEVER = (
    "asyncio", "click", "email", "importlib.metadata", "jinja2", "prometheus_client", "psutil",
    "pulsectl", "pyudev", "rich", "sounddevice", "ssl", "starlette", "weasyprint", "zoneinfo",
)  # fmt: skip
"""Packages that neither the command nor its recorder needs for a session of a file."""
NOT_IN_RECORDER = (
    "agent", "capture.sources.device_selector", "capture.sound.source",
    "capture.sources.kinds", "capture.synthetic", "capture.sources.v4l2", "devices.device_service",
    "devices.monitor.holders", "devices.roles", "devices.monitor.snapshot", "devices.kernel.udev", "devices.usb",
    "numpy.random", "recorder.features.conference", "recorder.features.copies",
    "recorder.encode.hardware_process", "recorder.encode.hardware_worker", "recorder.features.report.incidents",
    "recorder.features.report.material", "recorder.features.report.page", "recorder.features.report.printing",
    "recorder.features.slides.chapters", "recorder.features.slides.detector",
    "recorder.features.profiler.profile", "recorder.live_encode.measurement",
    "recorder.live_encode.source_frames",
)  # fmt: skip
NOT_IN_COMMAND = (
    "PIL", "av", "capture", "xml", "cv2", "numpy", "recorder.features.dossier.store", "recorder.session.planning",
    "recorder.session.session", "agent.requests", "agent.web", "devices.kernel.udev",
)  # fmt: skip
"""The media libraries are the recorder's: a client waits for half of what they take."""


def loaded(said: str, names: tuple[str, ...]) -> set[str]:
    """Return which of `names`, or what is in them, Python has said it imported."""
    modules = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert len(modules) > 100, said[-1000:]
    return {name for name in names if any(one == name or one.startswith(f"{name}.") for one in modules)}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path)
    made.configure()
    made.archive.mkdir()
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=320x240:r=15:d=30", "-f", "lavfi", "-i", "sine=d=30",
        "-c:v", "mjpeg", tmp_path / "film.mkv",
    )  # fmt: skip
    return made


def test_a_recorder_of_a_film_loads_nothing_of_devices_before_it_is_ready(room: Room) -> None:
    film = str(room.home / "film.mkv")
    asked = SessionRequest(title="Rapat", videos=(film,), audios=(film,), profile=PROFILE, archive=room.archive)
    recorder = subprocess.Popen(
        RECORDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command.environment(room.home),
        cwd=room.home,
    )
    with recorder:
        assert recorder.stdin
        assert recorder.stdout
        assert recorder.stderr
        recorder.stdin.write(encode_spec(RecorderSpec(asked=asked, folder=room.home, arm_only=True)))
        recorder.stdin.close()
        errors = recorder.stderr.read().decode()  # up to where it has a log of its own
        ready = HANDSHAKE_DECODER.decode(recorder.stdout.readline())
        assert isinstance(ready, RecorderReady), ready
        assert loaded(errors, (*NEVER, *NOT_IN_RECORDER)) == set()
        # What its end needs may be replaced, or out of reach, by then. Python does not tell of a step's module, which
        # import_module itself loads: the modules that the dossier's step imports stand for it.
        needed = (
            "av",
            "capture.compose.cards",
            "recorder.archive.sealing",
            "recorder.features.dossier.papers",
            "recorder.session.planning",
            "recorder.recovery.packaging",
        )
        assert loaded(errors, needed) == set(needed)
        folder = RecorderFolder(Path(ready.folder))
        send_command(folder, StopCommand())


def test_the_command_loads_no_media_library(room: Room) -> None:
    words = room.words("--json", "--for", "1s", "--pace", "fast", video=room.home / "film.mkv")
    done = command.run_python(
        room.home,
        "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)",
        "-P", "-X", "importtime", "-m", "agent.cli.main", *map(str, words),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert loaded(done.stderr, (*(name for name in NEVER if name != "click"), *NOT_IN_COMMAND)) == set()


@pytest.mark.server
@pytest.mark.slow
def test_a_daemon_that_nothing_is_asked_of_is_light(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.configure(daemon.SETTINGS, 'kampus = "abcd-1234"\n')
    room.archive.mkdir()
    with daemon.started(room) as pid:
        assert daemon.cpu_s(pid) < 1.0 * slowness()
        process = psutil.Process(pid)
        (spare,) = wait_for(lambda: children("recorder.control.process", of=process), what="a recorder in reserve")
        wait_for(lambda: daemon.mapped(spare.pid), what="its media libraries")  # what they would look like
        assert daemon.mapped(pid) == set()
        assert process.memory_info().rss < 80_000_000


REINDEX_S, QUESTION_S = 5.0, 0.02
"""CPU seconds for 5,000 packages."""
READING_S = 0.08
"""CPU seconds for reading all files of 500 packages, on the machine on which these limits were set."""


@pytest.mark.slow
def test_an_archive_is_indexed_and_searched_in_the_time_promised(tmp_path: Path) -> None:
    both = [measure(tmp_path / name, PACKAGES // 10) for name in ("once", "again")]  # other tests run beside it
    cost = min(both, key=lambda one: one.reindex_s)
    reading_s = cpu_seconds(lambda: [path.read_bytes() for path in (tmp_path / "once").rglob("*") if path.is_file()])
    slower = slowness()
    assert cost.reindex_s < REINDEX_S / 10 * max(slower, reading_s / READING_S)
    assert cost.refresh_s < QUESTION_S * slower
    assert cost.question_s < QUESTION_S * slower
