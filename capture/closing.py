"""Closing what may hang: a camera that has stopped answering takes the kernel five seconds to let go of."""

import threading
from collections.abc import Callable

_PREFIX = "liput-closing "


def close_within(close: Callable[[], None], timeout_s: float, name: str) -> bool:
    """Run `close` on a thread of its own; return whether it was done within `timeout_s` seconds.

    If not, the thread is left to itself: it ends when the kernel lets it, and `abandoned` counts it until then.
    """
    thread = threading.Thread(target=close, name=_PREFIX + name, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()


def abandoned(name: str | None = None) -> int:
    """Return how many threads are closing what is called `name` now; without one, anything."""
    closing = [thread.name for thread in threading.enumerate() if thread.name.startswith(_PREFIX)]
    return len(closing) if name is None else closing.count(_PREFIX + name)
