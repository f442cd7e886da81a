"""A folder that a web server shows: the files that streams leave there, and whether this user may go on there.

Light, for `liput check` asks as well: streaming is in recorder.live.kinds.hls.
"""

import contextlib
import errno
import os
import re
import tempfile
from pathlib import Path

from config.files import open_regular
from recorder.live.reason import NotLive, folder_reason
from recorder.live.url import FolderUrl

OURS = re.compile(r"live-(\d+)\.ts|live\.m3u8")
"""The names of segments, with their numbers, and of the playlist."""
READABLE = 0o644
"""The mode of files here: a web server is another user."""
LOCK = ".live.lock"


def reach_folder(url: FolderUrl) -> None:
    """Write a file without a name into the folder, and look at the files of earlier streams. Raises NotLive."""
    try:
        with tempfile.TemporaryFile(dir=url.path, buffering=0) as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())
        _look_over(Path(url.path))
    except OSError as error:
        raise NotLive(folder_reason(error.errno or 0)) from None


def open_lock(folder: Path, *, make: bool = True) -> int:
    """Return a descriptor of the folder's lock, which is made where there is none and `make` says so; raises OSError.

    NFS locks only what may be written. Another user's may only be read, which is enough for the disks of this PC.
    """
    lock = folder / LOCK
    try:
        return open_regular(lock, os.O_WRONLY | (os.O_CREAT if make else 0), READABLE)
    except PermissionError as error:
        try:
            return open_regular(lock)
        except FileNotFoundError:
            raise error from None  # it may not be made here


def _look_over(folder: Path) -> None:
    """Raise OSError where another user's file would keep this user from streaming; changes nothing."""
    with contextlib.suppress(FileNotFoundError):
        os.close(open_lock(folder, make=False))
    for path in folder.iterdir():
        if OURS.fullmatch(path.name):
            _may_be_removed(path)


def _may_be_removed(file: Path) -> None:
    """Raise OSError where a file may not be removed: a folder with the sticky bit keeps what is others'."""
    try:
        file.rmdir()  # which leaves a file where it is, and says whether it is for this that it is refused
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ENOENT):
            raise
