"""What timers count, against the clock of the thread itself: shares within one run, no seconds."""

import threading
import time

from capture.cpu_stages import CpuStage, untimed
from recorder.features.profiler.profile import StageTimers

MUCH_NS = 30_000_000


def burn(cpu_ns: int = MUCH_NS) -> None:
    """Take so much of the processor, however long that is by the clock."""
    end_ns = time.thread_time_ns() + cpu_ns
    while time.thread_time_ns() < end_ns:
        pass


def test_where_nobody_counts_nothing_is_called_through() -> None:
    assert untimed(CpuStage.DECODE, burn) is burn


def test_what_is_called_through_does_as_before() -> None:
    timers = StageTimers()
    divide = timers(CpuStage.DECODE, divmod)
    assert divide(7, 2) == (3, 1)
    try:
        divide(7, 0)
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("what it raises goes through")
    assert set(timers.spent()[threading.get_native_id()]) == {CpuStage.DECODE}


def test_a_stage_within_another_is_not_counted_twice() -> None:
    timers = StageTimers()
    inner = timers(CpuStage.WATCHES, burn)

    def outer() -> None:
        burn()
        inner()
        burn()

    before_ns = time.thread_time_ns()
    timers(CpuStage.DECODE, outer)()
    burn()  # of no stage
    taken_ns = time.thread_time_ns() - before_ns
    spent = timers.spent()[threading.get_native_id()]
    assert MUCH_NS <= spent[CpuStage.WATCHES] < 1.5 * MUCH_NS
    assert 2 * MUCH_NS <= spent[CpuStage.DECODE] < 2.5 * MUCH_NS
    assert sum(spent.values()) <= taken_ns - MUCH_NS


def test_sleeping_is_not_working() -> None:
    timers = StageTimers()
    timers(CpuStage.CAPTURE, lambda: threading.Event().wait(0.1))()
    assert timers.spent()[threading.get_native_id()][CpuStage.CAPTURE] < 0.05e9


def test_each_thread_has_its_own() -> None:
    timers = StageTimers()
    numbers: list[int] = []

    def work() -> None:
        timers(CpuStage.CAPTURE, burn)()
        numbers.append(threading.get_native_id())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = timers.spent()
    assert len(set(numbers)) == 2
    assert all(spent[number][CpuStage.CAPTURE] >= MUCH_NS for number in numbers), "also of threads that have ended"
    assert threading.get_native_id() not in spent
