"""How much one client may ask for: requests in a time, counted for each address; and how large a request may be."""

from collections import OrderedDict
from collections.abc import Callable

from recorder.control.bucket import Bucket

LONGEST_BODY = 64 * 1024
LONGEST_HEAD = 16 * 1024
REQUESTS_AT_ONCE, REQUESTS_PER_S = 300.0, 60.0
"""A page loads a dozen files and then has its WebSocket; several people may sit behind one address."""
MOST_ADDRESSES = 1024
"""Whose requests are counted; the one that was silent the longest is forgotten."""
MOST_CONNECTIONS, MOST_OF_AN_ADDRESS = 256, 64
"""At once, of all; of one address that is not this PC's own."""
MOST_SOCKETS = 64
HEADER_S = 10.0
"""How long a request may take to come in, head and body."""
KEEP_ALIVE_S = 15
UNREAD_S = 30.0
"""A client that takes nothing of its answer for so long is let go."""


class Rates:
    """Counts requests by address; times are those of `now_s`, any clock that never goes back."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Count a request; return 0, or in how many seconds it may be asked again where this is one too many."""
        now_s = self._now_s()
        bucket = self._buckets.pop(address, None) or Bucket(REQUESTS_AT_ONCE, REQUESTS_PER_S, now_s)
        self._buckets[address] = bucket
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        wait_s = bucket.wait_s(now_s)
        if not wait_s:
            bucket.take()
        return wait_s
