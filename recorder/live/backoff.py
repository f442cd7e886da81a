"""How long a destination waits before it tries again."""

import random

from recorder.live.attempt import Outcome
from recorder.live.reason import Reason

FIRST_S = 1.0
GROWTH = 1.6
LONGEST_S = 2.0
"""The cap where the network is to blame: viewers should be back within 5 s of its return."""

SLOW_S = 10.0
"""Where nothing but a person will change the answer: a wrong key, a certificate."""

SHORT_LIFE_S = 5.0
"""A stream that lived shorter than this counts as a failed attempt."""

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

    def after(self, outcome: Outcome) -> float:
        """Return how many seconds to wait after an attempt that ended so."""
        if outcome.live_s >= SHORT_LIFE_S:
            self._failures = self._turned_away = self._hung_up = 0
            self._was_live = True
        if outcome.reason is Reason.CALLER_LEFT:
            return 0.0  # nothing failed: the next may call at once
        self._failures += 1
        self._turned_away = self._turned_away + 1 if outcome.reason in _A_PERSON_MUST_ACT else 0
        self._hung_up += outcome.live_s > 0
        patience = _PATIENCE if self._was_live else 0
        if self._turned_away > patience or self._hung_up > _PATIENCE:
            return SLOW_S * self._random.uniform(0.9, 1.1)
        return min(LONGEST_S, FIRST_S * GROWTH ** (self._failures - 1)) * self._random.uniform(0.75, 1.0)
