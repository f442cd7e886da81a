"""One stream of H.264 by one encoder after the other, a keyframe between; the former finishes on its own thread."""

import threading
from bisect import bisect_right
from collections import deque
from dataclasses import replace
from fractions import Fraction

import av
from av.error import FFmpegError
from av.stream import Stream

from config.errors import EncoderError
from devices.host import heap, threads
from recorder.model.packet import EncodedPacket, Track, TrackId


class DecodingSteps:
    """How long each of x264's pictures lasts in decoding order; x264 does not say. All times are in the same units.

    FFmpeg's MP4 muxer believes a duration until it sees the next packet: a wrong one moves the next picture. x264 uses
    the times of pictures that went in, in their order, as decoding times; before the first it goes back by the delay of
    its B-frames. So the next decoding time is known.
    """

    def __init__(self) -> None:
        self._times: list[int] = []  # decoding times that are still to come, growing
        self._first: int | None = None
        self._ahead: int | None = None  # how far decoding runs ahead of what is shown, at the start

    def given(self, pts: int) -> None:
        """Take note of a picture that goes in; `pts` grows."""
        if self._first is None:
            self._first = pts
        self._times.append(pts)
        if self._ahead is not None and (early := pts - self._ahead) < self._first:
            self._insert(early)

    def after(self, dts: int) -> int | None:
        """Return how long it is from `dts`, of a packet that has come out, to the next one's; None if unknown."""
        if self._first is None:
            return None
        if self._ahead is None:
            self._ahead = self._first - dts
            for pts in list(self._times):
                if self._ahead and (early := pts - self._ahead) < self._first:
                    self._insert(early)
        position = bisect_right(self._times, dts)
        del self._times[:position]
        return self._times[0] - dts if self._times else None

    def _insert(self, dts: int) -> None:
        position = bisect_right(self._times, dts)
        self._times.insert(position, dts)


