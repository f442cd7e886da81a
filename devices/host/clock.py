"""Clocks: the session clock in nanoseconds (CLOCK_MONOTONIC), the PC's sleep, the error of its time of day."""

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
    """Return the kernel's id of this boot, "" where unknown. Clock times of two boots cannot be compared."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def nanoseconds(count: int, unit: Fraction) -> int:
    """Return `count` times `unit` seconds in nanoseconds, rounded. Called for each frame, so it makes no Fraction."""
    return _rounded(count * unit.numerator * NANOSECONDS, unit.denominator)


def whole_units(nanoseconds: int, unit: Fraction) -> int:
    """Return the number of `unit` seconds in so many nanoseconds, rounded."""
    return _rounded(nanoseconds * unit.denominator, unit.numerator * NANOSECONDS)


def _rounded(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


class Clock(Protocol):
    """Tells time and waits; simulated in tests."""

    def now_ns(self) -> int:
        """Return nanoseconds on the session clock, which never goes back."""
        ...

    def now(self) -> datetime:
        """Return the local time of day, with its offset."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait at most `timeout_s` until `event` is set; return whether it is."""
        ...


def seconds_now(clock: Clock) -> float:
    return clock.now_ns() / NANOSECONDS


class SystemClock:
    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(max(0.0, timeout_s))


_LEAST_NS = NANOSECONDS  # the two clocks are not read at the same moment
WAKING_S = 10  # after waking, the kernel may report devices as gone for this long


def slept_ns() -> int:
    """Return the PC's sleep since boot: CLOCK_MONOTONIC stands still meanwhile."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


class SleepDetector:
    """Detects that the PC slept, after which every USB device may appear as newly plugged in."""

    def __init__(self, slept: Callable[[], int] = slept_ns) -> None:
        self._slept = slept
        self._known_ns = slept()
        self._woke_ns: int | None = None

    def since_ns(self) -> int:
        """Return the sleep since the last one returned; 0 for less than a second."""
        asleep_ns = self._slept() - self._known_ns
        if asleep_ns < _LEAST_NS:
            return 0
        self._known_ns += asleep_ns
        return asleep_ns

    def is_waking(self, now_ns: int) -> bool:
        """Return whether the PC woke within the last WAKING_S."""
        if self.since_ns():
            self._woke_ns = now_ns
        return self._woke_ns is not None and now_ns - self._woke_ns <= WAKING_S * NANOSECONDS


SYNCHRONISED_WITHIN_S = 16.0
"""systemd calls a clock with a smaller error synchronised; without corrections the kernel's bound grows to this."""
_TIMEX, _TIMEX_BYTES = struct.Struct("Illl"), 512
"""The first fields of struct timex (adjtimex(2)), and room for all of it."""
SETTLES_S = 60.0  # a PC asks its time server within this time after boot


def clock_error_s() -> float | None:
    """Return the kernel's bound on the clock's error in seconds (adjtimex(2)); None where unknown."""
    import ctypes  # slow to load, and rarely needed

    answer = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: nothing is set, so every user may ask
    try:
        state = ctypes.CDLL(None).adjtimex(answer)
    except (OSError, AttributeError):
        return None
    *_, most_us = _TIMEX.unpack_from(answer)
    return None if state < 0 else most_us / 1_000_000


def is_clock_unset() -> bool:
    """Return whether the PC has just booted with an uncorrected clock, which may be hours off."""
    if time.clock_gettime(time.CLOCK_BOOTTIME) > SETTLES_S:
        return False
    off_s = clock_error_s()
    return off_s is not None and off_s >= SYNCHRONISED_WITHIN_S
