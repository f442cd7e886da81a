"""Letting others run first."""

import os
import threading
from contextlib import suppress


def be_nicer(by: int) -> None:
    """Make this thread, and all that it starts, nicer by so much, as far as the system goes (19)."""
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + by))
