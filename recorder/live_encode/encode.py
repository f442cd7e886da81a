"""A second H.264 encode of the program's pictures, for live destinations only: its bit rate may change at any time.

`offer` copies a picture and returns; pictures are left out when the encoding thread is behind. It and its x264 are
nicer than the recording's threads. x264 follows a change of `bit_rate` only where it began at a constant rate
(ratecontrol.c: "if the stream starts as CBR, keep it CBR"); a keyframe takes at most about BUFFER_S of the link.
"""

import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import av
from av.stream import Stream

from capture.media.pictures import copy_planes, plane_views
from config.errors import EncoderError
from config.events import Emit
from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock
from devices.host.priority import be_nicer
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track, TrackId

QUEUE = 3
NICE = 5
"""A third of the recording's share of a core that both want. Much more, and whoever waits for a lock that this thread
holds would wait long."""
DELAY_S = 0.2
BUFFER_S = 0.5
THREAD_NAME = "x264-live"
OPEN_S = 1.0
TURN_S = 0.1
LATE_EVERY_S = 10.0
"""At most one event about pictures left out in this time."""
AGAIN_S = 60.0
"""An encoder that fails is opened again, but not twice in this time."""
PAUSE_PICTURES = 10
"""Where more than a keyframe's interval, and so many pictures' time, is missing, nobody was streamed to meanwhile."""

SUBJECT = "live picture"


def stream_settings(recorded: VideoSettings, most: int) -> VideoSettings:
    """Return what the live side's encoder is asked for, beside a recording with `recorded`, at `most` bits a second."""
    # It gets every picture, also those that the recording leaves out.
    return replace(
        recorded,
        bit_rate=most,
        max_rate=most,
        delay_s=DELAY_S,
        buffer_s=BUFFER_S,
        slowest=None,
        x264_params=None,
        thread_name=THREAD_NAME,
    )


class Slot:
    """A picture of our own, and the time (units of the encoder) at which it is shown."""

    def __init__(self, width: int, height: int) -> None:
        self.picture = av.VideoFrame(width, height, "yuv420p")
        self._planes = plane_views(self.picture)
        self.pts = 0

    def fill(self, picture: av.VideoFrame, pts: int) -> None:
        """Copy a picture of the same size that is shown from `pts` on."""
        copy_planes(plane_views(picture), self._planes)
        self.picture.color_range, self.picture.colorspace = picture.color_range, picture.colorspace
        self.pts = pts


