"""Whether the stream of a V4L2 node is free, asked without disturbing whoever has it.

Any number of programs may have a node open; the one that asked for buffers has the stream, and to every other the
kernel answers EBUSY. To ask for no buffers at all is how a stream is let go, so it changes nothing where nobody has
it. The device itself is not asked.
"""

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterable

from devices import v4l2


class _Question:
    """One question to the driver of `node`, on a thread of its own."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.is_idle = False
        self.thread = threading.Thread(target=self._ask, name=f"idle-{node}", daemon=True)

    def _ask(self) -> None:
        try:
            with contextlib.suppress(OSError):
                self.is_idle = is_idle(self._node)
        finally:
            with _asking:
                del _open[self._node]


_asking = threading.Lock()
_open: dict[str, _Question] = {}


def idle(nodes: Iterable[str], timeout_s: float = 0.3) -> set[str]:
    """Return those of `nodes` whose stream nobody has; one that cannot be asked in time is not among them.

    The driver lets nobody ask while it is busy with a device that hangs: that question is left to its thread, and
    whoever asks the same meanwhile waits for that answer, so that one camera never has more than one thread.
    """
    questions = {node: _question(node) for node in nodes}
    deadline = time.monotonic() + timeout_s
    for question in questions.values():
        question.thread.join(max(0.0, deadline - time.monotonic()))
    return {node for node, question in questions.items() if question.is_idle}


def _question(node: str) -> _Question:
    with _asking:
        if node not in _open:
            question = _Question(node)
            question.thread.start()
            _open[node] = question
        return _open[node]


def is_idle(node: str) -> bool:
    """Return whether nobody has the stream of `node`; raises OSError where it cannot be asked."""
    fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        request = v4l2.Requestbuffers()
        request.count, request.type, request.memory = 0, v4l2.BUF_TYPE_VIDEO_CAPTURE, v4l2.MEMORY_MMAP
        fcntl.ioctl(fd, v4l2.VIDIOC_REQBUFS, request)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    finally:
        os.close(fd)
    return True
