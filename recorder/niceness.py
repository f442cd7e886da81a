"""Letting others run first."""

import os
import threading
from contextlib import suppress

NICEST = 19


def be_nicer(by: int) -> None:
    """Make this thread, and all that it starts, nicer by so much than the recording, as far as the system goes."""
    thread = threading.get_native_id()
    be_at_least(os.getpriority(os.PRIO_PROCESS, thread) + by)


def be_at_least(nice: int) -> None:
    """Make this thread, and all that it starts, so nice, where it is less: whatever the recorder was granted."""
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(NICEST, max(nice, os.getpriority(os.PRIO_PROCESS, thread))))
