"""Whether this PC's clock is right, as the kernel knows it (adjtimex(2)) and `timedatectl` shows it."""

import ctypes
import time

SYNCHRONISED_WITHIN_S = 16.0
"""Below this systemd takes a clock for synchronised; the kernel lets its bound grow to this when nobody corrects it."""
SETTLES_S = 60.0
"""Within how long after the PC was started a time server is asked, where there is one."""


class _Timex(ctypes.Structure):
    """The beginning of struct timex, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def most_off_s() -> float | None:
    """Return how many seconds the clock may be off, as far as the kernel knows; None where it does not say."""
    answer = _Timex()  # no modes: nothing is set, and everybody may ask
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else answer.maxerror / 1_000_000


def may_be_set_soon() -> bool:
    """Return whether the PC has just been started, and nobody has set its clock yet, which may be hours off."""
    if time.clock_gettime(time.CLOCK_BOOTTIME) > SETTLES_S:
        return False
    off_s = most_off_s()
    return off_s is not None and off_s >= SYNCHRONISED_WITHIN_S
