"""The file under the muxer: what is written goes out at once, one write for a fragment, and always behind the rest."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from config.files import open_regular
from recorder.archive.disk import Disk

BUFFER_BYTES = 1 << 20
"""FFmpeg's buffer before a write: a fragment of a tenth of a second of any profile fits, and goes out whole."""


class RecordingFile:
    """A file for PyAV to append to. One thread writes; `sync` may be called from another. Raises OSErrors.

    After the first error it takes nothing more: what comes after a hole would not play.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = open_regular(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._size = 0
        self._error: OSError | None = None
        self._folder = path.parent
        self.closed = False
        """Whether it was let go of; read by PyAV, whose container writes no end to it then when it is collected."""

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    @property
    def is_whole(self) -> bool:
        """Whether it has taken everything."""
        return self._error is None

    def write(self, data: bytes) -> int:
        """Append `data`; nothing of it stays where the disk does not take all of it."""
        if self._error:
            raise self._error
        before, rest = self._size, memoryview(data)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self._size)
                self._size += written
                rest = rest[written:]
        except OSError as error:
            self._error, self._size = error, before
            with suppress(OSError):
                os.ftruncate(self.descriptor, before)
            raise
        return len(data)

    def begin(self) -> None:
        """See whether the disk takes anything, and bring the file's name onto it.

        The muxer writes nothing before the first fragment; a power cut must not take the whole file with it then.
        """
        os.pwrite(self.descriptor, b"\0", 0)
        os.ftruncate(self.descriptor, 0)
        Disk().sync(self._folder)

    def sync(self) -> None:
        """Bring onto the disk what was appended."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Let go of the file; nothing is written any more: its descriptor may become that of another one."""
        self.closed = True
        self._error = self._error or OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.close(self.descriptor)
