"""Threads: each has a name, and a thread that breaks is reported."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from config.errors import code_place

if TYPE_CHECKING:
    from config.events import Emit


def start_thread(
    target: Callable[..., object],
    *given: object,
    name: str,
    daemon: bool = True,
    otherwise: Callable[[], object] | None = None,
) -> threading.Thread:
    """Start a thread that calls `target` with `given`, and return it.

    Raises RuntimeError where the system has no further thread, after `otherwise` has undone its preparation.
    """
    thread = threading.Thread(target=target, args=given, name=name, daemon=daemon)
    try:
        thread.start()
    except RuntimeError:
        if otherwise is not None:
            otherwise()
        raise
    return thread


def report_error() -> None:
    """Report the error that is being handled to `threading.excepthook`; this thread goes on."""
    stand_in = threading.Thread(name=threading.current_thread().name)
    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), stand_in)))


@contextmanager
def report_broken_threads(emit: "Emit") -> Iterator[None]:
    """Emit `thread-failed` for each thread that breaks, without the error's text, which may hold a key."""
    before = threading.excepthook

    def tell(broken: threading.ExceptHookArgs) -> None:
        before(broken)
        if broken.thread is not threading.current_thread():
            return  # `report_error` has called, and its thread goes on
        name = threading.current_thread().name
        kind = broken.exc_type.__name__ + (code_place(broken.exc_value) if broken.exc_value else "")
        with suppress(Exception):  # the event log itself may have broken
            emit(
                "thread-failed",
                name,
                f"A part of the recorder, {name}, has failed ({kind}); the others go on",
                hint="please report this, with the recorder's log",
            )

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before
