"""Whether a daemon runs, and what it is about to go on with. Light to import: every command may ask."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from config.errors import LiputError, StateError
from recorder.archive import names
from recorder.control import directory

LOCK_FILE = "serve.lock"
TRUST_S = 600.0
"""A session whose recorder was killed longer ago than this is recovered: what was to be recorded is over."""


@contextmanager
def only_one() -> Iterator[None]:
    """Be the only daemon of this user while the body runs; raises StateError when there is one."""
    path = directory.runtime_folder(make=True) / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateError("liput serve runs already", hint="One is enough; end that one first.") from None
    try:
        yield
    finally:
        os.close(descriptor)


def is_serving() -> bool:
    """Return whether a daemon of this user runs."""
    with suppress(OSError, LiputError):
        descriptor = os.open(directory.runtime_folder() / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def awaited(now_s: float) -> set[str]:
    """Return the names of sessions whose recorder was killed a short while ago: a daemon takes them up again."""
    with suppress(OSError, LiputError):
        return {
            names.session_of(Path(info.work).name)
            for folder in directory.killed()
            if (info := folder.info()) and info.work and now_s - folder.last_beat_s < TRUST_S
        }
    return set()


def forget(session: str) -> None:
    """Take away what killed recorders of a session have left in the runtime directory: it has been recovered."""
    with suppress(OSError, LiputError):
        for folder in directory.killed():
            info = folder.info()
            if info and info.work and names.session_of(Path(info.work).name) == session:
                folder.remove()
