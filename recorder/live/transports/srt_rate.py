"""Congestion control for SRT: the stream's own rate, until the link shows that it cannot carry it.

SRT sends everything it is given, and resends losses. On a link slower than the stream that makes it worse: more losses,
more resends, and viewers get broken frames. So the link's rate is measured, and no more is sent. The rest waits in the
destination's queue, which drops to a keyframe.
"""

import time
from collections.abc import Callable
from math import inf

from recorder.live.transports.libsrt import SrtStatistics

LOOK_EVERY_S = 0.25
TOO_LOSSY = 0.25
"""Reported losses per packet sent, in about a second. A lossy but idle link loses less, even if losses are reported
twice. A full one delays packets before it loses them, unless it has no buffer."""
CALM = 0.15
WAITING_MS = 80.0  # delay above the shortest round trip that counts as queueing on the way
DRAINED = 0.25
"""The queue on the way has drained below this fraction of the allowed delay; until then the rate does not rise."""
NOTHING_TO_SEND_S = 2 * LOOK_EVERY_S  # a longer pause between looks means that there was nothing to send
LEAST_LASTS_S = 10.0  # shortest round trip is remembered this long at least, twice that at most: routes change
SETTLING_S = 0.7  # after a cut, packets on the way must arrive before the next one, on top of a round trip
ASSUMED_RTT_MS = 100.0
"""The shortest round trip before the link was seen empty: the first one measured may be of a full link."""
STEADY, CLEAN = 0.01, 0.02
"""A link is empty when its round trip varies by at most STEADY between looks and losses stay below CLEAN: on a full one
the round trip grows or packets are lost."""
LEAST_BPS = 100_000.0
CATCH_UP = 1.5  # without a limit, a backlog is sent at this multiple of the stream's own rate, never as one burst
_CUT, _DRAIN = 0.85, 0.6
_SMOOTH = 0.3
_PROBE, _LEAP = 1.02, 1.05  # per look: near the last full rate, and later
_A_WHILE_S = 3.0
_FREE_AGAIN, _SPARE_LOOKS = 2.0, 16  # no limit after 4 s with half of it used
_USED = 0.6
_BURST_S = 0.05
_PACKET_BITS = 1316 * 8


class _Least:
    """A moving minimum that begins with an assumed value."""

    def __init__(self, assumed: float, now_s: float) -> None:
        self._earlier, self._now = inf, assumed
        self._since_s = now_s

    def of(self, value: float, now_s: float) -> float:
        """Return the minimum, `value` included."""
        if now_s - self._since_s > LEAST_LASTS_S:
            self._earlier, self._now, self._since_s = self._now, inf, now_s
        self._now = min(self._now, value)
        return min(self._earlier, self._now)

    def begin_at(self, value: float) -> None:
        """Forget all other values."""
        self._earlier, self._now = inf, value


class SrtRateLimiter:
    """Limits the bits per second to send: `limit_bps`, None without congestion."""

    def __init__(
        self, latency_ms: int, stream_bps: int, now_s: Callable[[], float] = time.monotonic, rtt_ms: float | None = None
    ) -> None:
        """`rtt_ms` is the round trip of the empty link, where known."""
        self._now_s = now_s
        self._room_ms = max(WAITING_MS, latency_ms * 0.3)
        self._loss = 0.0
        self._settled_s = 0.0
        self._full_bps = 0.0
        self._is_draining = False
        self._spare = 0
        self._before: tuple[float, float, SrtStatistics] | None = None
        self._was_empty = rtt_ms is not None
        self._assumed_rtt_ms = ASSUMED_RTT_MS if rtt_ms is None else rtt_ms
        self._least_rtt_ms = _Least(self._assumed_rtt_ms, now_s())
        self._given_bits = self._again = 0
        self._allowance_bits = 0.0
        self._allowed_s = now_s()
        self._stream_bps = self._free_bps = CATCH_UP * max(LEAST_BPS, stream_bps)
        self._came_bits = 0
        self.limit_bps: float | None = None
        self.delivered_bps: float | None = None  # rate that arrives, by the reported losses

    @property
    def bps(self) -> float:
        """The bits per second that may be sent now."""
        return self._free_bps if self.limit_bps is None else self.limit_bps

    def add_input(self, size: int, dts_s: float) -> None:
        """Count `size` bytes of the stream, with a decoding time of `dts_s` seconds since its beginning."""
        self._came_bits += size * 8
        self._free_bps = max(self._stream_bps, CATCH_UP * self._came_bits / max(1.0, dts_s))

    def wait_s(self) -> float:
        """Return the seconds until the next message may be sent."""
        now_s, bps = self._now_s(), self.bps
        gained, self._allowed_s = (now_s - self._allowed_s) * bps, now_s
        self._allowance_bits = min(bps * _BURST_S, self._allowance_bits + gained)
        return max(0.0, -self._allowance_bits / bps)

    def add_sent(self, size: int) -> None:
        self._given_bits += size * 8
        self._allowance_bits -= size * 8

    def update(self, counts: SrtStatistics) -> None:
        """Adapt the limit to a connection's statistics, at most every LOOK_EVERY_S."""
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
        if passed_s > NOTHING_TO_SEND_S:  # no measure of the link, and an outdated round trip
            return
        sent, lost = counts.pktSentTotal - before.pktSentTotal, counts.pktSndLossTotal - before.pktSndLossTotal
        # libsrt's round trip lags: while it falls, the last cut was enough.
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
        """Charge resent packets to the allowance while there is a limit."""
        more, self._again = again - self._again, again
        if self.limit_bps is not None:
            self._allowance_bits -= more * _PACKET_BITS

    def _cut(self, given_bps: float, delivered_bps: float, drain: float) -> None:
        """Limit the rate below the delivered one, at first to `drain` of that so that queues on the way drain.

        The lower bound is for losses that are reported late or twice: then more was delivered than measured.
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
            pass  # the link was not used enough to know whether it carries more
        else:
            self.limit_bps *= _LEAP if calm_s > _A_WHILE_S else _PROBE
