"""Throttling: token buckets for requests, and a trouble that lasts is logged once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable


class Bucket:
    """`at_once` times straight away, then `per_s` times a second. Times are seconds of any clock."""

    def __init__(self, at_once: float, per_s: float, now_s: float) -> None:
        self._at_once, self._per_s = at_once, per_s
        self._tokens, self._filled_s = at_once, now_s

    def wait_s(self, now_s: float) -> float:
        """Return in how many seconds it may be done again; 0 if it may be done now."""
        self._tokens = min(self._at_once, self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        # A hair's breadth of rounding must not make anybody wait for nothing.
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / self._per_s

    def take(self) -> None:
        """Count it as done once."""
        self._tokens -= 1


class Buckets:
    """One bucket for each key, `most` of them: the one that was unused the longest is forgotten."""

    def __init__(self, at_once: float, per_s: float, most: int) -> None:
        self._at_once, self._per_s, self._most = at_once, per_s, most
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def take(self, key: Hashable, now_s: float) -> float:
        """Count something as done once; return 0, or in how many seconds it may be done where this is too soon."""
        bucket = self._of(key, now_s)
        wait_s = bucket.wait_s(now_s)
        if not wait_s:
            bucket.take()
        return wait_s

    def is_empty(self, key: Hashable, now_s: float) -> bool:
        """Return whether the next would be too soon."""
        return self._of(key, now_s).wait_s(now_s) > 0

    def _of(self, key: Hashable, now_s: float) -> Bucket:
        bucket = self._buckets.pop(key, None) or Bucket(self._at_once, self._per_s, now_s)
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket


type Tell = Callable[[str], None]
"""Called with a sentence for people; from any thread."""


class LogOnChange:
    """Logs a trouble when it begins or is another one, and again only after it was over; for one thread."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def __call__(self, trouble: str, of: str = "") -> None:
        """Log `trouble` unless it is the last one of the subject `of`; "" where there is none any more."""
        if self.is_new(trouble, of) and trouble:
            self._tell(trouble)

    def is_new(self, trouble: str, of: str = "") -> bool:
        """Return whether `trouble` is another one than the last of the subject `of`, and remember it."""
        before, self._told[of] = self._told.get(of, ""), trouble
        return before != trouble
