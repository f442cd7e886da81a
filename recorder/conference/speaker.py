"""The process that plays into the virtual microphone, seen from the recorder (recorder/conference/playing.py).

Samples go through a pipe that holds a tenth of a second, so what is late cannot pile up there; the child tells what it
has taken and how much the server still holds.
"""

import os
import select

import msgspec

from capture.sound.process import inherited
from capture.source import SAMPLE_RATE, Samples
from devices.host.child import ChildProcess, finding_us, python_module
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import ReceiveBuffer
from recorder.conference.half import ConferenceError

PIPE_BYTES = 16_384
PIECE = select.PIPE_BUF
"""So many bytes are taken by a pipe as a whole or not at all: no sample is torn."""
HUNG_S = 5.0
"""A child that tells nothing for so long hangs, or its server does."""
HELD_S = 0.4
"""More than the server holds at most (four times recorder.conference.playing.LATENCY_S)."""
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


def failure(code: str, sink: str) -> ConferenceError:
    """Return why the child cannot play into `sink`."""
    if code not in _FAILURES:
        ended = "what plays into the virtual microphone has ended"
        return ConferenceError("failed", ended, hint="please report this")
    message, hint = _FAILURES[code]
    return ConferenceError(code, message.format(sink=sink), hint=hint)


class Told(msgspec.Struct, frozen=True):
    """A line of the child: why it failed; or bytes it has taken so far, and how long the server needs to play them."""

    failed: str | None = None
    taken: int = 0
    latency_us: int = 0


_TOLD = msgspec.json.Decoder(Told)


class Speaker(ChildProcess):
    """A child that plays 16-bit samples at 48 kHz into `sink`; nothing here waits, but for `close`. One thread."""

    def __init__(self, sink: str, channels: int, clock: Clock) -> None:
        """Start it. Raises OSError."""
        command = python_module("recorder.conference.playing", sink, str(channels), str(os.getpid()))
        super().__init__(command, env=finding_us(inherited()))
        self.resize_pipes(PIPE_BYTES)
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
        self._received = ReceiveBuffer(PIPE_BYTES)

    def look(self) -> bool:
        """Take what the child has told; return whether it plays. Raises ConferenceError when it cannot, or hangs."""
        now_ns = self._clock.now_ns()
        received = self.read()
        if received == b"":
            raise failure("ended", self._sink)
        self._received.add(received or b"")
        for line in iter(self._received.line, None):
            told = _TOLD.decode(line)
            if told.failed:
                raise failure(told.failed, self._sink)
            self.backlog = (self._sent - told.taken) // self._bytes + told.latency_us * 48 // 1000
            self._heard_ns, self.is_playing = now_ns, True
            self.takes = told.taken > HELD_S * SAMPLE_RATE * self._bytes
        if now_ns - self._heard_ns > HUNG_S * NANOSECONDS:
            raise failure("hung", self._sink)
        return self.is_playing

    def play(self, samples: Samples) -> None:
        """Hand on `samples`; what the pipe has no room for is dropped."""
        data = samples.tobytes()
        for at in range(0, len(data), PIECE):
            taken = self.write(data[at : at + PIECE])
            if not taken:
                break  # it is full, or has gone: `look` tells why
            self._sent += taken

    def close(self) -> None:
        """End the child; takes a fraction of a second whatever state it is in."""
        self.end(0.3, 0.5)
