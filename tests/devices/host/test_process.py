"""What a process asks of the kernel for itself: its parent, its priority, its heap."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import psutil
import pytest

from devices.host.priority import NICE, REALTIME, ensure_niceness, lower_priority
from devices.host.process import parent_of, process_started
from tests.support import command
from tests.support.processes import asked, figures, heaps, own_mb
from tests.support.recorders import recorders
from tests.support.waiting import wait_for


def test_it_is_what_psutil_says_whatever_the_command_is_called(tmp_path: Path) -> None:
    awkward = tmp_path / ") R 1 (\udcff"
    shutil.copy(shutil.which("sleep") or "", awkward)
    with subprocess.Popen([awkward, "60"], process_group=0) as child:
        try:
            assert parent_of(child.pid) == os.getpid()
            started = process_started(child.pid)
            assert started is not None
            ticks = os.sysconf("SC_CLK_TCK")
            began_s = psutil.boot_time() + started / ticks
            assert abs(began_s - psutil.Process(child.pid).create_time()) <= 2 / ticks
        finally:
            child.kill()
        wait_for(lambda: process_started(child.pid) is None, what="its end")
        assert parent_of(child.pid) == os.getpid()
    assert parent_of(child.pid) is None


as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may be less nice than is usual")


@as_root
def test_what_is_allowed_is_taken_and_threads_have_it() -> None:
    told = asked(user=None)
    assert figures(told["may"]) == figures(told["got"]) == (NICE, REALTIME)
    assert told["thread"] == NICE
    assert told["policies"] == [os.SCHED_OTHER, os.SCHED_RR, os.SCHED_RR], "trying real time leaves nothing behind"
    assert told["sound"] == "realtime"
    assert isinstance(told["got"], dict)
    assert told["got"]["group_nice"] in {NICE, None}


@as_root
@pytest.mark.parametrize(("given", "nice"), [({"nice": 20}, 0), ({"user": None, "start": 7}, 7)])
def test_what_is_forbidden_is_done_without_and_what_was_begun_nicer_stays_so(given: dict[str, Any], nice: int) -> None:
    told = asked(**given)
    assert figures(told["may"]) == figures(told["got"]) == (nice, 0)
    assert (told["sound"], told["policies"]) == (f"nice {nice}", [os.SCHED_OTHER] * 3)


@as_root
@pytest.mark.parametrize(("turn", "ends"), [("pass", -SIGKILL), ("time.sleep(0.001)", 0)])
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


@as_root
def test_what_is_low_stays_low_and_what_is_beside_the_recording_is_nicer_than_that() -> None:
    assert [after(granted, lambda: ensure_niceness(10)) for granted in (-5, 0, 12, 19)] == [10, 10, 12, 19]
    assert after(-5, lambda: ensure_niceness(0)) == 0
    assert [after(granted, lambda: lower_priority(5)) for granted in (-5, 0, 17)] == [0, 5, 19]


THREADS = """
import threading, sys
taken = threading.Barrier(5)
def take():
    kept = [bytes(5000) for _ in range(100)]
    taken.wait()
    sys.stdin.read()
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads: thread.start()
taken.wait()
print("ready", flush=True)
for thread in threads: thread.join()
"""
FREED = """
import sys
from devices.host import heap
kept = [bytes(3000) for _ in range(20_000)]
last = bytes(3000)
for word, act in (("kept", list), ("freed", kept.clear), ("given back", heap.trim_heap), ("over", list)):
    sys.stdin.readline()
    act()
    print(word, flush=True)
"""


@contextmanager
def python(code: str) -> Iterator[tuple[psutil.Process, Callable[[], str]]]:
    """Run lines of Python that say how far they are; yield the process, and what lets them go on to their next word."""
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def go_on() -> str:
            stdin.write("\n")
            stdin.flush()
            return stdout.readline().strip()

        yield psutil.Process(process.pid), go_on
        process.kill()


def test_what_is_free_is_given_back_though_what_came_after_it_is_still_used() -> None:
    with python(FREED) as (process, go_on):
        assert go_on() == "kept"
        kept = own_mb(process)
        assert go_on() == "freed"
        freed = own_mb(process)
        assert go_on() == "given back"
        given_back = own_mb(process)
    assert freed > kept - 10
    assert given_back < kept - 50


def test_a_recorder_has_one_heap_where_each_thread_would_have_its_own(tmp_path: Path) -> None:
    with python(THREADS) as (process, go_on):
        assert go_on() == "ready"
        assert heaps(process) >= 2
    words = ("--title", "Tumpukan", "--video", "synthetic", "--audio", "synthetic", "--profile", "240p15", "--json")
    with command.running(tmp_path, "record", *words, "--archive", tmp_path / "archive") as session:
        next(line for line in session.read() if line.get("kind") == "session-live")
        (info,) = recorders(session.runtime)
        recorder = psutil.Process(info.pid)
        assert recorder.num_threads() >= 8
        assert heaps(recorder) == 0


COLLECTS = """
import gc, weakref
from devices.host import heap
from devices.host.clock import NANOSECONDS

class Clock:
    seconds = 0.0
    def now_ns(self): return int(self.seconds * NANOSECONDS)

class Muxer:  # refers to itself, as those of PyAV do by their streams
    def __init__(self): self.container = self

gc.disable()  # only what is tested collects
clock, before, given_back = Clock(), Muxer(), []
collect = heap.garbage_collector(clock)
assert not any(found is before for found in gc.get_objects()), "what was there before is not looked at"
muxer = Muxer()
for generation in (0, 1, 1):
    gc.collect(generation)  # it lives through so many that it is looked at no more
left = weakref.ref(muxer)
del muxer
heap.trim_heap = lambda: given_back.append(left() is None)
clock.seconds = heap.EVERY_S - 0.1
collect()
assert left() is not None
for _ in range(round(3 * heap.EVERY_S)):
    clock.seconds += 1
    collect()
assert given_back == [True] * 3
"""


def test_old_cycles_are_collected_and_what_is_free_after_that_is_given_back(tmp_path: Path) -> None:
    done = command.run_python(tmp_path, COLLECTS)
    assert (done.returncode, done.stderr) == (0, "")
