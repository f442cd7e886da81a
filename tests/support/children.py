"""Which processes a test, or a recorder that it started, has begun."""

import contextlib

import psutil

CONNECTION = "recorder.live.child"


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs; a dead one whose parent has yet to look at it does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(module: str = CONNECTION, of: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the children of a process (else of this one) that run `module`; not those that have ended meanwhile."""
    found = []
    for child in (of or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a dead one, which its parent has yet to look at, among them
            if module in child.cmdline():
                found.append(child)
    return found