class StreamEncode:
    """Encodes what it is offered from `start` to `close`, on a thread of its own."""

    def __init__(
        self,
        settings: VideoSettings,
        *,
        put: Callable[[EncodedPacket], None],
        clock: Clock,
        emit: Emit,
        on_turn: Callable[[], None] = lambda: None,
        on_failure: Callable[[], None] = lambda: None,
        encoder: Callable[[VideoSettings, None], Encoder] = Encoder,
    ) -> None:
        """Packets go to `put`; `on_turn` comes often, `on_failure` once. All three from the thread that encodes."""
        self._settings = self._wanted = self._asked = settings
        self._put = put
        self._clock = clock
        self._emit = emit
        self._on_turn = on_turn
        self._on_failure = on_failure
        self._make = encoder
        self._free = deque(Slot(settings.width, settings.height) for _ in range(QUEUE + 1))
        self._waiting: queue.SimpleQueue[Slot | None] = queue.SimpleQueue()  # None: it is to end
        self._ending = False
        self._opened = threading.Event()
        self._encoder: Encoder | None = None
        self._first: Encoder | None = None  # destinations copy from its streams, also when it is not used any more
        self._problem: Exception | None = None
        self.bit_rate = settings.bit_rate
        self._in_force = settings.bit_rate
        self._last_dts: int | None = None
        self._newest: int | None = None
        self._pause = max(settings.keyframe_s, float(PAUSE_PICTURES / settings.rate)) / VIDEO_TIME_BASE
        self._failed_ns: int | None = None
        self.late = 0
        """Pictures that were left out because the encoder was behind."""
        self._told_late = 0
        self._told_ns: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the encoder; raises EncoderError where that fails or takes longer than OPEN_S."""
        self._thread = threads.start(self._run, name="stream-encode")
        if not self._opened.wait(OPEN_S) or self._encoder is None:
            self._end()
            reason = f": {self._problem}" if self._problem else " in time"
            raise EncoderError(f"the live picture's encoder could not be opened{reason}")

    @property
    def templates(self) -> Mapping[TrackId, Stream]:
        """The stream that destinations copy their codec parameters from; valid until `free`."""
        return {} if self._first is None else self._first.templates

    def simplify(self, more_params: str, spacing: int) -> None:
        """Encode with `more_params` of x264 from the next picture on; of `spacing` pictures one is offered."""
        self._wanted = replace(self._settings, rate=self._settings.rate / spacing, more_params=more_params)

    def offer(self, picture: av.VideoFrame, pts: int) -> None:
        """Take a copy of a picture shown from `pts` on; returns at once, and never raises. From one thread.

        It takes no lock: whoever holds one and is nicer may be made to wait by others, and would hold up the recording.
        """
        if self._ending:
            return
        if self._waiting.qsize() >= QUEUE or not self._free:
            self.late += 1
            return
        slot = self._free.popleft()
        try:
            slot.fill(picture, pts)
        except Exception:  # it is of another size, or none: no reason to trouble the recording
            self._free.append(slot)
            self.late += 1
            return
        self._waiting.put(slot)

    def close(self, timeout_s: float = 2.0) -> None:
        """Encode what waits, and end; after `timeout_s` it is left to itself. Idempotent."""
        self._end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def free(self) -> None:
        """Free the codecs; whoever copies the templates must have ended. What hangs is not freed."""
        if self._thread is None or not self._thread.is_alive():
            for encoder in {self._first, self._encoder}:
                if encoder is not None:
                    encoder.close()
            self._first = self._encoder = None

    def _end(self) -> None:
        self._ending = True
        self._waiting.put(None)

    # The thread

    def _run(self) -> None:
        be_nicer(NICE)
        try:
            self._first = self._encoder = self._make(self._settings, None)
        except Exception as error:
            self._problem = error
            return
        finally:
            self._opened.set()
        try:
            while self._turn():
                self._on_turn()
                self._tell_late()
            self._hand_on(self._encoder.flush(Track.VIDEO))
            self._tell_late(final=True)
        except Exception as error:  # whatever it is, it costs the live side only
            self._give_up(error)

    def _turn(self) -> bool:
        try:
            slot = self._waiting.get(timeout=TURN_S)
        except queue.Empty:
            return True
        if slot is None:
            return False
        try:
            self._encode(slot)
        except Exception as error:
            self._open_again(error)
        finally:
            self._free.append(slot)
        return True

    def _encode(self, slot: Slot) -> None:
        if self._encoder is None:
            return
        before, self._newest = self._newest, slot.pts
        # With B-frames it would have this one decoded at the time of those from before that it still holds.
        if before is not None and slot.pts - before > self._pause and not self._begin_anew():
            raise EncoderError("what follows a pause would be another stream")
        if self._wanted != self._asked:
            self._change(self._encoder)
        if self.bit_rate != self._in_force:
            self._in_force = self.bit_rate
            self._encoder.set_bit_rate(self._in_force)
        self._hand_on(self._encoder.encode_video(slot.picture, slot.pts))

    def _change(self, encoder: Encoder) -> None:
        """Encode with what is wanted, where that makes the same stream; else go on as it was."""
        self._asked = wanted = self._wanted
        try:
            encoder.change_video(wanted)
        except EncoderError:
            traceback.print_exc()  # nothing is lost by it
        else:
            self._in_force = wanted.bit_rate

    def _hand_on(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            if self._last_dts is not None and packet.dts <= self._last_dts:  # of an encoder that was opened again
                packet = replace(packet, dts=min(self._last_dts + 1, packet.pts))
            self._last_dts = packet.dts
            self._put(packet)

    def _open_again(self, error: Exception) -> None:
        """Go on with a new encoder, which makes the same stream; raises what went wrong if that does not help."""
        now_ns = self._clock.now_ns()
        if self._failed_ns is not None and now_ns - self._failed_ns < AGAIN_S * NANOSECONDS:
            raise error
        self._failed_ns = now_ns
        if not self._begin_anew():
            raise error  # those who watch could not decode what follows
        self._emit(
            "stream-encode-failed",
            SUBJECT,
            f"the live picture's encoder failed and was opened again: {error}",
            goes_on="separate",
        )

    def _begin_anew(self) -> bool:
        """Go on with a new encoder, without what the former still holds; return whether it makes the same stream."""
        encoder, former = self._make(self._settings, None), self._encoder
        self._encoder, self._in_force, self._asked = encoder, self._settings.bit_rate, self._settings
        if former is not None and former is not self._first:
            former.close()
        return self._first is not None and _parameters(self._first) == _parameters(encoder)

    def _give_up(self, error: Exception) -> None:
        self._end()
        self._emit(
            "stream-encode-failed",
            SUBJECT,
            f"the live picture's encoder failed; what is recorded is streamed instead: {error}",
            goes_on="shared",
        )
        self._on_failure()

    def _tell_late(self, *, final: bool = False) -> None:
        count = self.late - self._told_late
        now_ns = self._clock.now_ns()
        is_time = self._told_ns is None or now_ns - self._told_ns >= LATE_EVERY_S * NANOSECONDS
        if count and (is_time or final):
            self._told_late, self._told_ns = self.late, now_ns
            self._emit(
                "stream-encode-late",
                SUBJECT,
                f"{count} pictures are missing in the live stream: this PC did not keep up with a second encode",
                count=count,
            )


def _parameters(encoder: Encoder) -> bytes | None:
    return encoder.templates[Track.VIDEO].codec_context.extradata
