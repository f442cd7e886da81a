"""What is asked of the system, and what it says, of real processes: with the right to all of it, and with none.

What limits grant to an ordinary user takes the right to raise them: tests/rig/guest/guest_priority.py.
"""

import os
import subprocess
import sys
from signal import SIGKILL

import pytest

from devices.host.priority import NICE, REALTIME
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
