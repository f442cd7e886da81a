"""Starts recorders: processes that outlive their starter."""

import contextlib
import os
import signal
import time
from pathlib import Path

import msgspec

from config.errors import SessionError
from devices.host.child import ChildProcess
from devices.host.framing import ReceiveBuffer
from recorder.control.launch import RECORDERS_VARIABLE, RecorderUnit, launch_recorder
from recorder.control.spec import LARGEST_SPEC_BYTES, RecorderSpec, encode_spec, passed_environment
from recorder.model.names import quoted
from recorder.running.protocol import HANDSHAKE_DECODER, RecorderFailure, RecorderRefused
from recorder.running.runtime_directory import RecorderFolder

DISCARD_S = 5.0
READY_S = 90.0  # longest start of a recorder: several disks and devices may time out after 10 s each


class SpawnedRecorder:
    """A recorder started here. Its process can be waited for, and goes on without us."""

    def __init__(self, spec: RecorderSpec | None, begun: tuple[ChildProcess | RecorderUnit, str] | None = None) -> None:
        """Start a recorder, or take one that has `begun`; without `spec` a spare, waiting for `give`.

        Raises SessionError.
        """
        folder, is_spare = (spec.folder, False) if spec else (None, True)
        try:
            self._process, note = begun or launch_recorder(folder, is_spare=is_spare)
        except OSError as error:
            raise SessionError(f"no recorder can be started: {error.strerror}", hint="check the free memory") from None
        self.notes = [note] if note else []
        self._spec = _encode_with_environment(spec) if spec else b""

    def give(self, spec: RecorderSpec) -> None:
        """Set the specification of a spare, before `ready`."""
        self._spec = _encode_with_environment(spec)

    @property
    def pid(self) -> int:
        """Its pid, 0 while that of a unit is unknown."""
        return self._process.pid

    def ready(self) -> RecorderFolder:
        """Send the specification; blocks for READY_S at most. Raises the recorder's error, SessionError without one."""
        with contextlib.suppress(BrokenPipeError):  # it is dead; its last line is read below
            self._process.give(self._spec)
            self._process.close_input()
        self._spec = b""
        line = self._read_handshake()
        if line is None:
            self._process.send(signal.SIGKILL)  # it records nothing, and nobody could end it
            self._process.let_go()
            raise SessionError(
                f"the recorder has not been ready within {READY_S:.0f} s: a disk or a device does not answer",
                hint="check the archive's disk and `liput devices`; then try again",
                why="not-ready",
            )
        try:
            answer = HANDSHAKE_DECODER.decode(line)
        except msgspec.MsgspecError:
            words = quoted(self._process.last_words())
            raise SessionError(f"the recorder did not start: {words}", hint="please report this") from None
        finally:
            self._process.let_go()
        if isinstance(answer, RecorderFailure):
            self._process.wait()
            raise RecorderRefused(answer)
        self.notes = [*self.notes, *answer.notes]
        return RecorderFolder(Path(answer.folder))

    def _read_handshake(self) -> bytes | None:
        """Return the recorder's line, incomplete at its end; None after READY_S."""
        received, until_s = ReceiveBuffer(LARGEST_SPEC_BYTES), time.monotonic() + READY_S
        while (line := received.line()) is None:
            piece = self._process.read(max(0.0, until_s - time.monotonic()))
            if not piece:
                return None if piece is None else received.rest()
            received.add(piece)
        return line

    def wait(self, timeout_s: float) -> bool:
        """Wait for the process to end; return whether it did within `timeout_s`."""
        return self._process.wait(timeout_s)

    def discard(self) -> None:
        """End an unused spare: it ends by itself once its standard input closes."""
        self._process.let_go()
        if not self.wait(DISCARD_S):
            self._process.send(signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        """End it at once. Only for a preview, which loses nothing."""
        self._process.send(signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> None:
        """Send SIGTERM: the recorder ends in order."""
        self._process.send(signal.SIGTERM)


def _encode_with_environment(spec: RecorderSpec) -> bytes:
    """Return the specification, with our environment for a unit, which does not inherit it."""
    if spec.environment is None and RECORDERS_VARIABLE in os.environ:
        spec = msgspec.structs.replace(spec, environment=passed_environment())
    return encode_spec(spec)
