"""Throttling: token buckets for requests, and a trouble that lasts is logged once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable


class TokenBucket:
    """Allows `at_once` actions immediately, then `per_s` a second. Times are seconds of any clock."""

    def __init__(self, at_once: float, per_s: float, now_s: float) -> None:
        self._at_once, self._per_s = at_once, per_s
        self._tokens, self._filled_s = at_once, now_s

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the next action is allowed; 0 if it is now."""
        self._tokens = min(self._at_once, self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        # A rounding error must not delay an allowed action.
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / self._per_s

    def take(self) -> None:
        """Count one action."""
        self._tokens -= 1


class TokenBuckets:
    """One bucket per key, at most `most` of them: the least recently used one is forgotten."""

    def __init__(self, at_once: float, per_s: float, most: int) -> None:
        self._at_once, self._per_s, self._most = at_once, per_s, most
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def take(self, key: Hashable, now_s: float) -> float:
        """Count one action and return 0, or return the seconds until it is allowed."""
        bucket = self._of(key, now_s)
        wait_s = bucket.wait_s(now_s)
        if not wait_s:
            bucket.take()
        return wait_s

    def is_empty(self, key: Hashable, now_s: float) -> bool:
        """Return whether the next action would be too soon."""
        return self._of(key, now_s).wait_s(now_s) > 0

    def _of(self, key: Hashable, now_s: float) -> TokenBucket:
        bucket = self._buckets.pop(key, None) or TokenBucket(self._at_once, self._per_s, now_s)
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket


type Tell = Callable[[str], None]  # called with a sentence for people; from any thread


class LogOnChange:
    """Logs a fault when it begins or changes, and again only after it was over. Not thread-safe."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def __call__(self, trouble: str, of: str = "") -> None:
        """Log `trouble` unless it is the last one of the subject `of`; "" ends it."""
        if self.is_new(trouble, of) and trouble:
            self._tell(trouble)

    def is_new(self, trouble: str, of: str = "") -> bool:
        """Return whether `trouble` differs from the last one of the subject `of`, and remember it."""
        before, self._told[of] = self._told.get(of, ""), trouble
        return before != trouble
