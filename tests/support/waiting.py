"""Waiting for what a test expects, with a deadline."""

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""Long enough for a slow machine that does many other things; what must come sooner, a test measures itself."""


def wait_for[T](condition: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "the condition") -> T:
    """Return the first true value of `condition`; fail when none comes in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {timeout_s} s")