class PictureStream:
    """Encodes the pictures of a session; used by one thread. All times are in units of `time_base`."""

    def __init__(
        self, context: av.VideoCodecContext, time_base: Fraction, interval: int, begins: int | None = None
    ) -> None:
        """Begin with one encoder, pictures nominally every `interval`, or go on from a decoding time (`begins`)."""
        self._time_base = time_base
        first = _Encoder(context, time_base, interval)
        if begins is not None:
            first.begin(begins)
        # The last one gets the pictures; those before it still have some.
        self._encoders = deque([first])
        self._next: _Encoder | None = None

    @property
    def by_x264(self) -> "PictureStream":
        """This: it is x264 that encodes."""
        return self

    @property
    def context(self) -> av.VideoCodecContext:
        """The encoder that gets the next picture."""
        return (self._next or self._encoders[-1]).context

    @property
    def is_changing(self) -> bool:
        """Whether another encoder begins with the next picture."""
        return self._next is not None

    def change(self, context: av.VideoCodecContext, interval: int) -> None:
        """Go on with another open encoder, of the same parameter sets, from the next picture on."""
        self._next = _Encoder(context, self._time_base, interval)

    def encode(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a picture shown from `pts` on, which grows. Raises EncoderError."""
        if self._next is not None:
            former = self._encoders[-1]
            former.given(pts)  # what follows the last packet of that one
            former.finish()
            self._encoders.append(self._next)
            self._next = None
        self._encoders[-1].given(pts)
        self._encoders[-1].encode(picture)
        return self._packets(waits=False)

    def flush(self) -> list[EncodedPacket]:
        """Return all that is held back; nothing may be encoded after this. Raises EncoderError."""
        last = self._encoders[-1]
        last.encode(None)
        packets = self._packets(waits=True)
        if packets:
            # The MP4 muxer takes the end of the last packet for the end of the track; that packet may be a B-frame,
            # shown before others. Without this the picture that is shown last is cut off.
            end = packets[-1]
            packets[-1] = replace(end, duration=max(end.duration, last.shown_until - end.pts))
        return packets

    def close(self) -> None:
        """Wait until nothing is encoded any more."""
        for encoder in self._encoders:
            encoder.wait()

    def _packets(self, *, waits: bool) -> list[EncodedPacket]:
        """Return the packets that come next in the stream and are there, or with `waits` all. Raises EncoderError."""
        packets = []
        while len(self._encoders) > 1 and (waits or not self._encoders[0].is_finishing):
            former = self._encoders.popleft()
            packets += former.take()
            self._encoders[0].follow(former)
        if len(self._encoders) == 1:
            packets += self._encoders[0].take()
        return packets


class _Encoder:
    """One encoder and the packets of it that have not left yet: when each is decoded, and how long it lasts."""

    def __init__(self, context: av.VideoCodecContext, time_base: Fraction, interval: int) -> None:
        self._context: av.VideoCodecContext | None = context
        self._time_base = time_base
        self._interval = interval
        self._steps = DecodingSteps()
        self._follows = False
        self.least: int | None = None
        """The earliest that the next packet may be decoded; None before the first."""
        self.shown_until = 0
        """When the picture that is shown last, of those that are out, ends."""
        self._packets: list[av.Packet[Stream]] = []
        self._error: EncoderError | None = None
        self._thread: threading.Thread | None = None

    @property
    def context(self) -> av.VideoCodecContext:
        """The encoder itself, until it gets no more."""
        assert self._context is not None  # noqa: S101 - it is asked of the last one only
        return self._context

    def given(self, pts: int) -> None:
        """Take note of a picture that goes in."""
        self._steps.given(pts)

    def follow(self, former: "_Encoder") -> None:
        """Begin where the packets of `former` end."""
        self.begin(former.least)

    def begin(self, least: int | None) -> None:
        """Begin at that decoding time."""
        self.least, self._follows = least, True

    def encode(self, picture: av.VideoFrame | None) -> None:
        """Encode a picture, or with None all that it has. Raises EncoderError."""
        try:
            self._packets += self.context.encode(picture)
        except (FFmpegError, ValueError) as error:
            raise encoder_failed(Track.VIDEO, error) from error

    def finish(self) -> None:
        """Begin to encode what it has: it gets no more."""
        try:
            self._thread = threads.start(self._finish, name="former-encoder")
        except RuntimeError:  # there are too many threads
            self._finish()

    @property
    def is_finishing(self) -> bool:
        """Whether it still encodes what it had when it got no more."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> None:
        """Wait until it is through with that."""
        if self._thread is not None:
            self._thread.join()

    def take(self) -> list[EncodedPacket]:
        """Return its packets that have not been returned before, once it is through. Raises EncoderError."""
        self.wait()
        if self._error is not None:
            raise self._error
        packets, self._packets = self._packets, []
        return [self._timed(packet) for packet in packets]

    def _timed(self, raw: "av.Packet[Stream]") -> EncodedPacket:
        """Return a packet that has come out, the next in decoding order.

        The first one behind another encoder's begins where those end; the next ones come right after it, before they
        are shown.
        """
        pts, wanted = int(raw.pts or 0), int(raw.dts or 0)
        dts = wanted
        if self.least is not None:
            dts = self.least if self._follows else max(wanted, self.least)
        self._follows = False
        step = self._steps.after(wanted)  # x264 does not say
        self.least = dts + 1 if step is None else max(dts + 1, wanted + step)
        self.shown_until = max(self.shown_until, pts + self._interval)
        return EncodedPacket(
            track=Track.VIDEO,
            data=bytes(raw),
            pts=pts,
            dts=dts,
            duration=self._interval if step is None else self.least - dts,
            time_base=self._time_base,
            is_keyframe=raw.is_keyframe,
        )

    def _finish(self) -> None:
        try:
            self.encode(None)
        except EncoderError as error:
            self._error = error
        self._context = None
        heap.give_back()  # hundreds of megabytes


def encoder_failed(track: TrackId, error: Exception) -> EncoderError:
    """Return what is raised of a track whose encoder has failed with `error`."""
    return EncoderError(f"the {track} encoder failed: {error}", hint="the recording up to here is kept")
