"""The preview socket of a recorder: JPEGs of the program and of each source, and the sound.

One thread serves all viewers, and encodes only for viewers. A slow viewer skips frames.
"""

import selectors
import socket
import threading
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from capture.media.preview import JpegEncoder, shrink
from capture.source import SAMPLE_RATE
from config.errors import LiputError, UsageError
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import FrameTooLong, length_prefixed
from devices.host.throttle import TokenBucket
from recorder.control.socket_loop import ClientChannel, SocketLoop
from recorder.program.mixer import SamplesOrSilence, sum_samples, to_int16
from recorder.running.protocol import (
    PREVIEW_LENGTH,
    SOUND,
    CommandReply,
    PreviewCommand,
    decode_look,
    encode,
    to_refusal,
)

LONGEST_REQUEST = 4096
MOST_VIEWERS = 8
PATIENCE_S = 10.0  # a viewer that accepts no byte of a JPEG for so long is dropped
IDLE_S = 5.0
PIECE = SAMPLE_RATE // 5  # samples of one piece of sound

type PreviewDemand = tuple[float, int]
"""The need of all viewers of one source: seconds between frames, and width in pixels."""
type NumberedFrame = tuple[int, av.VideoFrame | bytes]  # number of a scaled frame or a piece of sound, and itself


class PreviewViewer(ClientChannel):
    """A client of the preview socket. Times are seconds of a monotonic clock."""

    def __init__(self, connection: socket.socket, now_s: float) -> None:
        super().__init__(connection, LONGEST_REQUEST)
        self.requests = TokenBucket(10, 2, now_s)  # as many requests are read
        self._moved_s = now_s
        self._number = 0
        self._due_s = now_s
        self.look: PreviewCommand | None = None

    def receive(self) -> None:
        """Read the socket. Raises ConnectionError, also at end of input, and FrameTooLong."""
        received = self._receive(LONGEST_REQUEST)
        if received is None:
            return
        if not received:
            raise ConnectionResetError
        self._received.add(received)
        if len(self._received) > LONGEST_REQUEST:  # it asks without reading answers
            raise FrameTooLong

    @property
    def has_request(self) -> bool:
        """Whether a complete line waits for an answer."""
        return self._received.has_line and not self._sending

    def next_request(self, now_s: float) -> bytes | None:
        """Return its next line, None if there is none to answer now."""
        if self._sending or self.requests.wait_s(now_s):
            return None
        line = self._received.line()
        if line is not None:
            self.requests.take()
        return line

    def is_stuck(self, now_s: float, patience_s: float) -> bool:
        """Whether it has accepted no byte for `patience_s`."""
        return bool(self._sending) and now_s > self._moved_s + patience_s

    @property
    def is_sending(self) -> bool:
        return bool(self._sending)

    def due_in_s(self, small: NumberedFrame | None, now_s: float) -> float | None:
        """Return the seconds until it may get `small`, None while it still receives one, or has this one."""
        if self.look is None or self._sending or small is None or small[0] == self._number:
            return None
        return max(0.0, self._due_s - now_s)

    def show(self, number: int, jpeg: bytes, every_s: float, now_s: float) -> None:
        self._number = number
        # The rate holds on average: a late frame does not delay the next.
        self._due_s = max(self._due_s + every_s, now_s - every_s)
        self.put(length_prefixed(jpeg, PREVIEW_LENGTH), now_s)

    def put(self, content: bytes, now_s: float) -> None:
        """Replace the bytes to send; call it only when nothing waits."""
        self._sending = memoryview(content)
        self._moved_s = now_s

    def send(self, now_s: float) -> None:
        """Send without blocking. Raises ConnectionError."""
        if self._send():
            self._moved_s = now_s


