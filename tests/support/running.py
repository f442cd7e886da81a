"""Which threads of this process run."""

import threading


def runs(name: str) -> int:
    """Return how many threads of this name run."""
    return sum(thread.name == name for thread in threading.enumerate())
