"""One client of a recorder: what has come from it, and what waits to go to it. Nothing here blocks or grows."""

import socket

from devices.host.bucket import Bucket
from recorder.control.channel import Channel
from recorder.control.protocol import LONGEST_LINE
from recorder.eventlog import History

COMMANDS_PER_S = 20.0
COMMANDS_AT_ONCE = 50.0
"""What one client may ask of us; what comes faster waits in its own socket, and then in the client."""
CHUNK = 64 * 1024
UNREAD_REPLIES = 64 * 1024
"""Bytes of replies that a client may leave unread before we read no more of its commands."""


class Peer(Channel):
    """A connected client. Times are seconds of any clock that never goes back."""

    def __init__(self, connection: socket.socket, now_s: float) -> None:
        super().__init__(connection, LONGEST_LINE)
        self._replies = bytearray()
        self._newest: dict[str, bytes] = {}
        self._commands = Bucket(COMMANDS_AT_ONCE, COMMANDS_PER_S, now_s)
        self._is_silent = False  # it has said that it sends no more
        self._knows_the_end = False
        self.every_s: float | None = None
        """How often it wants a status; None unless it watches."""
        self.status_due_s = now_s
        self._next_event = 0
        self.awaits_reply = False
        """Whether a command of it is being carried out: the next is answered after that one."""

    # What comes from it

    def wants_to_be_read(self, now_s: float) -> bool:
        """Whether we would take more from it now."""
        return not self._is_silent and not self._has_line and self._may_ask(now_s)

    def answerable_in_s(self, now_s: float) -> float | None:
        """Return in how many seconds it may have something answered; None while that is up to the client."""
        if len(self._replies) >= UNREAD_REPLIES or self.awaits_reply:
            return None
        wait_s = self._commands.wait_s(now_s)
        return wait_s if wait_s or self._has_line else None

    @property
    def _has_line(self) -> bool:
        return self._received.has_line or (self._is_silent and bool(len(self._received)))

    def _may_ask(self, now_s: float) -> bool:
        has_room = len(self._replies) < UNREAD_REPLIES and not self.awaits_reply
        return has_room and not self._commands.wait_s(now_s)

    def receive(self) -> None:
        """Take what has come. Raises Gone."""
        received = self._receive(CHUNK)
        if received is not None:
            self._received.add(received)
            self._is_silent = not received

    def next_line(self, now_s: float) -> bytes | None:
        """Return the next line that it may have answered now, None if there is none. Raises TooLong."""
        if not self._may_ask(now_s):
            return None
        line = self._received.line()
        if line is None and self._is_silent:  # the last line of one that hung up may have no end
            line = self._received.rest() or None
        if line is not None:
            self._commands.take()
        return line

    # What goes to it

    def watch(self, every_s: float, events_from: int, now_s: float) -> None:
        """Send it a status every `every_s` seconds from now on, and events from that number on."""
        self.every_s = every_s
        self.status_due_s = now_s + every_s
        self._next_event = events_from

    @property
    def is_watching(self) -> bool:
        """Whether it is told what happens."""
        return self.every_s is not None

    @property
    def knows_the_end(self) -> bool:
        """Whether the last line of the session has been sent to it."""
        return self._knows_the_end and not self._sending

    def reply(self, line: bytes) -> None:
        """Answer; bounded because a client that does not read is not read from either."""
        self._replies += line

    def put_newest(self, kind: str, line: bytes) -> None:
        """Send a line of which only the newest of its kind counts."""
        self._newest[kind] = line

    def is_behind(self, history: History) -> bool:
        """Whether events that it has not got are kept no more."""
        return self.is_watching and self._next_event < history.first

    def has_more(self, history: History, end: bytes | None) -> bool:
        """Whether anything waits to be sent; `end` is the session's last line, once there is one."""
        if self._sending or self._replies:
            return True
        tells_the_end = end is not None and not self._knows_the_end
        return self.is_watching and (bool(self._newest) or self._next_event < history.end or tells_the_end)

    def is_done(self, history: History, end: bytes | None) -> bool:
        """Whether it asks no more, and has all it will get."""
        hung_up = self._is_silent and not len(self._received)
        return hung_up and not self.awaits_reply and not self.is_watching and not self.has_more(history, end)

    def send(self, history: History, end: bytes | None) -> None:
        """Send what it takes now. Raises Gone."""
        if not self._sending:
            self._sending = memoryview(self._next_chunk(history, end))
        self._send()

    def _next_chunk(self, history: History, end: bytes | None) -> bytes:
        """Return what goes next: answers, what happened, how it is now, and how it ended."""
        if self._replies:
            chunk, self._replies = bytes(self._replies), bytearray()
            return chunk
        if not self.is_watching:
            return b""
        chunk, self._next_event = history.batch(self._next_event, CHUNK)
        if not chunk and self._newest:
            chunk = b"".join(self._newest.values())
            self._newest.clear()
        if not chunk and end is not None and not self._knows_the_end:
            chunk, self._knows_the_end = end, True
        return chunk
