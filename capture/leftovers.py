"""Takes back what FFmpeg leaves of a stream that could not start.

When STREAMON fails (a full bus, a device that goes that moment), libavdevice/v4l2.c closes its descriptor and leaves
its buffers mapped. They keep the node: it is busy for every program until this process ends, and no descriptor says
whose it is.
"""

import contextlib
import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

_GONE = " (deleted)"
_TRIES_AFTER_S = (0.0, 0.05, 0.1, 0.2)


def unmap(node: str) -> int:
    """Unmap what is mapped of `node` in this process, and return how many pieces that were.

    None if this process has the node open and keeps it so, as what streams does; questions to the driver are over soon.
    """
    if not any(_is_closed(node, after_s) for after_s in _TRIES_AFTER_S):
        return 0
    munmap = ctypes.CDLL(None, use_errno=True).munmap
    munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return sum(munmap(begin, end - begin) == 0 for begin, end in list(_mapped(node)))


def _mapped(node: str) -> Iterator[tuple[int, int]]:
    """Yield where each piece of `node` begins and ends in memory."""
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        addresses, *_, path = (*line.split(maxsplit=5), "")[:6]
        if path.removesuffix(_GONE) == node:
            begin, end = addresses.split("-")
            yield int(begin, 16), int(end, 16)


def _is_closed(node: str, after_s: float) -> bool:
    time.sleep(after_s)
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            if str(link.readlink()).removesuffix(_GONE) == node:
                return False
    return True
