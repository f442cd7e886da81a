"""The program's picture: decodes what the source gives, encodes it once, and never leaves a gap.

Pictures keep the times the kernel gave them: an undisturbed camera is never re-timed. When none comes for
PATIENCE, the last one is repeated at the nominal rate, PATIENCE behind the clock, until the source gives again, so
that the muxer never has to wait for this track (facts: a track that goes quiet takes the whole recording with it).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av

from capture.reader import Reader
from capture.source import Frame, VideoSource
from config.errors import MediaError
from config.events import Emit
from devices.clock import NANOSECONDS
from recorder.encoder import VIDEO_TIME_BASE, Encoder
from recorder.packet import EncodedPacket, Track
from recorder.timeline import Timeline

PATIENCE_S = 0.3
"""How long a live source may give nothing before its last picture is repeated; part of what a kill may cost."""
PATIENCE_FRAMES = 3
LEAST_STEP_NS = 1_000_000
"""Two pictures closer together than this (the resolution of FLV's times) are one too many."""
IDLE_S = 0.05
"""How often a track that waits for something other than its source looks again."""
MUCH_FASTER = Fraction(102, 100)
"""A source this much faster than the program has pictures left out; a little faster is a clock that runs fast."""


@dataclass(slots=True)
class VideoCounts:
    """How many pictures were encoded, of these repeated; lost as late; damaged."""

    frames: int = 0
    repeated: int = 0
    late: int = 0
    damaged: int = 0


class Thinning:
    """Chooses which pictures of a faster source to take: on the average one in each interval of the program."""

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._due_ns = 0

    def wants(self, at_ns: int) -> bool:
        """Return whether the picture captured at `at_ns` is to be taken."""
        if at_ns < self._due_ns - self._interval_ns // 4:  # cameras jitter
            return False
        # The schedule stands whatever single pictures do; only after a pause does it begin anew.
        self._due_ns = max(self._due_ns, at_ns - self._interval_ns) + self._interval_ns
        return True


class VideoTrack:
    """Runs on a thread of its own from the first picture to the end of the session."""

    def __init__(
        self,
        source: VideoSource,
        reader: Reader[Frame],
        encoder: Encoder,
        timeline: Timeline,
        *,
        source_rate: Fraction,
        program_rate: Fraction,
        put: Callable[[EncodedPacket], None],
        emit: Emit,
    ) -> None:
        self.counts = VideoCounts()
        self._source = source
        self._reader = reader
        self._encoder = encoder
        self._timeline = timeline
        self._put = put
        self._emit = emit
        self._interval_ns = round(NANOSECONDS / program_rate)
        self._thinning = Thinning(self._interval_ns) if source_rate > program_rate * MUCH_FASTER else None
        self._patience_ns = max(int(PATIENCE_S * NANOSECONDS), PATIENCE_FRAMES * self._interval_ns)
        self._picture: av.VideoFrame | None = None
        self._position_ns = 0  # when the next picture is due
        self._filling = False

    def run(self, first: Frame) -> None:
        """Encode from `first` on until the session ends, then flush the encoder."""
        self._take(first)
        while not self._has_reached_end():
            frame = self._reader.get(self._wait_s())
            if frame is not None:
                self._take(frame)
            else:
                self._go_without()
        self._hand_on(self._encoder.flush(Track.VIDEO))

    def _has_reached_end(self) -> bool:
        end = self._timeline.end_ns
        # Half an interval: the end of a session is not on the grid of its pictures.
        return end is not None and self._position_ns > end - self._interval_ns // 2

    def _wait_s(self) -> float:
        if not self._timeline.live:
            return IDLE_S
        return max(0.0, min((self._position_ns - self._due_ns()) / NANOSECONDS, IDLE_S))

    def _due_ns(self) -> int:
        """Up to where repeated pictures are due now.

        Behind the clock by our patience also while the source is silent: when it gives again, its pictures
        come some time after they were captured, and must not find their moments filled.
        """
        has_an_end = self._reader.is_over and self._timeline.end_ns is not None
        return self._timeline.now_ns() - (0 if has_an_end else self._patience_ns)

    def _take(self, frame: Frame) -> None:
        """Encode one picture of the source, at the time it was captured."""
        at_ns = self._timeline.media_ns(frame.timestamp_ns)
        end_ns = self._timeline.end_ns
        if end_ns is not None and at_ns >= end_ns:
            self._repeat_until(end_ns)
            self._position_ns = max(self._position_ns, end_ns)
            return
        if self._thinning and not self._thinning.wants(at_ns):
            return
        if self._picture is not None and at_ns < self._position_ns - self._interval_ns + LEAST_STEP_NS:
            self.counts.late += 1
            return
        self._returned(at_ns)
        try:
            self._picture = self._source.decode(frame)
        except MediaError as error:
            self._count_damaged(error)
            if self._picture is None:
                return
        self._encode(at_ns)

    def _fell_silent(self) -> None:
        if not self._filling and not self._reader.is_over:
            self._emit(
                "source-silent",
                self._source.name,
                f"{self._source.name} gives no picture; its last one stays until it does",
                since_s=self._position_ns / NANOSECONDS,
            )
        self._filling = True

    def _returned(self, at_ns: int) -> None:
        if self._filling:
            self._repeat_until(at_ns - self._interval_ns // 2)
            self._emit(
                "source-returned",
                self._source.name,
                f"{self._source.name} gives pictures again",
                at_s=at_ns / NANOSECONDS,
            )
        self._filling = False

    def _count_damaged(self, error: MediaError) -> None:
        self.counts.damaged += 1
        if self.counts.damaged & (self.counts.damaged - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
            self._emit(
                "picture-damaged",
                self._source.name,
                f"{self._source.name} gave a damaged picture ({self.counts.damaged} so far); the one before it stays",
                count=self.counts.damaged,
                reason=error.message,
            )

    def _go_without(self) -> None:
        """No picture came: repeat the last one where one is due."""
        if self._reader.is_over:
            self._timeline.source_ended(Track.VIDEO)
        if self._timeline.live:
            if (due_ns := self._due_ns()) >= self._position_ns:
                self._fell_silent()
                self._repeat_until(due_ns)
        elif self._reader.is_over:
            self._repeat_until(self._timeline.now_ns() - self._interval_ns // 2)

    def _repeat_until(self, until_ns: int) -> None:
        """Encode the last picture again at each moment of the grid up to `until_ns`, and not past the end."""
        if self._picture is None:  # not one could be decoded so far
            self._position_ns = max(self._position_ns, until_ns + self._interval_ns)
        while self._picture is not None and self._position_ns <= until_ns and not self._has_reached_end():
            self.counts.repeated += 1
            self._encode(self._position_ns)

    def _encode(self, at_ns: int) -> None:
        if self._picture is None:
            return
        pts = round(Fraction(at_ns, NANOSECONDS) / VIDEO_TIME_BASE)
        self._hand_on(self._encoder.encode_video(self._picture, pts))
        self.counts.frames += 1
        self._position_ns = at_ns + self._interval_ns
        self._timeline.advance(Track.VIDEO, self._position_ns)

    def _hand_on(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            self._put(packet)
