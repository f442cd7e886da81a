"""Pictures for an output node in buffers of the driver's (V4L2 streaming, MMAP): for drivers that take no `write`."""

import contextlib
import fcntl
import mmap
from typing import Any

from devices import v4l2

COUNT = 3
"""So many are asked for: one that is shown, one that is next, one that is filled."""


class OutputBuffers:
    """The buffers of one open node, whose format is set; nothing here waits. Raises OSError."""

    def __init__(self, fd: int) -> None:
        """Have the driver make them."""
        self._fd = fd
        self._is_streaming = False
        self._maps: list[mmap.mmap] = []
        try:
            for index in range(self._request(COUNT)):
                buffer = self._buffer(index)
                fcntl.ioctl(fd, v4l2.VIDIOC_QUERYBUF, buffer)
                self._maps.append(mmap.mmap(fd, buffer.length, offset=buffer.m.offset))
        except OSError:
            self.close()
            raise
        self._free = list(range(len(self._maps)))

    def put(self, picture: memoryview) -> bool:
        """Queue a picture; return whether there was a buffer for it."""
        if not self._free and not self._taken_back():
            return False
        index = self._free.pop()
        self._maps[index][: len(picture)] = picture
        buffer = self._buffer(index)
        buffer.bytesused, buffer.field = len(picture), v4l2.FIELD_NONE
        fcntl.ioctl(self._fd, v4l2.VIDIOC_QBUF, buffer)
        if not self._is_streaming:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_STREAMON, self._type())
            self._is_streaming = True
        return True

    def _taken_back(self) -> bool:
        """Take a buffer back that has been shown; return whether there is one."""
        buffer = self._buffer(0)
        try:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_DQBUF, buffer)
        except BlockingIOError:
            return False
        self._free.append(buffer.index)
        return True

    def close(self) -> None:
        """Give them back."""
        for memory in self._maps:
            memory.close()
        self._maps = []
        with contextlib.suppress(OSError):  # the device may be gone
            fcntl.ioctl(self._fd, v4l2.VIDIOC_STREAMOFF, self._type())
            self._request(0)

    def _request(self, count: int) -> int:
        request = v4l2.Requestbuffers()
        request.count, request.type, request.memory = count, v4l2.BUF_TYPE_VIDEO_OUTPUT, v4l2.MEMORY_MMAP
        fcntl.ioctl(self._fd, v4l2.VIDIOC_REQBUFS, request)
        return int(request.count)

    @staticmethod
    def _buffer(index: int) -> Any:
        buffer = v4l2.Buffer()
        buffer.index, buffer.type, buffer.memory = index, v4l2.BUF_TYPE_VIDEO_OUTPUT, v4l2.MEMORY_MMAP
        return buffer

    @staticmethod
    def _type() -> bytes:
        return v4l2.BUF_TYPE_VIDEO_OUTPUT.to_bytes(4, "little")
