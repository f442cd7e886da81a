"""A session with a conference, with a real sound server: what the far side says is recorded, and never sent back."""

import contextlib
import os
import signal
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from tests.support.command import Line, Running, running
from tests.support.media import run
from tests.support.processes import children, is_alive
from tests.support.recorders import kill, recorders
from tests.support.sound_server import RATE, PipeWireMicrophone, PulseMicrophone, tones
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("late sound is lost", lane="sound"), pytest.mark.server, pytest.mark.slow]

NEAR_HZ, FAR_HZ = 700, 1000
AMPLITUDE = 8000
LEVEL_DBFS = 20 * np.log10(AMPLITUDE / 32_768)
SETTINGS = """
[conference]
camera = "No such camera"
near_side = ["pulse:mic.monitor"]

[archive]
reserve = "50 MB"
"""

type Sound = NDArray[np.float64]


def sink(server: PulseMicrophone, name: str) -> str:
    """Make a sink that plays nowhere; return its module."""
    return server.control("load-module", "module-null-sink", f"sink_name={name}", "rate=48000", "channels=2")


def microphone(server: PulseMicrophone) -> str:
    """Make the virtual microphone by hand; return the module of its sink."""
    module = sink(server, "liput")
    server.control("load-module", "module-remap-source", "source_name=liput_microphone", "master=liput.monitor")
    return module


@contextlib.contextmanager
def session(home: Path, server: PulseMicrophone) -> Iterator[Running]:
    settings = home / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS)
    words = ["record", "--conference", "--title", "Rapat", "--json", "--archive", str(home / "arsip")]
    inputs = ["--video", "synthetic", "--audio", "pulse:mic.monitor", "--audio", "pulse:far.monitor"]
    more = {name: value for name, value in server.environment.items() if name != "HOME"}
    with running(home, *words, *inputs, "--profile", "240p15", more=more) as command:
        yield command


def told(command: Running, kind: str, subject: str) -> Line:
    return command.until("event", kind=kind, subject=subject)


def lost_because(command: Running) -> list[str]:
    """Return each reason for which the microphone was lost."""
    reasons = []
    for line in command.seen:
        if (line["type"], line.get("kind"), line.get("subject")) == ("event", "conference-lost", "microphone"):
            assert isinstance(line["detail"], dict)
            reasons.append(line["detail"]["reason"])
    return reasons


def go_on(command: Running, seconds: float) -> None:
    elapsed = float(str(command.until("status")["elapsed_s"]))
    while float(str(command.until("status")["elapsed_s"])) < elapsed + seconds:
        pass


