"""Threads for what somebody has made ready, who takes that back where the system has no further thread to give."""

import threading
from collections.abc import Callable


def start(target: Callable[..., object], *given: object, name: str, otherwise: Callable[[], object]) -> None:
    """Start a daemon thread that calls `target` with what is `given`.

    Where there are too many threads already, call `otherwise`, which takes back what was made ready for it: a place, a
    lock, a note that something is under way. Raises RuntimeError then.
    """
    try:
        threading.Thread(target=target, args=given, name=name, daemon=True).start()
    except RuntimeError:
        otherwise()
        raise
