"""The log of dm-log-writes, replayed: what is on a disk at each moment if everything after its last flush is lost.

Format: drivers/md/dm-log-writes.c. A write is in the log before the flush that made it safe.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclass(frozen=True)
class Entry:
    """One entry: what was written where (bytes), or a mark; `is_safe` says that all before it is on the disk."""

    position: int
    data: bytes
    flags: int
    mark: str = ""

    @property
    def is_safe(self) -> bool:
        return bool(self.flags & (FLUSH | FUA))


def entries(log: Path) -> Iterator[Entry]:
    """Yield the entries of a log in their order."""
    with log.open("rb") as file:
        magic, _, count, sector = struct.unpack("<QQQI", file.read(28))
        assert magic == MAGIC, hex(magic)
        file.seek(sector)
        for _ in range(count):
            head = file.read(sector)
            start, sectors, flags, length = struct.unpack_from("<QQQQ", head)
            if flags & MARK:
                yield Entry(0, b"", flags, head[32 : 32 + length].split(b"\0")[0].decode())
                continue
            size = sectors * sector
            data = bytes(size) if flags & DISCARD else file.read(size)
            yield Entry(start * sector, data, flags)