@contextlib.contextmanager
def listened(server: PulseMicrophone, path: Path) -> Iterator[None]:
    """Record the virtual microphone, as Zoom would."""
    with path.open("wb") as file:
        listener = subprocess.Popen(
            ["parec", "--device=liput_microphone", f"--rate={RATE}", "--channels=1", "--latency-msec=30"],
            env=server.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield
    finally:
        listener.terminate()
        listener.wait()


def dbfs(sound: Sound, hz: int) -> float:
    """Return the level of a tone, and of what is within 5 Hz of it: a sink's clock is never quite ours.

    Of less than 0.6 s, within the 3 bins by which the window widens a tone.
    """
    window = np.blackman(len(sound))
    spectrum = np.abs(np.fft.rfft(sound * window)) ** 2
    near = np.abs(np.fft.rfftfreq(len(sound), 1 / RATE) - hz) <= max(5, 3 * RATE / len(sound))
    power = 2 * spectrum[near].sum() / (window**2).sum() / len(sound)
    return float(10 * np.log10(2 * power / 32_768**2 + 1e-20))


def levels(sound: Sound, hz: int, seconds: float = 1) -> list[float]:
    """Return the level of a tone in each piece: a moment without a processor for it spoils one of them."""
    size = round(seconds * RATE)
    return [dbfs(sound[at : at + size], hz) for at in range(0, len(sound) - size + 1, size)]


def end(command: Running) -> Path:
    command.signal(signal.SIGINT)
    result = command.until("result")
    assert result["state"] == "sealed"
    assert command.wait_for_exit() == 3  # there is no such camera
    return Path(str(result["package"])) / "data/media/program.mp4"


def test_the_far_side_does_not_hear_itself_and_the_archive_has_both(tmp_path: Path) -> None:
    heard, mixed = tmp_path / "heard.pcm", tmp_path / "mixed.wav"
    with PipeWireMicrophone(tmp_path) as server:
        sink(server, "far")
        microphone(server)
        with (
            server.speak(tones(NEAR_HZ, NEAR_HZ, 90, amplitude=AMPLITUDE)),
            server.speak(tones(FAR_HZ, FAR_HZ, 90, amplitude=AMPLITUDE), "far"),
            session(tmp_path, server) as command,
        ):
            told(command, "conference-live", "microphone")
            go_on(command, 1)
            with listened(server, heard):
                go_on(command, 5)  # in real time: what is played is heard
            line = command.until("status")["conference"]
            program = end(command)
    assert line == {
        "camera": {"state": "waiting", "reason": "no-node"},
        "microphone": {"state": "live", "reason": None},
    }
    sound = np.fromfile(heard, np.int16).astype(np.float64)[RATE:]
    assert len(sound) > 3 * RATE
    whole = np.percentile(levels(sound, NEAR_HZ, 0.2), 90)  # between the gaps that a busy machine leaves
    assert whole == pytest.approx(LEVEL_DBFS, abs=0.5)
    assert dbfs(sound, NEAR_HZ) >= LEVEL_DBFS - 3, "much of it is missing"
    assert min(levels(sound, FAR_HZ)) <= -60, "a leak would be in each second"
    assert max(levels(sound, FAR_HZ)) <= -40, "more than a gap makes of the other tone"
    run("ffmpeg", "-v", "error", "-i", program, "-map", "0:a:0", "-ac", "1", "-ar", str(RATE), mixed)
    with wave.open(str(mixed)) as file:
        archived = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)[3 * RATE :]
    assert dbfs(archived, NEAR_HZ) == pytest.approx(LEVEL_DBFS, abs=1)
    assert dbfs(archived, FAR_HZ) == pytest.approx(LEVEL_DBFS, abs=1)


def test_sink_child_or_recorder_that_dies_costs_the_conference_only_that_time(tmp_path: Path) -> None:
    with PulseMicrophone(tmp_path) as server:
        sink(server, "far")
        server.control("load-module", "module-stream-restore")
        more = {name: value for name, value in server.environment.items() if name != "HOME"}
        (tmp_path / "arsip").mkdir()
        with (
            running(tmp_path, "serve", "--archive", str(tmp_path / "arsip"), "--json", more=more) as daemon,
            session(tmp_path, server) as command,
        ):
            daemon.until("note", text="ready")
            missing = told(command, "conference-lost", "microphone")
            assert "conference setup" in str(missing["detail"])
            module = microphone(server)
            told(command, "conference-live", "microphone")
            os.kill(player(command), signal.SIGKILL)
            told(command, "conference-lost", "microphone")
            told(command, "conference-live", "microphone")
            os.kill(player(command), signal.SIGSTOP)  # as where the sound server hangs it
            told(command, "conference-lost", "microphone")
            told(command, "conference-live", "microphone")
            server.control("unload-module", module)
            told(command, "conference-lost", "microphone")
            # In no other sink, where the room would hear it.
            wait_for(lambda: "Liput" not in server.control("list", "sink-inputs"))
            microphone(server)
            told(command, "conference-live", "microphone")
            assert lost_because(command) == ["no-sink", "failed", "hung", "lost"]
            kill_and_return(command, server)
            end(command)


def kill_and_return(command: Running, server: PulseMicrophone) -> None:
    """Kill the recorder, and wait for the next one, which is heard although somebody had muted the first."""
    (first,) = recorders(command.runtime)
    stream = server.control("list", "short", "sink-inputs").split()[0]
    server.control("set-sink-input-mute", stream, "1")  # PulseAudio remembers both for the next of its name
    server.control("set-sink-input-volume", stream, "10%")
    hung = psutil.Process(player(command))
    hung.suspend()  # so that it ends by nothing that it would notice itself
    kill(first.pid)
    wait_for(lambda: not is_alive(hung))
    told(command, "conference-live", "microphone")
    (again,) = recorders(command.runtime)
    assert again.pid != first.pid
    heard = server.control("list", "sink-inputs")
    assert "Mute: no" in heard
    assert "100%" in heard


def player(command: Running) -> int:
    """Return the process that plays into the virtual microphone."""
    (recorder,) = (psutil.Process(info.pid) for info in recorders(command.runtime))
    (child,) = children("recorder.features.conference.playback_child", recorder)
    return child.pid
