"""The child process that reads a sound input (capture/sound/child.py), its messages, and ALSA's names of inputs.

The parent writes one `Request` as a JSON line; the child answers with one line. After `Opened` it sends blocks of PCM:
a header, then interleaved native-endian int16. A child with the task `follow` goes on with `Listing` lines.
"""

import fcntl
import os
import re
import struct
import time
from pathlib import Path
from typing import Literal

import msgspec

from config.errors import DeviceError
from devices.host.child import ChildProcess, finding_us, python_module
from devices.host.framing import ReceiveBuffer

CARDS = Path("/proc/asound")
_NAME = re.compile(r"hw:CARD=([^,]+)(?:,DEV=(\d+))?")


def card_and_device(name: str) -> tuple[str, int] | None:
    """Return the card's id and the number of its device that `name` names, None where it is no such name."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2] or 0)) if match else None


def card_number(card: str) -> str | None:
    """Return the number that the card has now, None where there is none of that id."""
    try:
        return (CARDS / card).readlink().name.removeprefix("card")
    except OSError:
        return None


def pcm_node(name: str) -> str | None:
    """Return the node of the input `name`, of a gone card one that is not there; None for another kind of name."""
    found = card_and_device(name)
    if found is None:
        return None
    card, device = found
    number = card_number(card)
    return f"/dev/snd/{card}" if number is None else f"/dev/snd/pcmC{number}D{device}c"


HEADER = struct.Struct("=QII")
"""CLOCK_MONOTONIC nanoseconds of the first sample, number of frames, flags."""

PULSE = "pulse"
"""PortAudio's name for ALSA's plugin for the sound server."""
SERVER_PREFIX = "pulse:"
"""The ids of a sound server's sources begin with it; the source's name follows. PulseAudio's and PipeWire's alike."""

OVERFLOW = 1
"""Flag: samples were lost before the first of this block."""


class Request(msgspec.Struct):
    """Open the input `name` (an ALSA name of the form hw:CARD=ID,DEV=N, or PortAudio's name) at `rate` if it can.

    With `source`, a source of the sound server, `name` is the input through which PortAudio gets at it. The other tasks
    need no more: `list` tells the inputs and sources once, `follow` the sources now and whenever they differ.
    """

    name: str = ""
    channels: int = 0
    rate: int = 0
    source: str | None = None
    task: Literal["open", "list", "follow"] = "open"


class Opened(msgspec.Struct, tag="opened"):
    """The input runs, at this rate; `scheduled` is from devices.host.priority.ask_for_sound."""

    rate: int
    channels: int
    scheduled: str = ""


class Failed(msgspec.Struct, tag="failed"):
    """The input was not opened; `missing` if PortAudio does not see it."""

    message: str
    missing: bool = False


class ServerSource(msgspec.Struct, frozen=True):
    """A source of PulseAudio or PipeWire: `alsa` names a card of this computer, `of_sink` the sink that it monitors."""

    name: str
    description: str
    channels: int
    alsa: str | None = None
    of_sink: str | None = None
    is_default: bool = False


class Listing(msgspec.Struct, tag="inputs"):
    """PortAudio's inputs that are no sound card's own, and all sources of the sound server; none while none runs."""

    inputs: list[str] = []
    sources: list[ServerSource] = []


type Answer = Opened | Failed | Listing


_START_S = 10.0
_SILENCE_S = 1.0
"""An input that sends nothing for so long is gone; PortAudio never says so. Only time in which somebody waited for it
counts: a PC that stands still for a moment must not cost the sound of a whole session."""
_FIRST_S = 4.0
"""How long the first block may take: the monitor of a sound server's sink begins with up to two seconds of nothing."""
_PIPE_BYTES = 1 << 20
_LONGEST_ANSWER = 1 << 20
_FRAME_BYTES = 2
_ANSWERS = msgspec.json.Decoder[Answer](Answer.__value__)

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_.*|TZ|XDG_RUNTIME_DIR|XDG_CONFIG_HOME|DBUS_SESSION_BUS_ADDRESS"
    r"|ALSA_.*|PULSE_.*|PIPEWIRE_.*|PA_ALSA_.*|LD_LIBRARY_PATH"
)
"""The environment that a sound child gets: what finding the sound server takes, and no secret of ours."""


def inherited() -> dict[str, str]:
    """Return the environment that a child which talks to a sound server gets."""
    return {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}


class SoundChild(ChildProcess):
    """A sound child and the pipe it writes to."""

    def __init__(self, asked: Request) -> None:
        """Start it. Raises OSError."""
        super().__init__(python_module("capture.sound.child"), env=finding_us(inherited()))
        fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._received = ReceiveBuffer(_LONGEST_ANSWER)
        self._header: tuple[int, int, int] | None = None
        self._patience_s = _START_S
        self.is_lost = False
        try:
            self.give(msgspec.json.encode(asked) + b"\n")
        except BrokenPipeError:
            self.is_lost = True

    def answer(self, timeout_s: float) -> Answer:
        """Return what the child says first; raises DeviceError if it says nothing in time."""
        deadline = time.monotonic() + timeout_s
        while (line := self._received.line()) is None:
            if not self._receive(deadline):
                self.close()
                raise DeviceError("the process that reads the sound gives no answer", hint="Try again.", why="lost")
        self._patience_s = _FIRST_S
        answer: Answer = _ANSWERS.decode(line)
        return answer

    def told(self) -> Answer | None:
        """Return the next words of a child, however long that takes; None when it has ended, or its input is closed."""
        while (line := self._received.line()) is None:
            if not (data := self.read(None)):
                return None
            self._received.add(data)
        answer: Answer = _ANSWERS.decode(line)
        return answer

    def block(self, channels: int, deadline: float) -> tuple[int, bool, bytes] | None:
        """Return the next block: when it was captured, whether samples were lost before it, and its PCM.

        None when none came before `deadline`; then `is_lost` says whether any can.
        """
        while (block := self._next_block(channels)) is None:
            if not self._receive(deadline):
                self.is_lost = self.is_lost or self._patience_s <= 0
                return None
        return block

    def _next_block(self, channels: int) -> tuple[int, bool, bytes] | None:
        if self._header is None and (head := self._received.take(HEADER.size)) is not None:
            self._header = HEADER.unpack(head)
        if self._header is None:
            return None
        captured_ns, frames, flags = self._header
        pcm = self._received.take(frames * channels * _FRAME_BYTES)
        if pcm is None:
            return None
        self._header = None
        return captured_ns, bool(flags & OVERFLOW), pcm

    def _receive(self, deadline: float) -> bool:
        """Take what the child has written, waiting for it until `deadline`; return whether there was anything."""
        wait_s = max(0.0, min(deadline - time.monotonic(), self._patience_s))
        data = self.read(wait_s, _PIPE_BYTES)
        if data is None:
            self._patience_s -= wait_s
            return False
        if not data:
            self.is_lost = True
            return False
        self._received.add(data)
        self._patience_s = _SILENCE_S
        return True

    def close(self) -> None:
        """Tell the child to leave by closing its input, and kill it if it does not."""
        self.end(0.2, 0.5)
