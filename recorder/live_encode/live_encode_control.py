"""The separate encode of live destinations: whether there is one, its life, and its bit rate."""

import threading
from collections.abc import Callable

import av

from config.errors import as_liput_error
from config.events import Emit
from config.settings.quantities import format_rate
from devices.host.clock import NANOSECONDS, Clock
from devices.host.threads import start_thread
from recorder.encode.x264 import VideoSettings
from recorder.live.destination import LiveDestination
from recorder.live.destinations import Destinations, Templates
from recorder.live.kind import LinkReport
from recorder.live_encode.headroom import (
    AUTO,
    SEPARATE,
    SHARED,
    EncodeMode,
    EncodeReason,
    HeadroomMeasurement,
    StreamPlan,
    choose_encode,
)
from recorder.live_encode.live_encoder import OPEN_S, SUBJECT, LiveEncoder, live_settings
from recorder.live_encode.rate_control import LinkSample, RateControl
from recorder.model.packet import EncodedPacket
from recorder.model.status import StreamLine
from recorder.program.timeline import StallDetector

LATE_S = 0.25  # a child reports its link eight times a second; a later report means that it cannot send
STALE_S = 0.8  # time without a report after which the link delivers nothing
TOLD = 0.15  # least change of the rate, as a part of the last reported one, that is reported
UP_EVERY_S, DOWN_EVERY_S = 10.0, 2.0
FREE_S = 0.5  # limit of the wait for a frame in the live encoder at the session's end


type ConnectDestinations = Callable[[Templates], None]
"""Begins to connect the destinations, with the streams of their own encode. Thread-safe."""


