"""Starting a recorder: a process that outlives us."""

import contextlib
import signal
import time
from pathlib import Path

import msgspec

from config.errors import SessionError
from devices.host.child import HOME, ChildProcess
from devices.host.framing import ReceiveBuffer
from recorder.control.launched import Unit, environment, launched
from recorder.control.spec import ENVIRONMENT, LONGEST, Spec, encode_spec
from recorder.model.names import quoted
from recorder.running.directory import RecorderFolder
from recorder.running.protocol import HANDSHAKES, Failure, raised

DISCARD_S = 5.0
READY_S = 90.0
"""How long a recorder may take until it can be talked to: several disks and devices may each take 10 s to say no."""


class Spawned:
    """A recorder that we have started. Its process is ours to wait for, and goes on without us."""

    def __init__(self, spec: Spec | None, begun: tuple[ChildProcess | Unit, str] | None = None) -> None:
        """Start it, where it has not `begun` already; `ready` says how that went. Raises SessionError.

        With None it loads its libraries and waits to be told by `give` what to record: a spare, which is sooner ready.
        """
        folder, is_spare = (spec.folder, False) if spec else (None, True)
        try:
            self._process, note = begun or launched(folder, is_spare=is_spare, home=HOME)
        except OSError as error:
            raise SessionError(
                f"no recorder can be started: {error.strerror}", hint="see whether memory is left"
            ) from None
        self.notes = [note] if note else []
        self._spec = _told(spec) if spec else b""

    def give(self, spec: Spec) -> None:
        """Say what a spare shall record; before `ready`."""
        self._spec = _told(spec)

    @property
    def pid(self) -> int:
        """Its process; 0 while that is not known, of a unit."""
        return self._process.pid

    def ready(self) -> RecorderFolder:
        """Wait until it can be talked to; that may take seconds, for devices are asked what they can do.

        Raises what it says is wrong, or SessionError where it says nothing.
        """
        with contextlib.suppress(BrokenPipeError):  # it has died; what it said is read below
            self._process.give(self._spec)
            self._process.close_input()
        self._spec = b""
        line = self._answer()
        if line is None:
            self._process.send(signal.SIGKILL)  # nothing is recorded yet, and nobody could end it any more
            self._process.let_go()
            raise SessionError(
                f"the recorder has not been ready within {READY_S:.0f} s: a disk or a device does not answer",
                hint="see whether the archive can be listed, and what `liput devices` says; then try again",
            )
        try:
            answer = HANDSHAKES.decode(line)
        except msgspec.MsgspecError:
            words = quoted(self._process.last_words())
            raise SessionError(f"the recorder did not start: {words}", hint="please report this") from None
        finally:
            self._process.let_go()
        if isinstance(answer, Failure):
            self._process.wait()
            raise raised(answer)
        self.notes = [*self.notes, *answer.notes]
        return RecorderFolder(Path(answer.folder))

    def _answer(self) -> bytes | None:
        """Return the one line that it says, what there is of it at its end; None where that does not come in time."""
        received, until_s = ReceiveBuffer(LONGEST), time.monotonic() + READY_S
        while (line := received.line()) is None:
            piece = self._process.read(max(0.0, until_s - time.monotonic()))
            if not piece:
                return None if piece is None else received.rest()
            received.add(piece)
        return line

    def wait(self, timeout_s: float) -> bool:
        """Wait for its process to end, at most so long; return whether it has."""
        return self._process.wait(timeout_s)

    def discard(self) -> None:
        """Let a spare go that was never told anything: it ends when nobody can tell it any more."""
        self._process.let_go()
        if not self.wait(DISCARD_S):
            self._process.send(signal.SIGKILL)
            self._process.wait()

    def terminate(self) -> None:
        """Ask it to end in order; what it cannot hear any more changes nothing."""
        self._process.send(signal.SIGTERM)


def _told(spec: Spec) -> bytes:
    """Return what a recorder is told: also what it does not inherit from us."""
    known = environment(ENVIRONMENT, spec.environment)
    return encode_spec(msgspec.structs.replace(spec, environment=known))
