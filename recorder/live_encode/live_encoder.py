"""A second H.264 encode of the program, for live destinations only, with a variable bit rate.

`offer` copies a frame and returns; frames are left out if the encoder thread is behind. That thread and its x264 have a
lower priority than the recording's. x264 follows a change of `bit_rate` only if it began at a constant rate
(ratecontrol.c: "if the stream starts as CBR, keep it CBR"). A keyframe takes about BUFFER_S of the link at most.
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
from devices.host.priority import lower_priority
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track, TrackId

QUEUE = 3
NICE = 5
"""A third of the recording's share of a contended core; with much less, waits for this thread's locks would be long."""
DELAY_S = 0.2
BUFFER_S = 0.5
THREAD_NAME = "x264-live"
OPEN_S = 1.0
TURN_S = 0.1
LATE_EVERY_S = 10.0  # least time between two events about frames left out
AGAIN_S = 60.0  # a failed encoder is opened again, but not twice in this time
PAUSE_PICTURES = 10
"""Frames; after a gap of these and a keyframe interval the encoder restarts: nobody streamed meanwhile."""

SUBJECT = "live picture"


def live_settings(recorded: VideoSettings, most: int) -> VideoSettings:
    """Return settings for a live encode beside the encode `recorded`, at `most` bits a second."""
    # It gets all frames, also frames that the recording skips.
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


class FrameSlot:
    """A frame of its own and its pts (encoder's units)."""

    def __init__(self, width: int, height: int) -> None:
        self.picture = av.VideoFrame(width, height, "yuv420p")
        self._planes = plane_views(self.picture)
        self.pts = 0

    def fill(self, picture: av.VideoFrame, pts: int) -> None:
        """Copy a frame of the same size, shown from `pts` on."""
        copy_planes(plane_views(picture), self._planes)
        self.picture.color_range, self.picture.colorspace = picture.color_range, picture.colorspace
        self.pts = pts


class LiveEncoder:
    """Encodes offered frames from `start` to `close`, on its own thread."""

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
        """`put` takes packets, `on_turn` runs often, `on_failure` once; all on the encoder thread."""
        self._settings = self._wanted = self._current = settings
        self._put = put
        self._clock = clock
        self._emit = emit
        self._on_turn = on_turn
        self._on_failure = on_failure
        self._open_encoder = encoder
        self._free = deque(FrameSlot(settings.width, settings.height) for _ in range(QUEUE + 1))
        self._waiting: queue.SimpleQueue[FrameSlot | None] = queue.SimpleQueue()  # None ends the thread
        self._ending = False
        self._opened = threading.Event()
        self._encoder: Encoder | None = None
        self._first: Encoder | None = None  # destinations copy its streams to the end
        self._error: Exception | None = None
        self.bit_rate = settings.bit_rate
        self._current_rate = settings.bit_rate
        self._last_dts: int | None = None
        self._newest: int | None = None
        self._pause = max(settings.keyframe_s, float(PAUSE_PICTURES / settings.rate)) / VIDEO_TIME_BASE
        self._failed_ns: int | None = None
        self.late = 0  # frames left out because the encoder was behind
        self._reported_late = 0
        self._reported_ns: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the encoder; raises EncoderError if that fails or takes longer than OPEN_S."""
        self._thread = threads.start_thread(self._run, name="stream-encode")
        if not self._opened.wait(OPEN_S) or self._encoder is None:
            self._end()
            reason = f": {self._error}" if self._error else " in time"
            raise EncoderError(f"the live encoder could not be opened{reason}")

    @property
    def templates(self) -> Mapping[TrackId, Stream]:
        """The stream from which destinations copy codec parameters; valid until `free`."""
        return {} if self._first is None else self._first.templates

    def simplify(self, more_params: str, spacing: int) -> None:
        """Use x264's `more_params` from the next frame on; one of `spacing` frames is offered."""
        self._wanted = replace(self._settings, rate=self._settings.rate / spacing, more_params=more_params)

    def offer(self, picture: av.VideoFrame, pts: int) -> None:
        """Copy a frame shown from `pts` on; returns at once, never raises. For one thread.

        It takes no lock: a holder of lower priority could wait long, and hold up the recording.
        """
        if self._ending:
            return
        if self._waiting.qsize() >= QUEUE or not self._free:
            self.late += 1
            return
        slot = self._free.popleft()
        try:
            slot.fill(picture, pts)
        except Exception:  # another size, or no frame; the recording goes on
            self._free.append(slot)
            self.late += 1
            return
        self._waiting.put(slot)

    def close(self, timeout_s: float = 2.0) -> None:
        """Encode waiting frames, and end; abandons the thread after `timeout_s`. Idempotent."""
        self._end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def free(self) -> None:
        """Free the codecs after all copies of the templates. A hanging thread keeps them."""
        if self._thread is None or not self._thread.is_alive():
            for encoder in {self._first, self._encoder}:
                if encoder is not None:
                    encoder.close()
            self._first = self._encoder = None

    def _end(self) -> None:
        self._ending = True
        self._waiting.put(None)

    # Encoder thread

    def _run(self) -> None:
        lower_priority(NICE)
        try:
            self._first = self._encoder = self._open_encoder(self._settings, None)
        except Exception as error:
            self._error = error
            return
        finally:
            self._opened.set()
        try:
            while self._encode_next():
                self._on_turn()
                self._report_late()
            self._put_all(self._encoder.flush(Track.VIDEO))
            self._report_late(final=True)
        except Exception as error:  # any error costs the live stream only
            self._give_up(error)

    def _encode_next(self) -> bool:
        try:
            slot = self._waiting.get(timeout=TURN_S)
        except queue.Empty:
            return True
        if slot is None:
            return False
        try:
            self._encode(slot)
        except Exception as error:
            self._reopen(error)
        finally:
            self._free.append(slot)
        return True

    def _encode(self, slot: FrameSlot) -> None:
        if self._encoder is None:
            return
        before, self._newest = self._newest, slot.pts
        # With B-frames x264 would give this frame the decode timestamp of frames before the gap.
        if before is not None and slot.pts - before > self._pause and not self._restart():
            raise EncoderError("frames after the pause would begin another stream")
        if self._wanted != self._current:
            self._change(self._encoder)
        if self.bit_rate != self._current_rate:
            self._current_rate = self.bit_rate
            self._encoder.set_bit_rate(self._current_rate)
        self._put_all(self._encoder.encode_video(slot.picture, slot.pts))

    def _change(self, encoder: Encoder) -> None:
        """Change the settings, if the parameter sets stay; else go on as before."""
        self._current = wanted = self._wanted
        try:
            encoder.change_video(wanted)
        except EncoderError:
            traceback.print_exc()  # nothing is lost by it
        else:
            self._current_rate = wanted.bit_rate

    def _put_all(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            if self._last_dts is not None and packet.dts <= self._last_dts:  # a reopened encoder starts earlier
                packet = replace(packet, dts=min(self._last_dts + 1, packet.pts))
            self._last_dts = packet.dts
            self._put(packet)

    def _reopen(self, error: Exception) -> None:
        """Reopen the encoder with the same parameter sets; raises the error if that fails."""
        now_ns = self._clock.now_ns()
        if self._failed_ns is not None and now_ns - self._failed_ns < AGAIN_S * NANOSECONDS:
            raise error
        self._failed_ns = now_ns
        if not self._restart():
            raise error  # viewers could not decode another stream
        self._emit(
            "stream-encode-failed",
            SUBJECT,
            f"the live encoder failed and was opened again: {error}",
            goes_on="separate",
        )

    def _restart(self) -> bool:
        """Replace the encoder, and drop the frames in the old one; return whether the parameter sets are the same."""
        encoder, former = self._open_encoder(self._settings, None), self._encoder
        self._encoder, self._current_rate, self._current = encoder, self._settings.bit_rate, self._settings
        if former is not None and former is not self._first:
            former.close()
        return self._first is not None and _parameters(self._first) == _parameters(encoder)

    def _give_up(self, error: Exception) -> None:
        self._end()
        self._emit(
            "stream-encode-failed",
            SUBJECT,
            f"the live encoder failed; the recording's encode is streamed instead: {error}",
            goes_on="shared",
        )
        self._on_failure()

    def _report_late(self, *, final: bool = False) -> None:
        count = self.late - self._reported_late
        now_ns = self._clock.now_ns()
        is_time = self._reported_ns is None or now_ns - self._reported_ns >= LATE_EVERY_S * NANOSECONDS
        if count and (is_time or final):
            self._reported_late, self._reported_ns = self.late, now_ns
            self._emit(
                "stream-encode-late",
                SUBJECT,
                f"{count} frames were dropped in the live stream: this PC did not keep up with a second encode",
                count=count,
            )


def _parameters(encoder: Encoder) -> bytes | None:
    return encoder.templates[Track.VIDEO].codec_context.extradata