class LiveEncodeControl:
    """Live destinations' own encode of the program's frames, and its bit rate (recorder/live_encode/rate_control.py).

    It runs while anybody streams. It never makes the recording wait, and never raises there. `offer` is for the video
    track, all else for one thread.
    """

    def __init__(self, plan: StreamPlan, destinations: Destinations, *, clock: Clock, emit: Emit) -> None:
        self._plan = plan
        self._destinations = destinations
        self._clock = clock
        self._emit = emit
        # Mode and reason; None before the recording begins.
        self._choice: tuple[EncodeMode, EncodeReason] | None = None
        self._recorded_rate = 0
        self._most = plan.question.most
        self._headroom: HeadroomMeasurement | None = None
        self._opener: threading.Thread | None = None
        self._encode: LiveEncoder | None = None
        self._opened: LiveEncoder | None = None
        self._simplified = ("", 1)
        self._rate = RateControl(least=plan.least, most=self._most, beside=plan.question.profile.audio_bitrate)
        self._put: Callable[[EncodedPacket], None] | None = None
        self._share: Callable[[], None] = lambda: None
        self._reports: dict[str, tuple[LinkReport | None, float]] = {}  # last report of each destination, and its time
        self._samples: dict[str, LinkSample] = {}
        self._stalls = StallDetector()
        self._reported_rate = self._most
        self._reported_ns = -UP_EVERY_S * NANOSECONDS

    def look_up(self, *, measures: bool) -> None:
        """Look up the headroom of this PC; if `measures`, measure an unknown one until the start. Returns at once."""
        is_known = self._headroom is not None and self._headroom.found is not None
        if self._plan.encode == AUTO and not is_known and (self._destinations.names or not measures):
            self._headroom = HeadroomMeasurement().look_up(self._plan.question, measures=measures)

    def open(self, recorded: VideoSettings, *, connect: ConnectDestinations, share: Callable[[], None]) -> None:
        """Choose the encode, and `connect` the destinations; `recorded` is the recording's settings.

        Returns at once and never raises. A separate encoder opens on its own thread and stays open until `free`. If it
        fails later, `share` gives the recording's packets to the destinations.
        """
        self._recorded_rate = recorded.bit_rate
        self._share = share
        if self._headroom:
            self._headroom.stop()  # the recording gets the whole PC
        self._choice = choose_encode(self._plan.encode, self._headroom.found if self._headroom else None)
        if self._choice[0] == SHARED:
            connect({})
            return
        try:
            self._opener = start_thread(self._open, connect, recorded, name="stream-open")
        except RuntimeError as error:  # too many threads
            self._use_shared(error)
            connect({})

    def _open(self, connect: ConnectDestinations, recorded: VideoSettings) -> None:
        try:
            encode = self._opened = LiveEncoder(
                live_settings(recorded, self._most),
                put=self._put_packet,
                clock=self._clock,
                emit=self._emit,
                on_turn=self._update_rate,
                on_failure=self._on_failure,
            )
            encode.start()
        except Exception as error:  # any error: the recording goes on
            self._use_shared(error)
            connect({})
        else:
            self._encode = encode
            encode.simplify(*self._simplified)
            connect(encode.templates)

    def _use_shared(self, error: Exception) -> None:
        self._choice = SHARED, "failed"
        reason = as_liput_error(error, what="the live encoder could not be opened").message
        self._emit("stream-encode-failed", SUBJECT, f"{reason}; the recording's encode is streamed", goes_on="shared")

    def begin(self, in_media_time: Callable[[EncodedPacket], EncodedPacket]) -> None:
        """Encode from the next frame on while anybody streams; destinations get packets in media time."""
        self._put = lambda packet: self._destinations.put(in_media_time(packet))

    def offer(self, picture: av.VideoFrame, pts: int) -> bool:
        """Take a program frame; return whether it is wanted. Never waits, never raises."""
        if self._put is None or self._encode is None or not self._destinations.streaming:
            return False
        self._encode.offer(picture, pts)
        return True

    def simplify(self, more_params: str, spacing: int) -> None:
        """Encode more cheaply, as the recording does; see LiveEncoder. Returns at once."""
        self._simplified = (more_params, spacing)
        if self._encode is not None:  # else the encode starts with it
            self._encode.simplify(more_params, spacing)

    def end(self) -> None:
        """Take no more frames; returns at once."""
        if self._encode is not None:
            self._encode.close(0.0)

    def free(self) -> None:
        """Free the encoder after all destinations have closed."""
        if self._headroom:
            self._headroom.stop()
        if self._opener is not None and self._opener.is_alive():
            self._opener.join(OPEN_S)
        if self._opened is not None:  # also one that opened too late
            self._opened.close(FREE_S)
            self._opened.free()

    def facts(self) -> dict[str, object]:
        """Return fields for the event log: the mode and its reason."""
        choice = self._choice
        return {"stream_encode": choice[0], "stream_why": choice[1]} if choice else {}

    def line(self) -> StreamLine | None:
        """Return the status; None before the recording and without destinations."""
        if self._choice is None or not self._destinations.names:
            return None
        encode, why = self._choice
        is_separate = encode == SEPARATE
        return StreamLine(
            encode=encode,
            why=why,
            bitrate=self._rate.bit_rate if is_separate else self._recorded_rate,
            least=self._plan.least if is_separate else None,
            most=self._most if is_separate else None,
            late=self._encode.late if self._encode else 0,
        )

    # Encoder thread

    def _put_packet(self, packet: EncodedPacket) -> None:
        if self._put is not None:
            self._put(packet)

    def _update_rate(self) -> None:
        if self._encode is None:
            return
        now_ns = self._clock.now_ns()
        self._stalls.update(now_ns, came=True)
        before = self._samples
        self._samples = {one.name: self._newest_sample(one, now_ns) for one in self._destinations.streaming}
        if self._samples != before:
            slowest = self._rate.update(self._samples)
            self._encode.bit_rate = self._rate.bit_rate
            self._report_rate(self._rate.bit_rate, slowest, now_ns)

    def _newest_sample(self, destination: LiveDestination, now_ns: int) -> LinkSample:
        """Return a destination's newest sample: from a new report, or because the report is late."""
        link, before, now_s = destination.link, self._samples.get(destination.name), now_ns / NANOSECONDS
        tells_nothing = link is not None and link.rtt_ms is None and link.delivered_bps is None
        if before is not None and tells_nothing and self._stalls.is_excused:
            return before  # else a folder would answer for this PC's stall
        reported, reported_s = self._reports.get(destination.name, (None, now_s))
        if before is None or link is not reported:
            self._reports[destination.name] = link, now_s
            return _sample(destination, link, now_s)
        if now_s - before.at_s < LATE_S:
            return before
        return _sample(destination, link, now_s, is_stale=now_s - reported_s > STALE_S)

    def _report_rate(self, rate: int, slowest: str, now_ns: int) -> None:
        every_s = UP_EVERY_S if rate > self._reported_rate else DOWN_EVERY_S
        is_far = abs(rate - self._reported_rate) > TOLD * self._reported_rate or (
            rate != self._reported_rate and rate == self._most
        )
        if not is_far or now_ns - self._reported_ns < every_s * NANOSECONDS:
            return
        before, self._reported_rate, self._reported_ns = self._reported_rate, rate, now_ns
        why = "less" if rate < before else "more"
        whose = f"the link to {slowest} carries {why}" if slowest else f"the links carry {why}"
        self._emit(
            "stream-rate-changed",
            SUBJECT,
            f"the live picture has {format_rate(rate)} now: {whose}",
            before=before,
            bitrate=rate,
            slowest=slowest or None,
        )

    def _on_failure(self) -> None:
        self._choice = SHARED, "failed"
        self._share()


def _sample(
    destination: LiveDestination, link: LinkReport | None, now_s: float, *, is_stale: bool = False
) -> LinkSample:
    """Return a destination's sample; a stale report gives no delivered rate."""
    status = destination.status()
    delivered_bps = link.delivered_bps if link else None
    return LinkSample(
        at_s=now_s,
        is_live=status.state == "live",
        backlog_s=status.backlog_s,
        delivered_bps=0.0 if is_stale and delivered_bps is not None else delivered_bps,
        rtt_ms=link.rtt_ms if link and not is_stale else None,
        unsent_bytes=link.unsent_bytes if link else 0,
        in_flight=link.in_flight if link and not is_stale else None,
        dropped=status.dropped,
    )
