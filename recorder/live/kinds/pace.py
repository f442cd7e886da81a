"""How fast an SRT stream may be sent: about as fast as it comes, until the link shows that it cannot take that.

SRT sends whatever it is given, and again whatever was lost. On a link that is slower than the stream that makes it
worse: more is lost, more is sent again, and viewers get ruins of pictures. So what the link takes is measured, and no
more is given to it; the rest waits in the destination's queue, which drops to a keyframe.
"""

import time
from collections.abc import Callable
from math import inf

from recorder.live.kinds.libsrt import Statistics

LOOK_EVERY_S = 0.25
TOO_LOSSY = 0.25
"""Packets reported lost, of those sent, in about a second: a lossy link that is not full loses less, also where losses
are told twice. One that is full makes packets wait before it loses them, unless it has no room for them to wait."""
CALM = 0.15
WAITING_MS = 80.0
"""How much longer than the shortest round trip one may take before something is taken to wait on the way."""
DRAINED = 0.25
"""What waited has got away, when what still waits is so little of what may; as long as it is more, nothing is added."""
NOTHING_TO_SEND_S = 2 * LOOK_EVERY_S
"""Who has not looked for so long had nothing to send."""
LEAST_LASTS_S = 10.0
"""For how long the shortest round trip is remembered at least, twice that at most: the way may become longer."""
SETTLING_S = 0.7
"""After a cut, what is on the way must arrive before the next can be judged, on top of a round trip."""
ASSUMED_RTT_MS = 100.0
"""The shortest round trip, before the way was seen empty: the first that is measured may be of one that is full."""
STEADY, CLEAN = 0.01, 0.02
"""A way is empty when the round trip changes by no more from look to look, and no more than that is lost: what is full
has a round trip that grows, or loses."""
LEAST_BPS = 100_000.0
CATCH_UP = 1.5
"""Without a limit, what has piled up goes out at so many times the stream's own rate: never as one burst."""
_CUT, _DRAIN = 0.85, 0.6
_SMOOTH = 0.3
_PROBE, _LEAP = 1.02, 1.05  # each look: around where it was full, and after a while
_A_WHILE_S = 3.0
_FREE_AGAIN, _SPARE_LOOKS = 2.0, 16  # no limit any more, when for 4 s half of it was enough
_USED = 0.6
_BURST_S = 0.05
_PACKET_BITS = 1316 * 8


class _Least:
    """The least of the values of the last while; and of one that was assumed, until that is given up."""

    def __init__(self, assumed: float, now_s: float) -> None:
        self._earlier, self._now = inf, assumed
        self._since_s = now_s

    def of(self, value: float, now_s: float) -> float:
        """Return it, `value` included."""
        if now_s - self._since_s > LEAST_LASTS_S:
            self._earlier, self._now, self._since_s = self._now, inf, now_s
        self._now = min(self._now, value)
        return min(self._earlier, self._now)

    def begin_at(self, value: float) -> None:
        """Forget all others."""
        self._earlier, self._now = inf, value


