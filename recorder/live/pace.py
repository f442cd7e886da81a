"""How fast an SRT stream may be sent: as fast as it comes, until the link shows that it cannot take that.

SRT sends whatever it is given, and again whatever was lost. On a link that is slower than the stream that makes it
worse: more is lost, more is sent again, and viewers get ruins of pictures. So what the link takes is measured, and no
more is given to it; the rest waits in the destination's queue, which drops to a keyframe.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

LOOK_EVERY_S = 0.5
TOO_LOSSY = 0.12
"""Packets reported lost, of those sent: a lossy link that is not full loses less, also where losses are told twice."""
CALM = 0.06
LEAST_BPS = 100_000.0
_BACK_OFF = 0.85
_PROBE = 1.04
_FREE_AGAIN = 2.0
_BURST_S = 0.05
_PACKET_BITS = 1316 * 8


@dataclass(frozen=True, slots=True)
class Counts:
    """What a connection has counted since it began, and its round trip."""

    sent: int
    lost: int
    rtt_ms: float


class Pace:
    """The bits per second that may be sent: `limit_bps`, None while there is no need for one."""

    def __init__(self, latency_ms: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._room_ms = latency_ms * 0.4
        self._before: tuple[float, Counts] | None = None
        self._least_rtt_ms: float | None = None
        self._given_bits = 0
        self._allowance_bits = 0.0
        self._allowed_s = now_s()
        self.limit_bps: float | None = None
        self.delivered_bps: float | None = None
        """What the other side has got, by what it says is missing."""

    def wait_s(self) -> float:
        """Return for how long nothing may be sent."""
        if self.limit_bps is None:
            return 0.0
        now_s = self._now_s()
        gained = (now_s - self._allowed_s) * self.limit_bps
        self._allowed_s = now_s
        self._allowance_bits = min(self.limit_bps * _BURST_S, self._allowance_bits + gained)
        return max(0.0, -self._allowance_bits / self.limit_bps)

    def given(self, size: int) -> None:
        """Take note of a message of `size` bytes."""
        self._given_bits += size * 8
        if self.limit_bps is not None:
            self._allowance_bits -= size * 8

    def look(self, counts: Counts) -> None:
        """Weigh what was counted, at most every LOOK_EVERY_S."""
        now_s = self._now_s()
        if self._before is None:
            self._before = now_s, counts
            return
        passed_s = now_s - self._before[0]
        if passed_s < LOOK_EVERY_S:
            return
        sent, lost = counts.sent - self._before[1].sent, counts.lost - self._before[1].lost
        given_bps, self._given_bits = self._given_bits / passed_s, 0
        self._before = now_s, counts
        if self._least_rtt_ms is None or counts.rtt_ms < self._least_rtt_ms:
            self._least_rtt_ms = counts.rtt_ms
        self.delivered_bps = max(0, sent - lost) * _PACKET_BITS / passed_s
        self._weigh(lost / sent if sent else 0.0, counts.rtt_ms - self._least_rtt_ms, given_bps)

    def _weigh(self, loss: float, waiting_ms: float, given_bps: float) -> None:
        if loss > TOO_LOSSY or waiting_ms > max(60.0, self._room_ms):
            before = given_bps if self.limit_bps is None else min(self.limit_bps, given_bps)
            delivered = self.delivered_bps or 0.0
            if self.limit_bps is None:
                self._allowance_bits, self._allowed_s = 0.0, self._now_s()
            self.limit_bps = max(LEAST_BPS, _BACK_OFF * min(before, delivered))
        elif self.limit_bps is not None and loss < CALM:
            self.limit_bps *= _PROBE
            if given_bps * _FREE_AGAIN < self.limit_bps:
                self.limit_bps = None
