"""What comes after the recording, or beside it, lets others run first, whatever the recorder was granted."""

import os
import threading
from collections.abc import Callable

import pytest

from devices.host.priority import ensure_niceness, lower_priority

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may be less nice again")


def after(granted: int, change: Callable[[], None]) -> int:
    """Return how nice a thread is that was granted so much and then calls `change`; it is gone after that."""
    found: list[int] = []

    def run() -> None:
        number = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, number, granted)
        change()
        found.append(os.getpriority(os.PRIO_PROCESS, number))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_what_is_low_stays_low_beside_a_recording_that_goes_first() -> None:
    assert [after(granted, lambda: ensure_niceness(10)) for granted in (-5, 0, 12, 19)] == [10, 10, 12, 19]
    assert after(-5, lambda: ensure_niceness(0)) == 0


def test_what_is_beside_the_recording_is_nicer_than_that() -> None:
    assert [after(granted, lambda: lower_priority(5)) for granted in (-5, 0, 17)] == [0, 5, 19]