class Pace:
    """The bits per second that may be sent: `limit_bps`, None while there is no need for one."""

    def __init__(
        self,
        latency_ms: int,
        stream_bps: int,
        now_s: Callable[[], float] = time.monotonic,
        rtt_ms: float | None = None,
    ) -> None:
        """`rtt_ms` is the round trip of the empty way, where that is known."""
        self._now_s = now_s
        self._room_ms = max(WAITING_MS, latency_ms * 0.3)
        self._loss = 0.0
        self._settled_s = 0.0
        self._full_bps = 0.0
        self._is_draining = False
        self._spare = 0
        self._before: tuple[float, float, Statistics] | None = None
        """The look before: when, the round trip, and all that was counted."""
        self._was_empty = rtt_ms is not None
        self._assumed_rtt_ms = ASSUMED_RTT_MS if rtt_ms is None else rtt_ms
        self._least_rtt_ms = _Least(self._assumed_rtt_ms, now_s())
        self._given_bits = self._again = 0
        self._allowance_bits = 0.0
        self._allowed_s = now_s()
        self._stream_bps = self._free_bps = CATCH_UP * max(LEAST_BPS, stream_bps)
        self._came_bits = 0
        self.limit_bps: float | None = None
        self.delivered_bps: float | None = None
        """What the other side has got, by what it says is missing."""

    @property
    def bps(self) -> float:
        """The bits per second that may be sent now."""
        return self._free_bps if self.limit_bps is None else self.limit_bps

    def came(self, size: int, dts_s: float) -> None:
        """Take note of `size` bytes of the stream, to be decoded at `dts_s` seconds since it began."""
        self._came_bits += size * 8
        self._free_bps = max(self._stream_bps, CATCH_UP * self._came_bits / max(1.0, dts_s))

    def wait_s(self) -> float:
        """Return for how long nothing may be sent."""
        now_s, bps = self._now_s(), self.bps
        gained, self._allowed_s = (now_s - self._allowed_s) * bps, now_s
        self._allowance_bits = min(bps * _BURST_S, self._allowance_bits + gained)
        return max(0.0, -self._allowance_bits / bps)

    def given(self, size: int) -> None:
        """Take note of a message of `size` bytes."""
        self._given_bits += size * 8
        self._allowance_bits -= size * 8

    def look(self, counts: Statistics) -> None:
        """Weigh what a connection has counted, at most every LOOK_EVERY_S."""
        now_s = self._now_s()
        self._charge(counts.pktRetransTotal)
        rtt_ms = self._assumed_rtt_ms if counts.rtt_ms is None else counts.rtt_ms
        waiting_ms = rtt_ms - self._least_rtt_ms.of(rtt_ms, now_s)
        if self._before is None:
            self._before = now_s, rtt_ms, counts
            return
        before_s, before_ms, before = self._before
        passed_s = now_s - before_s
        if passed_s < LOOK_EVERY_S:
            return
        self._before = now_s, rtt_ms, counts
        given_bps, self._given_bits = self._given_bits / passed_s, 0
        if passed_s > NOTHING_TO_SEND_S:  # what the link takes does not show, and the round trip is of back then
            return
        sent, lost = counts.pktSentTotal - before.pktSentTotal, counts.pktSndLossTotal - before.pktSndLossTotal
        # libsrt's round trip follows slowly: while it falls, the last cut was enough.
        is_falling = rtt_ms < before_ms * (1 - STEADY)
        self.delivered_bps = max(0, sent - lost) * _PACKET_BITS / passed_s
        self._loss += ((lost / sent if sent else 0.0) - self._loss) * _SMOOTH
        if not self._was_empty and now_s >= self._settled_s and counts.heard > before.heard:
            self._was_empty = abs(rtt_ms / before_ms - 1) <= STEADY and self._loss < CLEAN and counts.rtt_ms is not None
            if self._was_empty:
                self._least_rtt_ms.begin_at(rtt_ms)
                waiting_ms = 0.0
        has_drained = waiting_ms < DRAINED * self._room_ms
        if self._is_draining and has_drained:
            self._is_draining, self._loss, self.limit_bps = False, 0.0, self._full_bps
        if self._loss > TOO_LOSSY or waiting_ms > self._room_ms:
            if now_s >= self._settled_s and not is_falling:
                is_far = self._loss > TOO_LOSSY or waiting_ms > 1.5 * self._room_ms
                self._cut(given_bps, self.delivered_bps, _DRAIN if is_far else 1.0)
                self._settled_s = now_s + SETTLING_S + rtt_ms / 1000
        elif self.limit_bps is not None and self._loss < CALM and has_drained:
            self._climb(given_bps, now_s - self._settled_s)

    def _charge(self, again: int) -> None:
        """Let what is sent again take the place of what is new, on a link that takes no more."""
        more, self._again = again - self._again, again
        if self.limit_bps is not None:
            self._allowance_bits -= more * _PACKET_BITS

    def _cut(self, given_bps: float, delivered_bps: float, drain: float) -> None:
        """Give less than what got through, and `drain` of that at first, so that what waits on the way gets away.

        What got through may be more than it looks: losses are told late, and twice.
        """
        least = 0.5 if self.limit_bps is None else 0.75
        given_bps = min(given_bps, self._free_bps / CATCH_UP if self.limit_bps is None else self.limit_bps)
        self._full_bps = max(LEAST_BPS, _CUT * min(given_bps, delivered_bps), given_bps * least)
        self.limit_bps = self._full_bps * drain
        self._is_draining = drain < 1.0

    def _climb(self, given_bps: float, calm_s: float) -> None:
        if self.limit_bps is None:
            return
        self._spare = self._spare + 1 if given_bps * _FREE_AGAIN < self.limit_bps else 0
        if self._spare > _SPARE_LOOKS or self.limit_bps > self._free_bps:
            self.limit_bps = None
        elif given_bps < _USED * self.limit_bps:
            pass  # whether more would get through is not known
        else:
            self.limit_bps *= _LEAP if calm_s > _A_WHILE_S else _PROBE
