"""The session's clock: CLOCK_MONOTONIC nanoseconds, by which the kernel and every process stamp pictures and sound."""

import threading
import time
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Protocol

NANOSECONDS = 1_000_000_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return what the kernel calls this boot; clock times of two boots cannot be compared. Empty where it does not."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def nanoseconds(count: int, unit: Fraction) -> int:
    """Return `count` times `unit` seconds in nanoseconds, rounded; for each picture, so no fraction is made."""
    return _rounded(count * unit.numerator * NANOSECONDS, unit.denominator)


def units(nanoseconds: int, unit: Fraction) -> int:
    """Return how many times `unit` seconds there are in so many nanoseconds, rounded."""
    return _rounded(nanoseconds * unit.denominator, unit.numerator * NANOSECONDS)


def _rounded(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


class Clock(Protocol):
    """What the time is, and how to wait: real in the product, simulated in tests."""

    def now_ns(self) -> int:
        """Return nanoseconds on the session clock; never goes back, unrelated to the time of day."""
        ...

    def now(self) -> datetime:
        """Return the local time of day, with its offset."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds are over; return whether it is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def now(self) -> datetime:
        """Return the local time of day, with its offset."""
        return datetime.now().astimezone()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait for `event`, at most `timeout_s` seconds."""
        return event.wait(max(0.0, timeout_s))
