"""The memory that glibc has for us, and what it keeps of it.

By itself it gives threads heaps of their own, eight for each processor. What one thread frees in its heap is of no use
to the others, and a camera or a server that comes and goes is met by another thread each time: all of them grow to the
most that was ever needed at once in each, which takes days. Nothing here allocates so much that threads would wait for
each other: with one heap for all, a session takes as much of the processor.

What is large has a mapping of its own, until as large a one was freed: from then on such are in the heap. So a session
grows by what is still to come of it, hours later maybe. Here they are in the heap from the beginning.

Python does likewise with its table of interned strings: what has been loaded nearly fills it, and it doubles when as
many short-lived ones came by as it had places left. Here it has doubled before they came.
"""

import ctypes
import sys
from contextlib import suppress
from functools import cache
from itertools import count

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
MAPPED_FROM_BYTES = 32 << 20
"""What glibc comes to by itself, at most."""
_ELSEWHERE = 2000
"""More than the strings that Python itself comes with, some thousand: it counts them, too, and has them elsewhere."""


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


def make_room_for_names() -> None:
    """Have Python's table of interned strings double now, a few milliseconds, and not at some later time.

    To be called when all is loaded that will be. A part of a path that nobody has used before is interned, for one; it
    keeps its place when it has gone, until the table is made anew. That has a power of two places, of which two thirds
    are used: more have to be alive at once.
    """
    alive = sys.getunicodeinternedsize()
    full = next(most for bits in count(3) if (most := 2**bits * 2 // 3) >= alive)
    _ = [sys.intern(f"liput-{number}") for number in range(full + _ELSEWHERE - alive)]


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
