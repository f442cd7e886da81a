"""Sends messages one way, on a thread of its own, and tries again; in the end the log says so."""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from agent.alarms.desktop import Desktop, NoDesktop
from agent.alarms.message import Message
from config.errors import LiputError
from devices.host import threads
from devices.host.clock import Clock
from devices.host.throttle import LogOnChange, Tell

PAUSES_S = (5.0, 30.0, 120.0, 300.0)
"""Before each further attempt."""
LONGEST_QUEUE = 20


class PartlySent(LiputError):
    """It is sent, but not to all: another attempt is for the others only, and in vain where this `is_for_good`."""

    def __init__(self, message: str, *, is_for_good: bool) -> None:
        super().__init__(message)
        self.is_for_good = is_for_good


class Way(Protocol):
    """One way to tell people."""

    @property
    def name(self) -> str:
        """mail, webhook or desktop."""

    @property
    def to(self) -> str:
        """Whom it reaches, for people; no secret."""

    def send(self, message: Message) -> None:
        """Send a message in time; sent again, it goes to those it has not reached. Raises LiputError."""


@dataclass(eq=False)
class Sender:
    """Sends what it is given, in that order; never makes its caller wait."""

    way: Way
    clock: Clock
    tell: Tell
    _queue: deque[Message] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stop: threading.Event = field(default_factory=threading.Event)
    _pause_ends: threading.Event = field(default_factory=threading.Event)
    """Set by what makes a wait for the next attempt vain: another such way, another message, or the end."""
    _thread: threading.Thread | None = None
    _is_partly: bool = False
    """Some have what is being sent: what else is to be sent does not wait for those who have not."""
    _once: LogOnChange = field(init=False)

    def __post_init__(self) -> None:
        """Say once whom a way does not reach."""
        self._once = LogOnChange(self.tell)

    def start(self) -> None:
        """Begin to send."""
        self._thread = threads.start(self._run, name=f"alarms-{self.way.name}")

    def give(self, message: Message) -> None:
        """Send a message as soon as that can be; the oldest goes where too many wait."""
        with self._changed:
            self._queue.append(message)
            if self._is_partly:
                self._pause_ends.set()
            if len(self._queue) > LONGEST_QUEUE:
                self._queue.popleft()
                self.tell(f"{self.way.name}: an alarm was not sent: too many wait")
            self._changed.notify()

    def turn_to(self, way: Way) -> None:
        """Send another such way from now on, also what waits for its next attempt; a desktop keeps what it shows."""
        if isinstance(self.way, Desktop) and isinstance(way, Desktop):
            self.way.be_like(way)
        else:
            self.way = way
        self._pause_ends.set()

    def stop(self, timeout_s: float) -> None:
        """Send no more; what hangs is left to itself."""
        self._stop.set()
        self._pause_ends.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (message := self._next()) is not None:
            self._send(message)

    def _next(self) -> Message | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stop.is_set())
            return None if self._stop.is_set() else self._queue.popleft()

    def _send(self, message: Message) -> None:
        """Try until it is sent, or all attempts are used up; another such way is tried at once."""
        self._is_partly = False
        for pause_s in (*PAUSES_S, None):
            self._pause_ends.clear()
            if self._stop.is_set():
                return
            try:
                self.way.send(message)
            except NoDesktop:
                return  # a PC that nobody sits at
            except Exception as error:  # of whatever kind: the next message is to be sent all the same
                said = error.message if isinstance(error, LiputError) else repr(type(error).__name__)
                self._is_partly = isinstance(error, PartlySent)
                is_vain = isinstance(error, PartlySent) and error.is_for_good
                if is_vain or (self._is_partly and (self._queue or pause_s is None)):
                    self._once(f"{self.way.name}: {said}")
                    return
                if pause_s is None:
                    self.tell(f"{self.way.name}: an alarm of {message.at:%H:%M} could not be sent: {said}")
                else:
                    self.clock.wait(self._pause_ends, pause_s)
            else:
                self._once("")
                return
