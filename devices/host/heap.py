"""The memory that glibc has for a recorder: one heap for all threads, and free pages go back to the system.

With heaps of their own, each grows to the most that was ever needed in it: other threads meet each camera or server
that comes back. Large pieces are in the heap from the beginning, where they come to be anyway (docs/decisions/0056).
"""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from devices.host.clock import NANOSECONDS, Clock

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
MAPPED_FROM_BYTES = 32 << 20
"""What glibc comes to by itself, at most."""
EVERY_S = 10.0


def share() -> None:
    """Have all threads share one heap, large pieces too; to be called before there are any. Needs glibc."""
    with suppress(AttributeError):
        _libc().mallopt(_M_ARENA_MAX, 1)
        _libc().mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        _libc().mallopt(_M_TRIM_THRESHOLD, 2 * MAPPED_FROM_BYTES)  # the proportion that glibc keeps by itself


def give_back() -> None:
    """Return every whole page that is free to the system; no thread gets any for as long, less than a millisecond."""
    with suppress(AttributeError):
        _libc().malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def garbage_collector(clock: Clock) -> Callable[[], None]:
    """Return a function that collects cycles and gives free memory back, at most every EVERY_S.

    Python looks at old objects hours later only, and a cycle of a few may hold a muxer or a decoder. Existing objects
    are frozen: else each collection stops all threads for 9 ms instead of one.
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
            give_back()

    return look
