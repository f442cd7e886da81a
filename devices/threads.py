"""Threads for what somebody has made ready, who takes that back where the system has no further thread to give."""

import sys
import threading
from collections.abc import Callable


class GoesOn(threading.Thread):
    """Stands for a thread that has not broken, though what it did has failed, where `threading.excepthook` is told."""


def report() -> None:
    """Report the exception that is being handled where broken threads are reported; this one goes on."""
    thread = GoesOn(name=threading.current_thread().name)
    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


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
