"""A sound child (capture/sound/child.py) as its parent sees it: started, asked, read and ended."""

import contextlib
import fcntl
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from capture.sound.wire import HEADER, Answer, Asked, Header
from config.errors import DeviceLost

_START_S = 10.0
_SILENCE_S = 1.0
"""An input that sends nothing for so long is gone; PortAudio never says so. Only time in which somebody waited for it
counts: a PC that stands still for a moment must not cost the sound of a whole session."""
_FIRST_S = 4.0
"""How long the first block may take: the monitor of a sound server's sink begins with up to two seconds of nothing."""
_PIPE_BYTES = 1 << 20
_FRAME_BYTES = 2

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_.*|TZ|XDG_RUNTIME_DIR|XDG_CONFIG_HOME|DBUS_SESSION_BUS_ADDRESS"
    r"|ALSA_.*|PULSE_.*|PIPEWIRE_.*|PA_ALSA_.*|LD_LIBRARY_PATH"
)
"""The environment that a sound child gets: what finding the sound server takes, and no secret of ours."""


def inherited() -> dict[str, str]:
    """Return the environment that a child which talks to a sound server gets."""
    return {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}


class SoundChild:
    """A sound child and the pipe it writes to."""

    def __init__(self, asked: Asked) -> None:
        home = str(Path(__file__).resolve().parents[2])
        # A session of its own: Ctrl-C on the terminal is the recorder's business.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "capture.sound.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=inherited() | {"PYTHONPATH": home},
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        assert self._process.stdout is not None  # noqa: S101
        self._fd = self._process.stdout.fileno()
        os.set_blocking(self._fd, False)
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._received = bytearray()
        self._patience_s = _START_S
        self.is_lost = False
        self.pid = self._process.pid
        try:
            self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.is_lost = True

    def answer(self, timeout_s: float) -> Answer:
        """Return what the child says first; raises DeviceLost if it says nothing in time."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            if not self._receive(deadline):
                self.close()
                raise DeviceLost("the process that reads the sound gives no answer", hint="Try again.")
        self._patience_s = _FIRST_S
        return self._line()

    def told(self) -> Answer | None:
        """Return what a child that goes on telling says next, however long that takes; None when it has ended."""
        os.set_blocking(self._fd, True)
        while b"\n" not in self._received:
            data = os.read(self._fd, _PIPE_BYTES)
            if not data:
                return None
            self._received += data
        return self._line()

    def _line(self) -> Answer:
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        answer: Answer = msgspec.json.decode(line, type=Answer)
        return answer

    def block(self, channels: int, deadline: float) -> tuple[Header, bytes] | None:
        """Return the next block, or None when none came before `deadline`; then `is_lost` says whether any can."""
        while True:
            if len(self._received) >= HEADER.size:
                header = Header(*HEADER.unpack_from(self._received))
                end = HEADER.size + header.frames * channels * _FRAME_BYTES
                if len(self._received) >= end:
                    pcm = bytes(self._received[HEADER.size : end])
                    del self._received[:end]
                    return header, pcm
            if not self._receive(deadline):
                self.is_lost = self.is_lost or self._patience_s <= 0
                return None

    def _receive(self, deadline: float) -> bool:
        """Take what the child has written, waiting for it until `deadline`; return whether there was anything."""
        wait_s = max(0.0, min(deadline - time.monotonic(), self._patience_s))
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(wait_s * 1000):
            self._patience_s -= wait_s
            return False
        data = os.read(self._fd, _PIPE_BYTES)
        if not data:
            self.is_lost = True
            return False
        self._received += data
        self._patience_s = _SILENCE_S
        return True

    def dismiss(self) -> None:
        """Tell the child to leave, and do not wait for it: whoever is in `told` comes out of it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has died, and has not read what it was asked
                self._process.stdin.close()

    def close(self) -> None:
        """Tell the child to leave by closing its input, and kill it if it does not."""
        self.dismiss()
        process = self._process
        if process.stdout is not None:
            process.stdout.close()
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            # One that hangs in the kernel does not die of it; the end of a session does not wait for it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
