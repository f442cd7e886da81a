"""What is asked of the system, and what it says, of real processes: with the right to all of it, and with none.

What limits grant to an ordinary user takes the right to raise them: tests/rig/guest/guest_priority.py.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from signal import SIGKILL

import pytest

from devices.host.priority import NICE, REALTIME, ensure_niceness, lower_priority
from tests.support.processes import asked, figures

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may be less nice than is usual")


def test_what_is_allowed_is_taken_and_threads_have_it() -> None:
    told = asked(user=None)
    assert figures(told["may"]) == figures(told["got"]) == (NICE, REALTIME)
    assert told["thread"] == NICE
    assert told["policies"] == [os.SCHED_OTHER, os.SCHED_RR, os.SCHED_RR], "trying real time leaves nothing behind"
    assert told["sound"] == "realtime"
    assert isinstance(told["got"], dict)
    assert told["got"]["group_nice"] in {NICE, None}


def test_what_is_forbidden_is_done_without() -> None:
    told = asked(nice=20)
    assert figures(told["may"]) == figures(told["got"]) == (0, 0)
    assert (told["sound"], told["policies"]) == ("nice 0", [os.SCHED_OTHER] * 3)


def test_whoever_was_started_nicer_than_is_usual_stays_so() -> None:
    told = asked(user=None, start=7)
    assert figures(told["may"]) == figures(told["got"]) == (7, 0)
    assert (told["sound"], told["policies"]) == ("nice 7", [os.SCHED_OTHER] * 3)


@pytest.mark.parametrize(
    ("turn", "ends"),
    [("pass", -SIGKILL), ("time.sleep(0.001)", 0)],
    ids=["turns in circles", "pauses"],
)
def test_what_is_real_time_and_turns_in_circles_is_ended_soon(turn: str, ends: int) -> None:
    code = (
        "import os, time\nfrom devices.host import priority\nos.setpriority(os.PRIO_PROCESS, 0, 0)\n"
        "assert priority.request_audio_priority() == 'realtime'\n"
        "priority.limit_realtime_run()\nuntil = time.monotonic() + 1.5\n"
        f"while time.monotonic() < until:\n    {turn}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == ends


# Work beside or after the recording


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
