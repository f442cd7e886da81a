"""Which processes a test, or a recorder that it started, has begun."""

import contextlib

import psutil

CONNECTION = "recorder.live.child"


def children(module: str = CONNECTION, of: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the children of a process (else of this one) that run `module`; not those that have ended meanwhile."""
    found = []
    for child in (of or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a dead one, which its parent has yet to look at, among them
            if module in child.cmdline():
                found.append(child)
    return found
