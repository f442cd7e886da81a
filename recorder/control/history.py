"""What a session has told so far: kept once, as lines, for all who want them, each at a pace of its own."""

from collections import deque
from collections.abc import Iterable, Iterator

MOST_BYTES = 8 << 20


class History:
    """Events and notes in their order, numbered from 0; the oldest go when they need more than `most_bytes`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._lines: deque[bytes] = deque()
        self._most_bytes = most_bytes
        self._bytes = 0
        self.first = 0
        """The number of the oldest line that is kept."""

    @property
    def end(self) -> int:
        """The number that the next line will have."""
        return self.first + len(self._lines)

    def add(self, line: bytes) -> None:
        """Keep a line."""
        self._lines.append(line)
        self._bytes += len(line)
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._lines.popleft())
            self.first += 1

    def pass_over(self, count: int) -> None:
        """Take note of so many lines that come next and could not be kept; none before them is kept any more."""
        if count:
            self.first = self.end + count
            self._lines.clear()
            self._bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        """Give the lines that are kept, the oldest first."""
        return iter(self._lines)

    def line(self, number: int) -> bytes:
        """Return the line of a number that is kept."""
        return self._lines[number - self.first]

    def batch(self, number: int, most_bytes: int) -> tuple[bytes, int]:
        """Return lines from `number` on, about `most_bytes` of them or one, and the number of the one after them."""
        lines = some(map(self.line, range(number, self.end)), most_bytes)
        return b"".join(lines), number + len(lines)


def some(lines: Iterable[bytes], most_bytes: int) -> list[bytes]:
    """Return the first of some lines: about `most_bytes` of them or one."""
    taken, size = [], 0
    for line in lines:
        if size >= most_bytes:
            break
        taken.append(line)
        size += len(line)
    return taken
