"""Framing: cuts a byte stream into lines, or into blocks with a length prefix; both are bounded."""

import struct


class FrameTooLong(ValueError):
    """A line or a block exceeds its bound."""


class ReceiveBuffer:
    """Received bytes that are not taken yet. Not thread-safe."""

    def __init__(self, longest: int) -> None:
        """`longest` bounds a line without its end, or a block without its length, in bytes."""
        self._longest = longest
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    @property
    def has_line(self) -> bool:
        return b"\n" in self._data

    def line(self) -> bytes | None:
        """Take the next line, without its end; None while it is incomplete. Raises FrameTooLong."""
        end = self._data.find(b"\n")
        if (len(self._data) if end < 0 else end) > self._longest:
            raise FrameTooLong(f"a line is longer than {self._longest} bytes")
        if end < 0:
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return line

    def block(self, length: struct.Struct) -> bytes | None:
        """Take the next block, after its `length` prefix; None while it is incomplete. Raises FrameTooLong."""
        if len(self._data) < length.size:
            return None
        (size,) = length.unpack_from(self._data)
        if size > self._longest:
            raise FrameTooLong(f"a block is longer than {self._longest} bytes")
        end = length.size + size
        if len(self._data) < end:
            return None
        block = bytes(self._data[length.size : end])
        del self._data[:end]
        return block

    def peek(self, count: int) -> bytes | None:
        """Return the next `count` bytes without taking them; None while fewer are there."""
        return bytes(self._data[:count]) if len(self._data) >= count else None

    def take(self, count: int) -> bytes | None:
        """Take the next `count` bytes; None while fewer are there."""
        taken = self.peek(count)
        if taken is not None:
            del self._data[:count]
        return taken

    def rest(self) -> bytes:
        """Take all bytes: the last line of a sender that has ended."""
        rest = bytes(self._data)
        self._data.clear()
        return rest


def length_prefixed(data: bytes, length: struct.Struct) -> bytes:
    """Return `data` with a length prefix."""
    return length.pack(len(data)) + data
