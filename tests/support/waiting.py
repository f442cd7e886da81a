"""Waiting for what a test expects, with a deadline."""

import time
from collections.abc import Callable


def wait_for[T](condition: Callable[[], T], timeout_s: float = 15.0, what: str = "the condition") -> T:
    """Return the first true value of `condition`; fail when none comes in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {timeout_s} s")
