"""The file under the muxer: what is appended goes out at once, what is changed afterwards only when the rest is safe.

FFmpeg makes an ordinary MP4 of a fragmented one in two steps: it appends the index (`moov`), then it patches the head
of the file, which makes everything before the index one `mdat`. A power cut may keep the second and lose the first,
and then nothing plays. So a patch waits here until `finish`: what was appended is synced, then all patches go out as
one write within one sector, then that is synced.
"""

import io
import os
from pathlib import Path

from recorder.archive.disk import Disk

BUFFER_BYTES = 1 << 20
"""FFmpeg's buffer before a write: a fragment of a quarter of a second of any profile fits, and goes out whole."""


class RecordingFile:
    """A file for PyAV to write to. One thread writes; `sync` may be called from another. Raises OSErrors.

    After the first error it takes nothing more: what comes after a hole would not play.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._position = 0
        self._size = 0
        self._patches: list[tuple[int, bytes]] = []
        self._error: OSError | None = None
        self._folder = path.parent

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    def write(self, data: bytes) -> int:
        """Append `data`, or keep it for `finish` where it changes what was written before."""
        if self._error:
            raise self._error
        before = max(0, min(len(data), self._size - self._position))
        if before:
            self._patches.append((self._position, data[:before]))
        if before < len(data):
            self._append(data[before:])
        self._position += len(data)
        return len(data)

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self._size)
                self._size += written
                rest = rest[written:]
        except OSError as error:
            self._error = error
            raise

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset` bytes from the beginning, the position or the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def begin(self) -> None:
        """Bring the file's name onto the disk: a power cut must not take the whole file with it."""
        Disk().sync(self._folder)

    def sync(self) -> None:
        """Bring onto the disk what was appended."""
        os.fdatasync(self.descriptor)

    def finish(self) -> None:
        """Bring everything onto the disk, the patches last; nothing is patched where something was not taken."""
        os.fsync(self.descriptor)
        if not self._patches or self._error:
            return
        start = min(position for position, _ in self._patches)
        end = max(position + len(data) for position, data in self._patches)
        head = bytearray(os.pread(self.descriptor, end - start, start))
        for position, data in self._patches:
            head[position - start : position - start + len(data)] = data
        os.pwrite(self.descriptor, head, start)
        os.fsync(self.descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)
