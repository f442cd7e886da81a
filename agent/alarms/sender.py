"""Sends messages by one channel, on a thread of its own, with retries; logs a final failure."""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from agent.alarms.desktop import DesktopChannel, NoDesktop
from agent.alarms.message import Message
from config.errors import LiputError, code_place
from devices.host import threads
from devices.host.clock import Clock
from devices.host.throttle import LogOnChange, Tell

PAUSES_S = (5.0, 30.0, 120.0, 300.0)  # seconds before each retry
LONGEST_QUEUE = 20


class PartlySent(LiputError):
    """Some recipients lack the message; `is_for_good` if a retry cannot help."""

    def __init__(self, message: str, *, is_for_good: bool) -> None:
        super().__init__(message)
        self.is_for_good = is_for_good


class NotificationChannel(Protocol):
    @property
    def name(self) -> str:
        """`mail`, `webhook` or `desktop`."""

    @property
    def to(self) -> str:
        """The recipients, without secrets."""

    def send(self, message: Message) -> None:
        """Send a message; another call sends it to the remaining recipients. Raises LiputError."""


@dataclass(eq=False)
class ChannelSender:
    """Sends messages in order. Never blocks its caller."""

    channel: NotificationChannel
    clock: Clock
    tell: Tell
    _queue: deque[Message] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stop: threading.Event = field(default_factory=threading.Event)
    _pause_ends: threading.Event = field(default_factory=threading.Event)  # set by a new channel, a message, the end
    _thread: threading.Thread | None = None
    _is_partly: bool = False  # some recipients have the current message; the next one does not wait for the others

    def __post_init__(self) -> None:
        self._log_once = LogOnChange(self.tell)

    def start(self) -> None:
        self._thread = threads.start_thread(self._run, name=f"part-alarms-{self.channel.name}")

    def enqueue(self, message: Message) -> None:
        """Queue a message; a full queue drops its oldest."""
        with self._changed:
            self._queue.append(message)
            if self._is_partly:
                self._pause_ends.set()
            if len(self._queue) > LONGEST_QUEUE:
                self._queue.popleft()
                self.tell(f"{self.channel.name}: an alarm was not sent: too many wait")
            self._changed.notify()

    def use(self, channel: NotificationChannel) -> None:
        """Replace the channel, also for the message that waits. A desktop keeps its notification."""
        if isinstance(self.channel, DesktopChannel) and isinstance(channel, DesktopChannel):
            self.channel.update(channel)
        else:
            self.channel = channel
        self._pause_ends.set()

    def stop(self, timeout_s: float) -> None:
        """Stop sending. A hung thread is abandoned."""
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
        """Send a message with retries; a new channel is tried at once."""
        self._is_partly = False
        for pause_s in (*PAUSES_S, None):
            self._pause_ends.clear()
            if self._stop.is_set():
                return
            try:
                self.channel.send(message)
            except NoDesktop:
                return  # nobody is logged in
            except Exception as error:  # the next message must go out
                said = error.message if isinstance(error, LiputError) else type(error).__name__ + code_place(error)
                self._is_partly = isinstance(error, PartlySent)
                is_vain = isinstance(error, PartlySent) and error.is_for_good
                if is_vain or (self._is_partly and (self._queue or pause_s is None)):
                    self._log_once(f"{self.channel.name}: {said}")
                    return
                if pause_s is None:
                    self.tell(f"{self.channel.name}: an alarm of {message.at:%H:%M} could not be sent: {said}")
                else:
                    self.clock.wait(self._pause_ends, pause_s)
            else:
                self._log_once("")
                return
