"""One heap for all threads of a recorder, and what is free in it is the system's again."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devices.host import heap
from devices.host.clock import NANOSECONDS
from devices.host.heap import EVERY_S, garbage_collector
from tests.support import command
from tests.support.processes import heaps, own_mb
from tests.support.recorders import recorders
from tests.support.simulated import SimulatedClock

THREADS = """
import threading, sys
from devices.host import heap
if "share" in sys.argv: heap.share_heap()
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
print("kept", flush=True)
sys.stdin.readline()
del kept[:]
print("freed", flush=True)
sys.stdin.readline()
heap.trim_heap()
print("given back", flush=True)
sys.stdin.readline()
"""


LARGE = """
import ctypes, sys
from devices.host import heap
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
if "share" in sys.argv: heap.share_heap()
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
mapped = libc.mallinfo2().hblkhd
def gained(): return (libc.mallinfo2().hblkhd - mapped) >> 20
kept = bytes(3 << 20)
print(gained(), flush=True)
sys.stdin.readline()
del kept
kept = bytes(3 << 20)
print(gained(), flush=True)
sys.stdin.readline()
"""


class Python:
    """Some lines of Python that say how far they are, and go on when they are told to."""

    def __init__(self, code: str, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process = psutil.Process(self._process.pid)

    def said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.said()

    def end(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


def test_threads_share_one_heap_where_they_would_have_their_own() -> None:
    counts = {}
    for word in ("share", "not"):
        python = Python(THREADS, word)
        assert python.said() == "ready"
        counts[word] = heaps(python.process)
        python.end()
    assert counts["share"] == 0
    assert counts["not"] >= 2


def test_what_is_free_is_given_back_though_what_came_after_it_is_still_used() -> None:
    python = Python(FREED)
    assert python.said() == "kept"
    kept = own_mb(python.process)
    assert python.go_on() == "freed"
    freed = own_mb(python.process)
    assert python.go_on() == "given back"
    given_back = own_mb(python.process)
    python.end()
    assert freed > kept - 10
    assert given_back < kept - 50


def test_what_is_large_is_in_the_heap_before_as_large_a_piece_was_freed() -> None:
    gained = {}
    for word in ("share", "not"):
        python = Python(LARGE, word)
        gained[word] = [int(python.said()), int(python.go_on())]
        python.end()
    assert gained["share"] == [0, 0]
    assert gained["not"] == [3, 0], "glibc comes to it by itself"


def test_a_recorder_has_one_heap_however_many_threads_it_has(tmp_path: Path) -> None:
    words = ("--title", "Tumpukan", "--video", "synthetic", "--audio", "synthetic", "--profile", "240p15", "--json")
    with command.running(tmp_path, "record", *words, "--archive", tmp_path / "archive") as session:
        next(line for line in session.read() if line.get("kind") == "session-live")
        (info,) = recorders(session.runtime)
        recorder = psutil.Process(info.pid)
        assert recorder.num_threads() >= 8
        assert heaps(recorder) == 0


# Collecting old cycles


class Muxer:
    """Refers to itself, as those of PyAV do by their streams."""

    def __init__(self) -> None:
        self.container = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.disable()  # only what is tested collects
    yield
    gc.unfreeze()
    gc.enable()


def an_old_one_without_owner() -> weakref.ref[Muxer]:
    """Return a muxer that lived through so many collections that it is looked at no more, and then lost its owner."""
    muxer = Muxer()
    gc.collect(0)
    gc.collect(1)
    return weakref.ref(muxer)


def passes(clock: SimulatedClock, seconds: float) -> None:
    clock.advance_to(clock.now_ns() + round(seconds * NANOSECONDS))


def test_what_failed_attempts_leave_is_collected_though_it_is_old() -> None:
    clock = SimulatedClock()
    collect = garbage_collector(clock)
    left = an_old_one_without_owner()
    gc.collect(1)
    assert left() is not None
    passes(clock, EVERY_S - 0.1)
    collect()
    assert left() is not None
    passes(clock, 0.2)
    collect()
    assert left() is None


def test_what_is_free_after_that_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimulatedClock()
    given_back: list[bool] = []
    collect = garbage_collector(clock)
    left = an_old_one_without_owner()
    monkeypatch.setattr(heap, "trim_heap", lambda: given_back.append(left() is None))
    for _ in range(round(3.5 * EVERY_S)):
        passes(clock, 1)
        collect()
    assert given_back == [True] * 3


def test_what_was_there_before_is_not_looked_at() -> None:
    before = Muxer()
    garbage_of = weakref.ref(before)
    garbage_collector(SimulatedClock())
    assert gc.get_freeze_count() > 0
    assert not any(found is before for found in gc.get_objects())
    before.container = None  # type: ignore[assignment]
    del before
    assert garbage_of() is None