class PreviewServer(SocketLoop[PreviewViewer]):
    """Serves previews of the sources `names` at `path`; keeps no frames without viewers."""

    def __init__(self, path: Path, names: Collection[str], clock: Clock, channels: int = 2) -> None:
        """Listen. Raises OSError."""
        super().__init__(
            path, clock, PreviewViewer, name="preview", most=MOST_VIEWERS, full="look at the previews already"
        )
        self._names = list(names)
        self._demands: Mapping[str, PreviewDemand] = {}
        self._newest: dict[str, NumberedFrame] = {}
        self._newest_lock = threading.Lock()
        self._number = 0
        self._due_ns: dict[str, int] = {}
        self._scalers: dict[str, VideoReformatter] = {}
        self._channels, self._heard = channels, bytearray()
        self._writer, self._scaler = JpegEncoder(), VideoReformatter()

    def offer(self, name: str, picture: av.VideoFrame) -> bool:
        """Keep a scaled copy of `picture` if a viewer is due one; never blocks or raises. One thread for each name."""
        wish = self._demands.get(name)
        if wish is None:
            return False
        every_s, width = wish
        now_ns, due_ns = self._clock.now_ns(), self._due_ns.get(name, 0)
        if now_ns < due_ns:
            return False
        # Count from the due time, not from arrival: otherwise each would be late by a frame interval.
        self._due_ns[name] = max(due_ns + round(every_s * NANOSECONDS), now_ns)
        try:
            small = shrink(picture, width, self._scalers.setdefault(name, VideoReformatter()))
        except Exception:
            traceback.print_exc()  # a preview must not stop the recording
            return False
        self._show(name, small)
        return True

    def listen(self, samples: Sequence[SamplesOrSilence], count: int) -> None:
        """Take samples of all inputs (MixBus) for viewers of the sound; never blocks. One thread."""
        if SOUND not in self._demands:
            self._heard.clear()
            return
        mixed = sum_samples(samples)
        self._heard += bytes(2 * self._channels * count) if mixed is None else to_int16(mixed).tobytes()
        if len(self._heard) >= 2 * self._channels * PIECE:
            self._show(SOUND, bytes(self._heard))
            self._heard.clear()

    def _show(self, name: str, what: av.VideoFrame | bytes) -> None:
        with self._newest_lock:
            self._number += 1
            self._newest[name] = self._number, what
        self._wake_up()

    def start(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._begin()

    def close(self) -> None:
        """Drop all viewers; idempotent."""
        super().close()
        self._demands, self._newest = {}, {}

    def _turn(self) -> None:
        ready = self._selector.select(self._wait_s())
        self._clear_wake()
        readable = {id(key.data) for key, mask in ready if mask & selectors.EVENT_READ}
        if any(key.fileobj is self._listener for key, _ in ready):
            self._accept()
        made: dict[tuple[int, int], bytes] = {}
        for viewer in list(self._clients):
            self._serve(viewer, made, is_readable=id(viewer) in readable)
        self._update_demand()

    def _wait_s(self) -> float:
        now_s = self._now_s()
        wait_s = IDLE_S if self._clients else 3600.0
        for viewer in self._clients:
            events = selectors.EVENT_WRITE if viewer.is_sending else 0
            again_s = viewer.requests.wait_s(now_s)
            if again_s:
                wait_s = min(wait_s, again_s)
            else:
                events |= selectors.EVENT_READ
                wait_s = 0.0 if viewer.has_request else wait_s
            self._listen_for(viewer, events)
            small = self._newest.get(viewer.look.source) if viewer.look else None
            if (due_s := viewer.due_in_s(small, now_s)) is not None:
                wait_s = min(wait_s, due_s)
        return wait_s

    def _serve(self, viewer: PreviewViewer, made: dict[tuple[int, int], bytes], *, is_readable: bool) -> None:
        now_s = self._now_s()
        try:
            if is_readable:
                viewer.receive()
            if line := viewer.next_request(now_s):
                viewer.put(encode(self._reply(viewer, line)), now_s)
            elif viewer.look and (small := self._newest.get(viewer.look.source)) and viewer.due_in_s(small, now_s) == 0:
                every_s = 0.0 if isinstance(small[1], bytes) else 1 / viewer.look.fps
                viewer.show(small[0], self._jpeg(small, viewer.look.width, made), every_s, now_s)
            if viewer.is_sending:
                viewer.send(now_s)
            is_over = viewer.is_stuck(now_s, PATIENCE_S)
        except (ConnectionError, FrameTooLong):
            is_over = True
        except Exception:
            traceback.print_exc()
            is_over = True
        if is_over:
            self._drop(viewer)

    def _reply(self, viewer: PreviewViewer, line: bytes) -> CommandReply:
        try:
            look = decode_look(line)
            if look.source not in self._names:
                raise UsageError(f'there is no source "{look.source}"', hint=f"there are {', '.join(self._names)}")
        except LiputError as error:
            return CommandReply(id=None, ok=False, error=to_refusal(error))
        viewer.look = look
        return CommandReply(id=look.id, ok=True)

    def _jpeg(self, small: NumberedFrame, width: int, made: dict[tuple[int, int], bytes]) -> bytes:
        """Return the JPEG at `width`, encoded once a turn for all its viewers; sound as it is."""
        number, picture = small
        if isinstance(picture, bytes):
            return picture
        key = number, width
        if key not in made:
            made[key] = self._writer.write(shrink(picture, width, self._scaler) if width < picture.width else picture)
        return made[key]

    def _update_demand(self) -> None:
        wishes: dict[str, PreviewDemand] = {}
        for look in [viewer.look for viewer in self._clients if viewer.look]:
            every_s, width = wishes.get(look.source, (60.0, 0))
            wishes[look.source] = min(every_s, 1 / look.fps), max(width, look.width)
        self._demands = wishes
        with self._newest_lock:
            for name in self._newest.keys() - wishes.keys():
                del self._newest[name]
