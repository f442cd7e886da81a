"""The process that plays into the virtual microphone, seen from the recorder (recorder/conference/playing.py).

Samples go through a pipe that holds a tenth of a second, so what is late cannot pile up there; the child tells what it
has taken and how much the server still holds.
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
from pathlib import Path

import msgspec

from capture.sound.process import inherited
from capture.source import SAMPLE_RATE, Samples
from devices.clock import NANOSECONDS, Clock

PIPE_BYTES = 16_384
PIECE = select.PIPE_BUF
"""So many bytes are taken by a pipe as a whole or not at all: no sample is torn."""
HUNG_S = 5.0
"""A child that tells nothing for so long hangs, or its server does."""
HELD_S = 0.4
"""More than the server holds at most (four times recorder.conference.pulse.LATENCY_S)."""
SETUP = "liput conference setup makes it."

_FAILURES = {
    "no-library": ("libpulse is not installed, so there is no virtual microphone", "sudo apt-get install libpulse0"),
    "no-server": (
        "no sound server runs, so there is no virtual microphone",
        "log in to the desktop, or start pipewire",
    ),
    "no-sink": ('there is no sink called "{sink}", so there is no virtual microphone', SETUP),
    "lost": ('the sound server has taken the sink "{sink}" away', SETUP),
    "stalled": ('the sink "{sink}" takes no sound any more', SETUP),
    "hung": ("the sound server does not answer", "systemctl --user restart pipewire-pulse, or pulseaudio"),
}


class SpeakerFailed(Exception):
    """The child cannot play: a stable code, a sentence and what to do."""

    def __init__(self, code: str, sink: str) -> None:
        message, hint = _FAILURES.get(code, ("what plays into the virtual microphone has ended", "please report this"))
        self.code = code if code in _FAILURES else "failed"
        self.message = message.format(sink=sink)
        self.hint = hint
        super().__init__(self.message)


class Told(msgspec.Struct, frozen=True):
    """A line of the child: why it failed; or bytes it has taken so far, and how long the server needs to play them."""

    failed: str | None = None
    taken: int = 0
    latency_us: int = 0


class Speaker:
    """A child that plays 16-bit samples at 48 kHz into `sink`; nothing here waits, but for `close`. One thread."""

    def __init__(self, sink: str, channels: int, clock: Clock) -> None:
        self.is_playing = False
        """Whether there is a stream into the sink."""
        self.takes = False
        """Whether the sink has taken more than the server holds: it plays, and does not only fill up."""
        self._sink = sink
        self._bytes = 2 * channels
        self._clock = clock
        self._sent = 0
        self.backlog: int | None = None
        """How many samples wait to be played, on their way and in the server; None before that is known."""
        self._heard_ns = clock.now_ns()
        self._received = bytearray()
        home = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recorder.conference.playing", sink, str(channels), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=inherited() | {"PYTHONPATH": home},
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        assert self._process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
        fcntl.fcntl(self._stdin.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @property
    def pid(self) -> int:
        """The child's process."""
        return self._process.pid

    def look(self) -> bool:
        """Take what the child has told; return whether it plays. Raises SpeakerFailed when it cannot, or hangs."""
        now_ns = self._clock.now_ns()
        for line in self._lines():
            told = msgspec.json.decode(line, type=Told)
            if told.failed:
                raise SpeakerFailed(told.failed, self._sink)
            self.backlog = (self._sent - told.taken) // self._bytes + told.latency_us * 48 // 1000
            self._heard_ns, self.is_playing = now_ns, True
            self.takes = told.taken > HELD_S * SAMPLE_RATE * self._bytes
        if now_ns - self._heard_ns > HUNG_S * NANOSECONDS:
            raise SpeakerFailed("hung", self._sink)
        return self.is_playing

    def _lines(self) -> list[bytes]:
        received: bytes | None = b""
        with contextlib.suppress(BlockingIOError):
            received = self._stdout.read(65_536)
            if received == b"":
                raise SpeakerFailed("ended", self._sink)
        self._received += received or b""
        *lines, self._received = self._received.split(b"\n")
        return [bytes(line) for line in lines]

    def play(self, samples: Samples) -> None:
        """Hand on `samples`; what the pipe has no room for is dropped."""
        data = samples.tobytes()
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # why it has gone, `look` tells
            for at in range(0, len(data), PIECE):
                self._sent += os.write(self._stdin.fileno(), data[at : at + PIECE])

    def close(self) -> None:
        """End the child; takes a fraction of a second whatever state it is in."""
        self._stdin.close()
        self._stdout.close()
        try:
            self._process.wait(0.3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
