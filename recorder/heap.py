"""The memory that glibc has for us, and what it keeps of it.

By itself it gives threads heaps of their own, eight for each processor. What one thread frees in its heap is of no use
to the others, and a camera or a server that comes and goes is met by another thread each time: all of them grow to the
most that was ever needed at once in each, which takes days. Nothing here allocates so much that threads would wait for
each other: with one heap for all, a session takes as much of the processor.
"""

import ctypes
from contextlib import suppress
from functools import cache

_M_ARENA_MAX = -8


def share() -> None:
    """Have all threads of this process share one heap; to be called before there are any.

    Does nothing, as below, where libc is not glibc.
    """
    with suppress(AttributeError):
        _libc().mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return every whole page that is free to the system; no thread gets any for as long, less than a millisecond."""
    with suppress(AttributeError):
        _libc().malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
