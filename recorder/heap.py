"""The memory that glibc has for a recorder: one heap for all threads, and free pages go back to the system.

By itself glibc gives threads heaps of their own, eight for each processor. Memory that one thread frees in its heap is
of no use to the others. Other threads meet each camera or server that comes back, so every heap grows to the most that
was ever needed in it. A session allocates so little that one heap for all costs it no time.

A large piece has a mapping of its own until as large a one was freed; from then on it is in the heap. So a session
would grow hours later. Here large pieces are in the heap from the beginning (docs/decisions/0056).
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
    """Have all threads of this process share one heap, which also has what is large; to be called before there are any.

    Does nothing, as below, where libc is not glibc.
    """
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
    """Return what collects cycles and gives free memory back, if EVERY_S have passed since the last time.

    A cycle of a few small objects may hold a muxer or a decoder: hundreds of kilobytes. Python's collector looks at old
    objects only after many new ones were made, which takes hours; a destination that is retried all day leaves
    thousands of cycles. Existing objects are frozen: else each collection stops all threads for 9 ms instead of one.
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
