"""Whether a daemon runs, and which sessions it will resume. Light: every command may import it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from config.errors import LiputError, StateError
from recorder.running import runtime_directory
from recorder.running.access import SHARED_FILE, grant_group, operators_gid
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo

LOCK_FILE = "serve.lock"
LOOK_S = 0.1
LOOKED_AT_S = 1.0
SUCCESSOR_WAIT_S = 20.0  # how long a client waits for the recorder that replaces a killed one
RESUME_WITHIN_S = 600.0  # a session killed longer ago is recovered, not resumed: its event is over


@contextmanager
def daemon_lock() -> Iterator[None]:
    """Hold the lock of this user's only daemon. Raises StateError if another daemon holds it."""
    path = runtime_directory.runtime_folder(make=True) / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if (group := operators_gid()) is not None:
            grant_group(path, group, SHARED_FILE)
        deadline_s = time.monotonic() + LOOKED_AT_S  # a client that looks holds it, too
        while not _locks(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline_s:
                raise StateError("liput serve runs already", hint="One is enough; end that one first.")
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _locks(descriptor: int, how: int) -> bool:
    """Try to take the lock; return whether it worked. Raises OSError."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_serving() -> bool:
    with suppress(OSError, LiputError):
        descriptor = os.open(runtime_directory.runtime_folder() / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return not _locks(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)
    return False


def recently_killed(within_s: float = RESUME_WITHIN_S) -> list[tuple[RecorderFolder, RecorderInfo]]:
    """Return recorders killed while they recorded, within the last `within_s`."""
    with suppress(OSError, LiputError):
        return [
            (folder, info)
            for folder in runtime_directory.killed_recorders()
            if (info := folder.info()) and info.session and time.time() - folder.last_beat_s < within_s
        ]
    return []


def sessions_to_resume() -> set[str | None]:
    """Return the names of sessions that a daemon will resume."""
    return {info.session for _, info in recently_killed()}


def successor(*killed: RecorderFolder, patience_s: float = SUCCESSOR_WAIT_S) -> RecorderFolder | None:
    """Wait for the recorder that resumes the session of `killed`; return it.

    `killed` has the killed recorder and its predecessors: a recorder that has not recorded may be replaced in their
    name. None if no daemon runs, if it has given up, or after `patience_s`.
    """
    deadline_s, ids = time.monotonic() + patience_s, {recorder.id for recorder in killed}
    while True:
        # Asked first: the new recorder is there before it removes the folder of the killed one.
        is_open = any(recorder.path.exists() for recorder in killed)
        may_come = is_serving() and is_open and time.monotonic() < deadline_s
        with suppress(OSError, LiputError):
            for folder, info in runtime_directory.alive_recorders():
                if info.replaces in ids:
                    return folder
        if not may_come:
            return None
        time.sleep(LOOK_S)


def with_replaced(folder: RecorderFolder, info: RecorderInfo) -> list[RecorderFolder]:
    """Return a recorder, and the one that it replaced, if any."""
    return [folder] if info.replaces is None else [folder, RecorderFolder(folder.path.with_name(info.replaces))]


def is_taking_over(folder: RecorderFolder, info: RecorderInfo) -> bool:
    """Return whether a replacing recorder has not taken over the recording yet: it cannot end."""
    if info.work is not None:
        return False
    replaced = [killed.info() for killed in with_replaced(folder, info)[1:]]  # None: just taken over
    return any(killed is not None and killed.session is not None for killed in replaced)


def remove_killed_folders(session: str) -> None:
    """Remove the folders of a session's killed recorders after its recovery."""
    with suppress(OSError, LiputError):
        for folder in runtime_directory.killed_recorders():
            info = folder.info()
            if info and info.session == session:
                folder.remove()
