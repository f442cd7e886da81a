"""Whether the stream of a V4L2 node is free, asked without disturbing whoever has it.

Any number of programs may have a node open; the one that asked for buffers has the stream, and to every other the
kernel answers EBUSY. To ask for no buffers at all is how a stream is let go, so it changes nothing where nobody has
it. The device itself is not asked.
"""

import errno
import fcntl
import os
from collections.abc import Iterable
from functools import partial

from devices import v4l2
from devices.host.deadline import DeadlineTasks

_asked: DeadlineTasks[str, bool] = DeadlineTasks("idle")


def idle(nodes: Iterable[str], timeout_s: float = 0.3) -> set[str]:
    """Return those of `nodes` whose stream nobody has; one that cannot be asked in time is not among them.

    The driver lets nobody ask while it is busy with a device that hangs; such a camera is asked by one thread only.
    Raises RuntimeError where the system has no thread to give.
    """
    answers = _asked.ask({node: partial(is_idle, node) for node in nodes}, timeout_s)
    for answer in answers.values():
        if isinstance(answer, RuntimeError):
            raise answer
    return {node for node, answer in answers.items() if answer is True}


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
