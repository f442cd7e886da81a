"""The lines of a log, kept in memory: the first ones for ever, and of the others as many as there is room for."""

from recorder.control.history import History, some

HEAD_BYTES, TAIL_BYTES = 1 << 20, 7 << 20
"""Some 3,000 events from the beginning, which say what the session is, and the newest 25,000."""


class KeptLines:
    """Lines in their order, numbered from 0; used under a lock."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head: list[bytes] = []
        self._room = head_bytes
        self._tail = History(tail_bytes)

    @property
    def end(self) -> int:
        """The number that the next line will have."""
        return len(self._head) + self._tail.end

    def add(self, line: bytes) -> None:
        """Keep a line."""
        if self._tail.end == 0 and len(line) <= self._room:
            self._head.append(line)
            self._room -= len(line)
        else:
            self._tail.add(line)

    def batch(self, number: int, end: int, most_bytes: int) -> tuple[bytes, int, int]:
        """Return lines from `number` on and before `end`: about `most_bytes` of them or one.

        With them the number of the line behind them, and how many before them are not kept any more.
        """
        first, end = len(self._head), min(end, self.end)
        missing = 0
        if number >= first:
            missing = max(0, min(end, first + self._tail.first) - number)
        elif self._tail.first:
            end = min(end, first)  # what is missing comes behind it
        number += missing
        lines = some(map(self._line, range(number, end)), most_bytes)
        return b"".join(lines), number + len(lines), missing

    def _line(self, number: int) -> bytes:
        first = len(self._head)
        return self._head[number] if number < first else self._tail.line(number - first)
