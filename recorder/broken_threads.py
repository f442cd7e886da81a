"""Tells of threads that end with an error nobody has foreseen: what they did is done by nobody from then on.

What must not end so has its own answer where it runs: tracks, files and sources end or begin anew, and say so. This is
for all others, and for what was thought to be safe.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from config.events import Emit
from devices.threads import GoesOn


@contextmanager
def told(emit: Emit) -> Iterator[None]:
    """Tell `emit` of each thread of this process that breaks meanwhile; its traceback goes where it went before.

    Not what the error says, which may hold an address or a key.
    """
    before = threading.excepthook

    def tell(broken: threading.ExceptHookArgs) -> None:
        before(broken)
        if isinstance(broken.thread, GoesOn):
            return
        name = broken.thread.name if broken.thread else "a thread"
        with suppress(Exception):  # it may be this that has broken
            emit(
                "thread-failed",
                name,
                f"A part of the recorder, {name}, has failed ({broken.exc_type.__name__}); the others go on",
                hint="please report this, with the recorder's log",
            )

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before
