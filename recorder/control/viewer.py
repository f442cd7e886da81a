"""One client of the preview socket."""

import socket

from devices.host.bucket import Bucket
from devices.host.framing import TooLong, block
from recorder.control.channel import Channel, Gone
from recorder.control.previews import Small
from recorder.control.protocol import PREVIEW_LENGTH, Look

LONGEST_REQUEST = 4096


class Viewer(Channel):
    """Somebody who looks, or is about to say at what. Times are seconds of any clock that never goes back."""

    def __init__(self, connection: socket.socket, now_s: float) -> None:
        super().__init__(connection, LONGEST_REQUEST)
        self._requests = Bucket(10, 2, now_s)
        self._moved_s = now_s
        self._number = 0
        self._due_s = now_s
        self.look: Look | None = None

    def receive(self) -> None:
        """Take what has come. Raises Gone, also when it has said that it sends no more, and TooLong."""
        received = self._receive(LONGEST_REQUEST)
        if received is None:
            return
        if not received:
            raise Gone
        self._received.add(received)
        if len(self._received) > LONGEST_REQUEST:  # one that asks on and on, and takes no answer
            raise TooLong

    def answerable_in_s(self, now_s: float) -> float:
        """Return in how many seconds it may ask again; until then it is not read from."""
        return self._requests.wait_s(now_s)

    @property
    def has_request(self) -> bool:
        """Whether a whole line of it waits to be answered."""
        return self._received.has_line and not self._sending

    def next_request(self, now_s: float) -> bytes | None:
        """Return the next line that it has sent, None if there is none to be answered now."""
        if self._sending or self._requests.wait_s(now_s):
            return None
        line = self._received.line()
        if line is not None:
            self._requests.take()
        return line

    def is_stuck(self, now_s: float, patience_s: float) -> bool:
        """Whether it has taken nothing of a picture for so long."""
        return bool(self._sending) and now_s > self._moved_s + patience_s

    @property
    def is_sending(self) -> bool:
        """Whether something is on its way to it."""
        return bool(self._sending)

    def wants(self, small: Small, now_s: float) -> bool:
        """Whether it should get this picture now; one that is still at the last one does not."""
        return self.look is not None and not self._sending and small.number != self._number and now_s >= self._due_s

    def due_in_s(self, small: Small | None, now_s: float) -> float | None:
        """Return in how many seconds it may get `small`; None where that is not a matter of time."""
        if self.look is None or self._sending or small is None or small.number == self._number:
            return None
        return max(0.0, self._due_s - now_s)

    def show(self, small: Small, jpeg: bytes, now_s: float) -> None:
        """Send a picture."""
        if self.look is not None:
            self._number = small.number
            # The rate holds on the average: a picture that came late does not delay the next.
            every_s = 1 / self.look.fps
            self._due_s = max(self._due_s + every_s, now_s - every_s)
            self.put(block(jpeg, PREVIEW_LENGTH), now_s)

    def put(self, content: bytes, now_s: float) -> None:
        """Send `content`, once nothing else is on its way."""
        self._sending = memoryview(content)
        self._moved_s = now_s

    def send(self, now_s: float) -> None:
        """Send what it takes now. Raises Gone."""
        if self._send():
            self._moved_s = now_s
