"""How long a destination waits before it tries again.

Viewers should be back within 5 s of the network's return. The worst case is an attempt whose first packet was the last
to be lost. Since Linux 6.5 the kernel sends another each second: live after 1 s and the way there. Before, it sends
them 1 s and 3 s after the first, and then the attempt's deadline (3 s a step, recorder.live.attempt) has passed: 2 s
lost. The next attempt begins up to SOON_S[1] = 0.5 s later, and its process needs up to 0.5 s to its own first packet.
RTMP takes seven round trips from there: 1.1 s at 150 ms. In all 4.1 s. A name that is looked up adds 1 s at most: the
child's resolver asks again each second (recorder.live.attempt). What fails at once, as it does without a route, is
tried again after LONGEST_S = 2 s at most: 2 + 0.5 + 1.1 = 3.6 s.
"""

import random

from devices.host.background import pause_s
from recorder.live.protocol import Outcome
from recorder.live.reason import Reason

FIRST_S = 1.0
GROWTH = 1.6
LONGEST_S = 2.0
SOON_S = (0.25, 0.5)
"""The least there is between two attempts: each costs 0.3 s of CPU."""

SLOW_S = 10.0
"""Where nothing but a person will change the answer: a wrong key, a certificate."""

SHORT_LIFE_S = 5.0
"""A stream that lived shorter than this counts as a failed attempt."""

_NO_WAY_THERE = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.UNKNOWN_HOST})
"""The network is to blame: the wait is counted from the attempt's start, for it has waited long enough itself."""
_A_PERSON_MUST_ACT = frozenset({Reason.REJECTED, Reason.CERTIFICATE})
_PATIENCE = 3
"""How often in a row a server that has taken this stream before may turn it away, and how often any server may
take the stream and hang up at once (some do that with a wrong key), before we believe it."""


class Backoff:
    """The waits between attempts: they grow while attempts fail in a row, and jitter keeps rooms out of step."""

    def __init__(self, random_source: random.Random | None = None) -> None:
        self._random = random_source or random.Random()  # noqa: S311 - no secret depends on it
        self._failures = 0
        self._turned_away = 0
        self._hung_up = 0
        self._was_live = False

    def forget(self) -> None:
        """Begin anew: somebody has changed something."""
        self._failures = self._turned_away = self._hung_up = 0

    def after(self, outcome: Outcome, took_s: float = 0.0) -> float:
        """Return how many seconds to wait after an attempt that ended so and took `took_s` seconds in all."""
        if outcome.live_s >= SHORT_LIFE_S:
            self._failures = self._turned_away = self._hung_up = 0
            self._was_live = True
        if outcome.reason is Reason.CALLER_LEFT:
            return 0.0  # nothing failed: the next may call at once
        self._failures += 1
        self._turned_away = self._turned_away + 1 if outcome.reason in _A_PERSON_MUST_ACT else 0
        self._hung_up += outcome.live_s > 0 and outcome.reason is Reason.CLOSED
        patience = _PATIENCE if self._was_live else 0
        if self._turned_away > patience or self._hung_up > _PATIENCE:
            return SLOW_S * self._random.uniform(0.9, 1.1)
        if outcome.reason is Reason.ALREADY_PUBLISHING:  # most often our own stream from before
            return LONGEST_S * self._random.uniform(0.9, 1.0)
        wait_s = pause_s(self._failures, LONGEST_S, first_s=FIRST_S, growth=GROWTH) * self._random.uniform(0.75, 1.0)
        if outcome.reason in _NO_WAY_THERE or outcome.live_s >= SHORT_LIFE_S:
            return max(self._random.uniform(*SOON_S), wait_s - took_s)
        return wait_s
