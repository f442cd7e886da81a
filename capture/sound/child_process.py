"""The child process that reads a sound input (capture/sound/child.py), its messages, and ALSA's names of inputs.

The parent writes a `SoundRequest` as a JSON line; the child answers with one line. After `SoundOpened` it sends blocks
of PCM: a header, then interleaved native-endian int16. A child with the task `follow` goes on with `SoundInputs` lines.
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
from devices.host.child import ChildProcess, python_module, with_program_path
from devices.host.framing import ReceiveBuffer

CARDS = Path("/proc/asound")
_NAME = re.compile(r"hw:CARD=([^,]+)(?:,DEV=(\d+))?")


def card_and_device(name: str) -> tuple[str, int] | None:
    """Return the card's id and the device number of an ALSA name, None for another kind of name."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2] or 0)) if match else None


def card_number(card: str) -> str | None:
    """Return the card's current number, None without such a card."""
    try:
        return (CARDS / card).readlink().name.removeprefix("card")
    except OSError:
        return None


def pcm_node(name: str) -> str | None:
    """Return the device node of the input `name`, a missing one for a gone card; None for another kind of name."""
    found = card_and_device(name)
    if found is None:
        return None
    card, device = found
    number = card_number(card)
    return f"/dev/snd/{card}" if number is None else f"/dev/snd/pcmC{number}D{device}c"


HEADER = struct.Struct("=QII")  # CLOCK_MONOTONIC nanoseconds of the first sample, number of samples a channel, flags

PULSE = "pulse"  # PortAudio's name of ALSA's plugin for the sound server
SERVER_PREFIX = "pulse:"  # prefix of the ids of PulseAudio's and PipeWire's sources, before the source's name

OVERFLOW = 1  # flag: samples were lost before this block


class SoundRequest(msgspec.Struct):
    """Open the input `name` (hw:CARD=ID,DEV=N, or PortAudio's name), at `rate` if possible.

    With `source`, a source of the sound server, `name` is PortAudio's input for the server. The other tasks need no
    name: `list` returns inputs and sources once, `follow` the sources now and at each change.
    """

    name: str = ""
    channels: int = 0
    rate: int = 0
    source: str | None = None
    task: Literal["open", "list", "follow"] = "open"


class SoundOpened(msgspec.Struct, tag="opened"):
    """The input runs at this rate; `scheduled` comes from devices.host.priority.request_audio_priority."""

    rate: int
    channels: int
    scheduled: str = ""


class SoundFailed(msgspec.Struct, tag="failed"):
    """The input was not opened; `missing`: PortAudio does not see it."""

    message: str
    missing: bool = False


class ServerSource(msgspec.Struct, frozen=True):
    """A source of PulseAudio or PipeWire; `alsa` names its card in this PC, `of_sink` the sink that it monitors."""

    name: str
    description: str
    channels: int
    alsa: str | None = None
    of_sink: str | None = None
    is_default: bool = False


class SoundInputs(msgspec.Struct, tag="inputs"):
    """PortAudio's inputs without sound cards' own, and the sound server's sources, none while none runs."""

    inputs: list[str] = []
    sources: list[ServerSource] = []


type Answer = SoundOpened | SoundFailed | SoundInputs


_START_S = 10.0
_SILENCE_S = 1.0
"""An input that sends nothing for so long is gone; PortAudio never says so. Only time in `read` counts: a PC that
stalls must not cost the audio of a session.
"""
_FIRST_S = 4.0  # time for the first block: the monitor of a sink begins with up to two seconds of nothing
_PIPE_BYTES = 1 << 20
_LONGEST_ANSWER = 1 << 20
_FRAME_BYTES = 2
_ANSWERS = msgspec.json.Decoder[Answer](Answer.__value__)

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_.*|TZ|XDG_RUNTIME_DIR|XDG_CONFIG_HOME|DBUS_SESSION_BUS_ADDRESS"
    r"|ALSA_.*|PULSE_.*|PIPEWIRE_.*|PA_ALSA_.*|LD_LIBRARY_PATH"
)  # the environment of a sound child: enough to find the sound server, and no secret of ours


def inherited() -> dict[str, str]:
    """Return the environment for a child that talks to a sound server."""
    return {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}


class SoundChild(ChildProcess):
    """A sound child and its output pipe."""

    def __init__(self, asked: SoundRequest) -> None:
        """Start it; raises OSError."""
        super().__init__(python_module("capture.sound.child"), env=with_program_path(inherited()))
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
        """Return the child's first message; raises DeviceError after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while (line := self._received.line()) is None:
            if not self._receive(deadline):
                self.close()
                raise DeviceError("the process that reads the sound does not answer", hint="Try again.", why="lost")
        self._patience_s = _FIRST_S
        answer: Answer = _ANSWERS.decode(line)
        return answer

    def next_message(self) -> Answer | None:
        """Wait for the next message without limit; None once the child has ended or its input is closed."""
        while (line := self._received.line()) is None:
            if not (data := self.read(None)):
                return None
            self._received.add(data)
        answer: Answer = _ANSWERS.decode(line)
        return answer

    def block(self, channels: int, deadline: float) -> tuple[int, bool, bytes] | None:
        """Return the next block: capture time, whether samples were lost before it, and its PCM.

        None at `deadline`; `is_lost` then tells whether the input is gone.
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
        """Buffer the child's output, waiting until `deadline`; return whether there was any."""
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
        """Close the child's input, and kill it if it stays."""
        self.end(0.2, 0.5)
