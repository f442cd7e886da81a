"""One H.264 stream from successive x264 encoders; the old one flushes on its own thread."""

import threading
from bisect import bisect_right, insort
from collections import deque
from dataclasses import replace

import av
from av.error import FFmpegError
from av.stream import Stream

from config.errors import EncoderError
from devices.host import heap, threads
from recorder.encode.x264 import VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket, Track, TrackId


class PacketDurations:
    """Durations of x264's packets in decode order; x264 gives none. All times have the same units.

    FFmpeg's MP4 muxer believes a duration until the next packet: a wrong one moves the next frame. x264 takes decode
    timestamps from the times of incoming frames, in order. The first ones lie before them by the delay of its B-frames.
    So the next decode timestamp is known.
    """

    def __init__(self) -> None:
        self._times: list[int] = []  # future decode timestamps, ascending
        self._first: int | None = None
        self._ahead: int | None = None  # lead of decoding over presentation at the start

    def add_frame(self, pts: int) -> None:
        """Note an incoming frame; `pts` grows."""
        if self._first is None:
            self._first = pts
        self._times.append(pts)
        if self._ahead is not None and (early := pts - self._ahead) < self._first:
            insort(self._times, early)

    def duration_from(self, dts: int) -> int | None:
        """Return the time from `dts`, of a new packet, to the next decode timestamp; None if unknown."""
        if self._first is None:
            return None
        if self._ahead is None:
            self._ahead = self._first - dts
            for pts in list(self._times):
                if self._ahead and (early := pts - self._ahead) < self._first:
                    insort(self._times, early)
        del self._times[: bisect_right(self._times, dts)]
        return self._times[0] - dts if self._times else None


class X264Stream:
    """Encodes the frames of a session; for one thread. All times are in units of VIDEO_TIME_BASE."""

    def __init__(self, context: av.VideoCodecContext, interval: int, begins: int | None = None) -> None:
        """Start with frames every `interval`; a continued stream begins at the decode timestamp `begins`."""
        first = _Encoder(context, interval)
        if begins is not None:
            first.begin(begins)
        # The last encoder gets the frames; the others flush.
        self._encoders = deque([first])
        self._next: _Encoder | None = None

    @property
    def by_x264(self) -> "X264Stream":
        """This stream: x264 encodes it."""
        return self

    @property
    def context(self) -> av.VideoCodecContext:
        """The encoder of the next frame."""
        return (self._next or self._encoders[-1]).context

    @property
    def is_changing(self) -> bool:
        """Whether another encoder begins with the next frame."""
        return self._next is not None

    def change(self, context: av.VideoCodecContext, interval: int) -> None:
        """Use another open encoder with the same parameter sets from the next frame on."""
        self._next = _Encoder(context, interval)

    def encode(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a frame; `pts` grows. Raises EncoderError."""
        if self._next is not None:
            former = self._encoders[-1]
            former.steps.add_frame(pts)  # ends the duration of its last packet
            former.finish()
            self._encoders.append(self._next)
            self._next = None
        self._encoders[-1].steps.add_frame(pts)
        self._encoders[-1].encode(picture)
        return self._packets(waits=False)

    def flush(self) -> list[EncodedPacket]:
        """Return all remaining packets; encode nothing afterwards. Raises EncoderError."""
        last = self._encoders[-1]
        last.encode(None)
        packets = self._packets(waits=True)
        if packets:
            # The MP4 muxer ends the track with the last packet. That may be a B-frame, shown before others; without
            # this the last frame shown is cut off.
            end = packets[-1]
            packets[-1] = replace(end, duration=max(end.duration, last.shown_until - end.pts))
        return packets

    def close(self) -> None:
        """Wait until no encoder flushes."""
        for encoder in self._encoders:
            encoder.wait()

    def _packets(self, *, waits: bool) -> list[EncodedPacket]:
        """Return the next finished packets in stream order, or with `waits` all. Raises EncoderError."""
        packets = []
        while len(self._encoders) > 1 and (waits or not self._encoders[0].is_finishing):
            former = self._encoders.popleft()
            packets += former.take()
            self._encoders[0].begin(former.least)
        if len(self._encoders) == 1:
            packets += self._encoders[0].take()
        return packets


class _Encoder:
    def __init__(self, context: av.VideoCodecContext, interval: int) -> None:
        self._context: av.VideoCodecContext | None = context
        self._interval = interval
        self.steps = PacketDurations()
        self._follows = False
        self.least: int | None = None  # the least decode timestamp of the next packet; None before the first
        self.shown_until = 0  # end of the last frame shown so far
        self._packets: list[av.Packet[Stream]] = []
        self._error: EncoderError | None = None
        self._thread: threading.Thread | None = None

    @property
    def context(self) -> av.VideoCodecContext:
        """The encoder, until `finish`."""
        assert self._context is not None  # noqa: S101 - only the last encoder is asked
        return self._context

    def begin(self, least: int | None) -> None:
        """Start at that decode timestamp, where the packets of a former encoder end."""
        self.least, self._follows = least, True

    def encode(self, picture: av.VideoFrame | None) -> None:
        """Encode a frame; None flushes. Raises EncoderError."""
        try:
            self._packets += self.context.encode(picture)
        except (FFmpegError, ValueError) as error:
            raise encoder_failed(Track.VIDEO, error) from error

    def finish(self) -> None:
        """Flush on another thread; no frame follows."""
        try:
            self._thread = threads.start_thread(self._finish, name="former-encoder")
        except RuntimeError:  # too many threads
            self._finish()

    @property
    def is_finishing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def take(self) -> list[EncodedPacket]:
        """Return new packets; waits for a flush. Raises EncoderError."""
        self.wait()
        if self._error is not None:
            raise self._error
        packets, self._packets = self._packets, []
        return [self._timed(packet) for packet in packets]

    def _timed(self, raw: "av.Packet[Stream]") -> EncodedPacket:
        """Return the next packet in decode order.

        After a change of encoders the first packet begins where the old ones end. The next ones follow at once, before
        their frames are shown.
        """
        pts, wanted = int(raw.pts or 0), int(raw.dts or 0)
        dts = wanted
        if self.least is not None:
            dts = self.least if self._follows else max(wanted, self.least)
        self._follows = False
        step = self.steps.duration_from(wanted)  # x264 gives no duration
        self.least = dts + 1 if step is None else max(dts + 1, wanted + step)
        self.shown_until = max(self.shown_until, pts + self._interval)
        return EncodedPacket(
            track=Track.VIDEO,
            data=bytes(raw),
            pts=pts,
            dts=dts,
            duration=self._interval if step is None else self.least - dts,
            time_base=VIDEO_TIME_BASE,
            is_keyframe=raw.is_keyframe,
        )

    def _finish(self) -> None:
        try:
            self.encode(None)
        except EncoderError as error:
            self._error = error
        self._context = None
        heap.trim_heap()  # hundreds of megabytes


def encoder_failed(track: TrackId, error: Exception) -> EncoderError:
    return EncoderError(f"the {track} encoder failed: {error}", hint="the recording up to here is kept")
