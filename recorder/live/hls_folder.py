"""What earlier streams leave in a folder of HLS, and whether this user may go on there: it may have been another's.

Light, for it is what `liput check` asks as well.
"""

import contextlib
import errno
import os
import re
from pathlib import Path

from config.files import open_regular

OURS = re.compile(r"live-(\d+)\.ts|live\.m3u8")
"""The names of segments, with their numbers, and of the playlist."""
READABLE = 0o644
"""What files here have: a web server is another user."""
LOCK = ".live.lock"


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


def look_over(folder: Path) -> None:
    """Raise OSError where something that is there would keep this user from streaming; changes nothing."""
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
