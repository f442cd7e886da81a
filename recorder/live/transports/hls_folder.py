"""A folder of HLS files: names, lock, and whether this user can stream there. Loads no libav, for `liput check`."""

import contextlib
import errno
import os
import re
import tempfile
from pathlib import Path

from config.files import open_regular
from recorder.live.kind import DestinationError, folder_reason
from recorder.live.url import FolderUrl

STREAM_FILES = re.compile(r"live-(\d+)\.ts|live\.m3u8")  # names of segments, with their numbers, and of the playlist
FILE_MODE = 0o644  # mode of all files: the web server is another user
LOCK = ".live.lock"


def reach_folder(url: FolderUrl) -> None:
    """Write an unnamed file into the folder, and check the files of earlier streams. Raises DestinationError."""
    try:
        with tempfile.TemporaryFile(dir=url.path, buffering=0) as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())
        _look_over(Path(url.path))
    except OSError as error:
        raise DestinationError(folder_reason(error.errno or 0)) from None


def open_lock(folder: Path, *, make: bool = True) -> int:
    """Return a descriptor of the folder's lock, created with `make`, read-only if another user's. Raises OSError."""
    lock = folder / LOCK
    try:
        return open_regular(lock, os.O_WRONLY | (os.O_CREAT if make else 0), FILE_MODE)
    except PermissionError as error:
        try:
            return open_regular(lock)
        except FileNotFoundError:
            raise error from None  # it cannot be created here


def _look_over(folder: Path) -> None:
    """Raise OSError where another user's file prevents streaming; changes nothing."""
    with contextlib.suppress(FileNotFoundError):
        os.close(open_lock(folder, make=False))
    for path in folder.iterdir():
        if STREAM_FILES.fullmatch(path.name):
            try:
                path.rmdir()  # never removes a file; its errno says whether unlink is permitted (sticky bit)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ENOENT):
                    raise
