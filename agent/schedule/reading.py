"""A calendar that is being read, by a process of its own; nothing here waits for it."""

import threading

import msgspec

from agent.own_command import OwnCommand
from agent.schedule.event import Answer, Wanted
from config.errors import LiputError, StateError
from devices.host.child import python_module
from devices.host.clock import NANOSECONDS, Clock

LONGEST_S = 60.0
"""How long a calendar may take, from its address to the last event."""
_LOOK_S = 0.05


class Reading:
    """One calendar that is read; `answer` says how far that is. Raises StateError where no process can be started."""

    def __init__(self, wanted: Wanted, clock: Clock, longest_s: float = LONGEST_S) -> None:
        self._clock = clock
        self._until_ns = clock.now_ns() + int(longest_s * NANOSECONDS)
        try:
            self._command = OwnCommand(python_module("agent.schedule.child"), given=msgspec.json.encode(wanted))
        except OSError as error:
            raise StateError(f"the calendar cannot be read: {error.strerror}") from None

    def answer(self) -> Answer | None:
        """Return what it says, None while it is being read; what takes too long is ended."""
        status = self._command.status
        if status is None:
            if self._clock.now_ns() < self._until_ns:
                return None
            self.close()
            return Answer(error="it takes too long to read", hint="see whether its server answers; name a smaller one")
        try:
            return msgspec.json.decode(self._command.said(), type=Answer)
        except msgspec.MsgspecError:
            why = "it takes too long to reckon out" if status < 0 else f"reading it failed with status {status}"
            return Answer(error=why, hint="please report this, with the calendar")

    def close(self) -> None:
        """End it."""
        self._command.end()


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
