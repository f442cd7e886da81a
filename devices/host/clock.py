"""The session's clock: CLOCK_MONOTONIC nanoseconds, by which the kernel and every process stamp pictures and sound."""

import struct
import threading
import time
from collections.abc import Callable
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


_LEAST_NS = NANOSECONDS
"""The two clocks are not read at the same moment."""
WAKING_S = 10
"""How long after waking the kernel may still find devices gone."""


def slept_ns() -> int:
    """Return for how long the PC has slept since it was started: CLOCK_MONOTONIC stands still meanwhile."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


class Sleep:
    """Asked at each look; `slept` returns for how long the PC has slept so far, in nanoseconds."""

    def __init__(self, slept: Callable[[], int] = slept_ns) -> None:
        self._slept = slept
        self._known_ns = slept()
        self._woke_ns: int | None = None

    def since_ns(self) -> int:
        """Return for how long it has slept since a sleep was returned last; 0 for less than a second."""
        asleep_ns = self._slept() - self._known_ns
        if asleep_ns < _LEAST_NS:
            return 0
        self._known_ns += asleep_ns
        return asleep_ns

    def is_waking(self, now_ns: int) -> bool:
        """Return whether the PC has just woken, or woke since this was asked last."""
        if self.since_ns():
            self._woke_ns = now_ns
        return self._woke_ns is not None and now_ns - self._woke_ns <= WAKING_S * NANOSECONDS


SYNCHRONISED_WITHIN_S = 16.0
"""Below this systemd takes a clock for synchronised; the kernel lets its bound grow to this when nobody corrects it."""
_TIMEX, _TIMEX_BYTES = struct.Struct("Illl"), 512
"""The first fields of struct timex (adjtimex(2)), and room for all of it."""
SETTLES_S = 60.0
"""Within how long after the PC was started a time server is asked, where there is one."""


def most_off_s() -> float | None:
    """Return how many seconds the clock may be off, as far as the kernel knows; None where it does not say."""
    import ctypes  # few ask, and it takes time to load

    answer = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: nothing is set, so every user may ask
    try:
        state = ctypes.CDLL(None).adjtimex(answer)
    except (OSError, AttributeError):
        return None
    *_, most_us = _TIMEX.unpack_from(answer)
    return None if state < 0 else most_us / 1_000_000


def may_be_set_soon() -> bool:
    """Return whether the PC has just been started, and nobody has set its clock yet, which may be hours off."""
    if time.clock_gettime(time.CLOCK_BOOTTIME) > SETTLES_S:
        return False
    off_s = most_off_s()
    return off_s is not None and off_s >= SYNCHRONISED_WITHIN_S
