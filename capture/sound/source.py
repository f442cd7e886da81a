"""Reads microphones and the audio of capture cards, each through its own process (capture/sound/child.py)."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from capture.sound.child_process import (
    PULSE,
    SERVER_PREFIX,
    Answer,
    SoundChild,
    SoundFailed,
    SoundOpened,
    SoundRequest,
    pcm_node,
)
from capture.sound.inputs import SOUND_SERVERS, source_of_card
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource, Samples
from config.errors import DeviceError, DeviceNotFound
from devices.model.device import Device
from devices.monitor import holders

_START_S = 10.0  # time for a child's first answer: PortAudio looks at every device of the PC
_FIRST_WAIT_S = 0.1  # timeout of one read for the first block
_MONITOR = ".monitor"  # suffix of a sink's monitor source
_SETTLED_NS, _SETTLES_S = 50_000_000, 2.0
"""An unread sink works in blocks of seconds. It takes about a second until it works in small ones. Until then its
timestamps are too old, by a shrinking amount: audio placed by them would have holes.
"""


class SoundSource(AudioSource):
    """Reads one sound input: a device with an ALSA name, a source of the sound server, or an ALSA configuration input.

    `device` is a device (id pulse:NAME for the sound server), or PortAudio's name. `channels` is the wish until `open`;
    `rate` is the hardware's. `overflows` counts losses before the block reached this process. `scheduled` is `realtime`
    or `nice N`, of the child.
    """

    def __init__(self, device: Device | str, *, channels: int = 2) -> None:
        self.name = device.name if isinstance(device, Device) else device
        self._source, self._input = _where(device)
        self.channels = channels
        self.rate = SAMPLE_RATE
        self.overflows = 0
        self.scheduled = ""
        self._lost = False
        self._child: SoundChild | None = None
        self._resample: Callable[[Samples], Samples] | None = None
        self._first: AudioBlock | None = None

    def relocate(self, device: Device) -> None:
        """Open `device` the next time: the same device with another ALSA name or port."""
        self._source, self._input = _where(device)

    @property
    def pid(self) -> int | None:
        """The child's id while open."""
        return None if self._child is None else self._child.pid

    def facts(self, _opened: None) -> dict[str, Any]:
        """Return the hardware's rate and channels, and the child's id."""
        return {"rate": self.rate, "channels": self.channels, "pid": self.pid, "scheduled": self.scheduled}

    def open(self) -> None:
        """Start the child and wait for the first block, so that none is missing; raises a DeviceError."""
        self._first = self._resample = None
        self._lost = False
        child = SoundChild(
            SoundRequest(PULSE if self._source else self._input, self.channels, SAMPLE_RATE, self._source)
        )
        try:
            answer = child.answer(_START_S)
        except DeviceError as error:
            raise holders.device_open_error(errno.ETIMEDOUT, self.name, self._input) from error
        if not isinstance(answer, SoundOpened):
            child.close()
            raise open_error(self.name, self._input, answer)
        self._child = child
        self.channels, self.rate, self.scheduled = answer.channels, answer.rate, answer.scheduled
        if answer.rate != SAMPLE_RATE:
            self._resample = resampler(answer.rate, answer.channels)
        first = self._next(time.monotonic() + _START_S)
        settled_by = time.monotonic() + _SETTLES_S
        is_monitor = self._source is not None and self._source.endswith(_MONITOR)
        while is_monitor and time.monotonic_ns() - first.timestamp_ns > _SETTLED_NS:
            if time.monotonic() > settled_by:
                break
            first = self._next(settled_by + _START_S)
        self._first = first

    def _next(self, deadline: float) -> AudioBlock:
        """Return the next block; raises DeviceError at `deadline`."""
        while (block := self.read(_FIRST_WAIT_S)) is None:
            if time.monotonic() > deadline:
                raise holders.device_lost_error(self.name, self._input)
        return block

    def read(self, timeout_s: float) -> AudioBlock | None:
        """Return the next block, about 20 ms, or None; raises DeviceError if the child ends or is silent for 1 s."""
        if self._child is None:
            raise holders.device_lost_error(self.name, self._input)
        if self._first is not None:
            first, self._first = self._first, None
            return first
        deadline = time.monotonic() + timeout_s
        while True:
            received = self._child.block(self.channels, deadline)
            if received is None:
                if self._child.is_lost:
                    raise holders.device_lost_error(self.name, self._input)
                return None
            block = self._audio_block(*received)
            if block is not None:
                return block

    def _audio_block(self, captured_ns: int, lost: bool, pcm: bytes) -> AudioBlock | None:  # noqa: FBT001 - a block's part
        self.overflows += lost
        self._lost = self._lost or lost
        samples: Samples = np.frombuffer(pcm, np.int16).reshape(-1, self.channels)
        if self._resample is not None:
            samples = self._resample(samples)
        if not len(samples):
            return None  # the resampler holds its first samples back; `_lost` goes with the next block
        lost, self._lost = self._lost, False
        return AudioBlock(captured_ns, samples, lost)

    def close(self) -> None:
        """End the child, within a fraction of a second."""
        if self._child is not None:
            self._child.close()
        self._child = None


def _where(device: Device | str) -> tuple[str | None, str]:
    """Return the sound server's name of the input, if any, and the name to open."""
    if isinstance(device, str):
        identifier, alsa, name = device, None, device
    else:
        identifier, alsa, name = device.id, device.alsa, device.name
    source = identifier.removeprefix(SERVER_PREFIX) if identifier.startswith(SERVER_PREFIX) else None
    return source, identifier if source else alsa or name


def resampler(rate: int, channels: int) -> Callable[[Samples], Samples]:
    """Return a converter from `rate` to SAMPLE_RATE, shape (samples, channels); it delays by a few samples."""
    layout = "mono" if channels == 1 else f"{channels}c" if channels > 2 else "stereo"
    converter = av.AudioResampler(format="s16", layout=layout, rate=SAMPLE_RATE)

    def resample(samples: Samples) -> Samples:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        frame.pts = None
        converted = [part.to_ndarray().reshape(-1, channels) for part in converter.resample(frame)]
        return np.concatenate(converted) if converted else samples[:0]

    return resample


def open_error(name: str, sound_input: str, answer: Answer) -> DeviceError:
    """Return the reason why `sound_input` did not open: PortAudio's is vague, so the system is asked."""
    message = answer.message if isinstance(answer, SoundFailed) else "an answer that makes no sense"
    node = pcm_node(sound_input)
    if node is not None:
        if not Path(node).exists():
            return DeviceNotFound(f"{name} ({sound_input}) is not plugged in any more", hint="Plug it in again.")
        if not os.access(node, os.R_OK):
            return holders.device_denied_error(name, node)
        if holders.holders(node):
            return _busy(name, sound_input, node)
    if isinstance(answer, SoundFailed) and answer.missing:
        return DeviceNotFound(f"there is no sound input {name} ({sound_input})", hint="See: liput devices")
    return DeviceError(
        f"{name} ({sound_input}) cannot be recorded: {message}", hint="See: liput devices", why="unsupported"
    )


def _busy(name: str, sound_input: str, node: str) -> DeviceError:
    """Return the holders of the input, and how to record it through the sound server."""
    busy = holders.device_busy_error(name, node)
    if any(holder.command in SOUND_SERVERS for holder in holders.holders(node)):
        source = source_of_card(sound_input)
        if source is not None:
            hint = f"The sound server has it, and shares it: --audio pulse:{source.name}"
            return DeviceError(busy.message, hint=hint, why="busy")
    return busy
