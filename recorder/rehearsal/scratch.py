"""A folder that a rehearsal records into, and that is gone when it has ended, whatever happened.

It is in the state folder, so on a real disk, and no archive: nobody who lists sessions or recovers them looks there.
Where a rehearsal was killed the next one takes its folder away; a lock, which the kernel frees, says whose still live.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from config.errors import StorageUnwritable
from config.state import state_folder

_PREFIX = "rehearsal-"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Provide an empty folder; it is removed at the end with all that is in it. Raises StorageUnwritable."""
    home = state_folder() / "rehearsals"
    try:
        home.mkdir(parents=True, exist_ok=True)
        sweep(home)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageUnwritable(
            f"{home} cannot be written: {error.strerror}", hint="LIPUT_STATE names another folder"
        ) from None
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(home: Path) -> None:
    """Remove the folders of rehearsals that were killed."""
    for folder in home.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
