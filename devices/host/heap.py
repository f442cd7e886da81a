"""A recorder's glibc heap: one for all threads, which returns free pages to the system.

With one heap per thread each grows to its own peak: other threads serve each camera or server that reconnects. Large
blocks come from the heap too, as glibc decides by itself in time (docs/decisions/0056).
"""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from devices.host.clock import NANOSECONDS, Clock

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
MAPPED_FROM_BYTES = 32 << 20  # glibc's own upper limit of this threshold
EVERY_S = 10.0


def share_heap() -> None:
    """Make all threads share one heap, large blocks too. Call it before they start; needs glibc."""
    with suppress(AttributeError):
        _libc().mallopt(_M_ARENA_MAX, 1)
        _libc().mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        _libc().mallopt(_M_TRIM_THRESHOLD, 2 * MAPPED_FROM_BYTES)  # glibc's own ratio


def trim_heap() -> None:
    """Return all free pages to the system, in less than a millisecond."""
    with suppress(AttributeError):
        _libc().malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def garbage_collector(clock: Clock) -> Callable[[], None]:
    """Return a function that collects cycles and trims the heap, at most every EVERY_S.

    Python collects old objects hours later, and a small cycle may hold a muxer or a decoder. Existing objects are
    frozen: else each collection stops all threads for 9 ms instead of one.
    """
    gc.collect()
    gc.freeze()
    collected_ns = clock.now_ns()

    def look() -> None:
        nonlocal collected_ns
        now_ns = clock.now_ns()
        if now_ns - collected_ns >= EVERY_S * NANOSECONDS:
            collected_ns = now_ns
            gc.collect()
            trim_heap()

    return look
