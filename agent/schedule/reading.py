"""A calendar that is being read, by a process of its own; nothing here waits for it."""

import subprocess
import sys
import tempfile
import threading
from typing import IO

import msgspec

from agent.own_command import environment
from agent.schedule.event import Answer, Wanted
from config.errors import LiputError, StateError
from devices.clock import NANOSECONDS, Clock

LONGEST_S = 60.0
"""How long a calendar may take, from its address to the last event."""
_LOOK_S = 0.05
_CHILD = (sys.executable, "-P", "-m", "agent.schedule.child")


class Reading:
    """One calendar that is read; `answer` says how far that is. Raises StateError where no process can be started."""

    def __init__(self, wanted: Wanted, clock: Clock, longest_s: float = LONGEST_S) -> None:
        self._clock = clock
        self._until_ns = clock.now_ns() + int(longest_s * NANOSECONDS)
        # Files without a name, not pipes: nobody waits for the other.
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as it is read
        try:
            with tempfile.TemporaryFile() as asked:
                asked.write(msgspec.json.encode(wanted))
                asked.seek(0)
                self._child = subprocess.Popen(
                    _CHILD, stdin=asked, stdout=self._out, stderr=subprocess.DEVNULL,
                    env=environment(),
                )  # fmt: skip
        except OSError as error:
            self._out.close()
            raise StateError(f"the calendar cannot be read: {error.strerror}") from None

    def answer(self) -> Answer | None:
        """Return what it says, None while it is being read; what takes too long is ended."""
        status = self._child.poll()
        if status is None:
            if self._clock.now_ns() < self._until_ns:
                return None
            self.close()
            return Answer(error="it takes too long to read", hint="see whether its server answers; name a smaller one")
        try:
            self._out.seek(0)
            answer = msgspec.json.decode(self._out.read(), type=Answer)
        except msgspec.MsgspecError:
            why = "it takes too long to reckon out" if status < 0 else f"reading it failed with status {status}"
            answer = Answer(error=why, hint="please report this, with the calendar")
        finally:
            self._out.close()
        return answer

    def close(self) -> None:
        """End it."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._out.close()


def read_now(wanted: Wanted, clock: Clock, what: str, longest_s: float = LONGEST_S) -> Answer:
    """Return what a calendar says, called `what` in messages; raises LiputError where it cannot be had."""
    reading, never = Reading(wanted, clock, longest_s), threading.Event()
    try:
        while (answer := reading.answer()) is None:
            clock.wait(never, _LOOK_S)
    finally:
        reading.close()
    if answer.error:
        raise LiputError(f"{what}: {answer.error}", hint=answer.hint)
    return answer
