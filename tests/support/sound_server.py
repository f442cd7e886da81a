"""PulseAudio and PipeWire servers of a test's own with a microphone made of software: `room`, as PortAudio has it."""

import contextlib
import os
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray

INPUT = "room"
RATE = 48_000
_SINK = "mic"
_ASOUNDRC = f"""
pcm.{INPUT} {{
    type pulse
    device "{_SINK}.monitor"
    hint {{ show on  description "The microphone of a test" }}
}}
"""


class PulseMicrophone:
    """The server; a context manager. `environment` is what its clients need."""

    PACKAGES = "pulseaudio pulseaudio-utils"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "pulse.socket"
        self._home = folder / "pulse-home"
        self._runtime = Path()
        self._cleanup = contextlib.ExitStack()
        self._server: subprocess.Popen[bytes] | None = None
        self._loaded: list[str] = []

    def __enter__(self) -> Self:
        self._home.mkdir(exist_ok=True)
        (self._home / ".asoundrc").write_text(_ASOUNDRC)
        try:
            # The path of a socket may have 107 letters, fewer than some folders of tests have.
            self._runtime = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="liput-sound-")))
            self._server = self._start()
            self._wait_for(lambda: f"{_SINK}.monitor".encode() in self._pactl("list", "short", "sources").stdout)
            # A source that is the default by chance loses its readers to the next one. PipeWire keeps none at first.
            self._wait_for(lambda: self._pactl("set-default-source", f"{_SINK}.monitor").returncode == 0)
            self._listen()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        """Start what listens at the socket, with the sink whose monitor is the microphone."""
        return self._run(
            "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no",
            "-L", f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            "-L", f"module-null-sink sink_name={_SINK} rate={RATE} channels=2",
        )  # fmt: skip

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a program of the server's until the end of the context."""
        process = subprocess.Popen(
            words,
            env=self.environment | {"XDG_RUNTIME_DIR": str(self._runtime)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._cleanup.callback(self._end, process)
        return process

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a client: nothing of the machine's own sound comes into it."""
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR"}}
        # Without a folder for this a client makes one in the temporary directory, and leaves it there.
        runtime = {"PULSE_RUNTIME_PATH": str(self._runtime / "pulse")}
        return kept | runtime | {"HOME": str(self._home), "PULSE_SERVER": f"unix:{self._socket}"}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process and its children use the server."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def speak(self, samples: NDArray[np.int16], sink: str = _SINK) -> "contextlib.AbstractContextManager[None]":
        """Play `samples` (48 kHz, shape (frames, 2)) into the microphone, or another sink, while the context lasts."""
        path = self._folder / f"speech-{sink}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((2, 2, RATE, len(samples), "NONE", ""))
            file.writeframes(samples.tobytes())
        return self._playing(path, sink)

    @contextlib.contextmanager
    def _playing(self, path: Path, sink: str) -> Iterator[None]:
        player = subprocess.Popen(
            ["paplay", f"--device={sink}", "--latency-msec=50", str(path)],
            env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            self._end(player)

    def unplug(self) -> None:
        """Take the microphone away; the server stays."""
        self._pactl("unload-module", "module-null-sink")

    def control(self, *words: str) -> str:
        """Have `pactl` do something, and return what it says: the number of a module that it loads."""
        done = self._pactl(*words)
        if done.returncode:
            raise RuntimeError(f"pactl {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def load(self, *words: str) -> str:
        """Load a module, until `reset`; return its number."""
        self._loaded.append(self.control("load-module", *words))
        return self._loaded[-1]

    def reset(self) -> None:
        """Be again as at the beginning."""
        while self._loaded:
            self._pactl("unload-module", self._loaded.pop())
        self.control("set-default-source", f"{_SINK}.monitor")

    def kill(self) -> None:
        """Kill the server, as a crash does."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def _pactl(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["pactl", *words], env=self.environment, capture_output=True, check=False, timeout=10)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            has_ended = self._server is not None and self._server.poll() is not None
            if has_ended or time.monotonic() > deadline:
                raise RuntimeError(f"the sound server did not start; apt-get install {self.PACKAGES}")
            time.sleep(0.05)

    def _listen(self) -> None:
        """Keep one reader on the microphone: without one a null sink works in blocks of two seconds."""
        heard = self._home / "heard.pcm"  # not among the files of a test, which may use this name
        with heard.open("wb") as file:
            reader = subprocess.Popen(
                ["parec", f"--device={_SINK}.monitor", "--rate=8000", "--channels=1", "--latency-msec=20"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._cleanup.callback(self._end, reader)
        self._wait_for(lambda: heard.stat().st_size > 0)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tones(left_hz: float, right_hz: float, seconds: float, *, amplitude: int = 8000) -> NDArray[np.int16]:
    """Return a sine in each channel, shape (frames, 2), at 48 kHz."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * np.outer(time_s, (left_hz, right_hz)))).astype(np.int16)


class PipeWireMicrophone(PulseMicrophone):
    """The daemon, its session manager and its server for PulseAudio's clients."""

    PACKAGES = "pipewire pipewire-pulse wireplumber pulseaudio-utils"

    def _start(self) -> subprocess.Popen[bytes]:
        socket = self._runtime / "pulse" / "native"
        self._socket.symlink_to(socket)
        self._run("pipewire")
        self._wait_for((self._runtime / "pipewire-0").exists)
        self._run("wireplumber")
        server = self._run("pipewire-pulse")
        self._wait_for(socket.exists)
        self._wait_for(lambda: self._pactl("info").returncode == 0)
        self.control("load-module", "module-null-sink", "sink_name=mic", f"rate={RATE}", "channels=2")
        return server
