"""Starting a recorder: a process that outlives us."""

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO

import msgspec

from config.errors import SessionError
from recorder.control.directory import RecorderFolder
from recorder.control.protocol import HANDSHAKES, Failure, one_line, raised
from recorder.control.spec import Spec, encode_spec

SPARE = "LIPUT_SPARE"
"""Set in the environment of a recorder that is started before there is something to record."""
DISCARD_S = 5.0
READY_S = 90.0
"""How long a recorder may take until it can be talked to: several disks and devices may each take 10 s to say no."""
HOME = Path(__file__).resolve().parents[2]


class Spawned:
    """A recorder that we have started. Its process is ours to wait for, and goes on without us."""

    def __init__(self, spec: Spec | None) -> None:
        """Start it; `ready` says how that went. Raises SessionError.

        With None it loads its libraries and waits to be told by `give` what to record: a spare, which is sooner ready.
        """
        # What it says before it has a log of its own.
        self._errors: IO[bytes] = os.fdopen(os.memfd_create("liput-recorder"), "w+b")
        path = os.environ.get("PYTHONPATH")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "recorder.control.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=spec.folder if spec else None,
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join(filter(None, (str(HOME), path)))}
                | ({} if spec else {SPARE: "1"}),
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise SessionError(
                f"no recorder can be started: {error.strerror}", hint="see whether memory is left"
            ) from None
        self.notes: list[str] = []
        self._spec = encode_spec(spec) if spec else b""

    def give(self, spec: Spec) -> None:
        """Say what a spare shall record; before `ready`."""
        self._spec = encode_spec(spec)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ready(self) -> RecorderFolder:
        """Wait until it can be talked to; that may take seconds, for devices are asked what they can do.

        Raises what it says is wrong, or SessionError where it says nothing.
        """
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            with self._process.stdin as stdin:
                stdin.write(self._spec)
        except BrokenPipeError:
            pass  # it has died; what it said is read below
        self._spec = b""
        with self._process.stdout as stdout:
            if not select.select([stdout], [], [], READY_S)[0]:
                self._process.kill()  # nothing is recorded yet, and nobody could end it any more
                self._errors.close()
                raise SessionError(
                    f"the recorder has not been ready within {READY_S:.0f} s: a disk or a device does not answer",
                    hint="see whether the archive can be listed, and what `liput devices` says; then try again",
                )
            line = stdout.readline()
        try:
            answer = HANDSHAKES.decode(line)
        except msgspec.MsgspecError:
            self._process.wait()
            raise SessionError(f"the recorder did not start: {self._last_words()}", hint="please report this") from None
        finally:
            self._errors.close()
        if isinstance(answer, Failure):
            self._process.wait()
            raise raised(answer)
        self.notes = answer.notes
        return RecorderFolder(Path(answer.folder))

    def wait(self, timeout_s: float) -> bool:
        """Wait for its process to end, at most so long; return whether it has."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def discard(self) -> None:
        """Let a spare go that was never told anything: it ends when nobody can tell it any more."""
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()
        if not self.wait(DISCARD_S):
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """Ask it to end in order; what it cannot hear any more changes nothing."""
        self._process.terminate()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return one_line(lines[-1]) if lines else f"it ended with status {self._process.returncode}"
