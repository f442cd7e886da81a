"""CPU clocks of this process's threads and children (Linux, posix-cpu-timers.h).

Reading a clock is one system call and no file. Threads unknown to Python, such as x264's, inherit the name of the
thread that starts them: see `new_threads_named`.
"""

import ctypes
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from devices.host.process import parent_of

_OF_PROCESS, _OF_THREAD = 2, 6  # CPUCLOCK_SCHED, and the same of one thread (CPUCLOCK_PERTHREAD_MASK)
_NAME_BYTES = 15  # bytes of a thread name (TASK_COMM_LEN without the terminator)
OF_LIBRARY = " (library)"
_SET_NAME, _GET_NAME = 15, 16
_TASKS, _PROC = Path("/proc/self/task"), Path("/proc")
_MODULE = "-m"


def thread_cpu_ns(number: int) -> int | None:
    """Return the CPU nanoseconds of a thread of this process; None if it has ended."""
    return _read(number, _OF_THREAD)


def process_cpu_ns(number: int) -> int | None:
    """Return the CPU nanoseconds of a process without its children; None if it has ended."""
    return _read(number, _OF_PROCESS)


def _read(number: int, kind: int) -> int | None:
    try:
        return time.clock_gettime_ns(~number << 3 | kind)
    except OSError:
        return None


@contextmanager
def new_threads_named(name: str) -> Iterator[None]:
    """Give threads that this thread starts meanwhile the first 15 bytes of `name`; never fails."""
    before = ctypes.create_string_buffer(_NAME_BYTES + 1)
    _prctl(_GET_NAME, before)
    _prctl(_SET_NAME, ctypes.create_string_buffer(name.encode()[:_NAME_BYTES]))
    try:
        yield
    finally:
        _prctl(_SET_NAME, before)


def _prctl(what: int, text: "ctypes.Array[ctypes.c_char]") -> None:
    ctypes.CDLL(None).prctl(what, text, 0, 0, 0)


def thread_names(known: dict[int, str]) -> Mapping[int, str]:
    """Return the names of this process's threads by thread id; OF_LIBRARY marks threads unknown to Python.

    Before 3.14 Python does not tell the kernel its thread names. This does, once for each, and notes it in `known`.
    """
    try:
        numbers = [int(name) for name in os.listdir(_TASKS)]  # noqa: PTH208 - numbers, not paths
    except OSError:
        return {}
    for thread in threading.enumerate():
        number = thread.native_id
        if number is not None and known.get(number) != thread.name:
            known[number] = thread.name
            if number != os.getpid():  # the main thread's name is the process's
                with suppress(OSError):
                    (_TASKS / str(number) / "comm").write_bytes(thread.name.encode()[:_NAME_BYTES])
    return {
        number: known.get(number) or _text(_TASKS / str(number) / "comm").strip() + OF_LIBRARY for number in numbers
    }


def _text(path: Path) -> str:
    """Return the text of a file; "" if its thread or process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def child_programs(others: set[int]) -> Mapping[int, str]:
    """Return the module or program of each child by process id; `others` caches processes that are no children."""
    ours, parent, seen = {}, os.getpid(), set()
    for name in os.listdir(_PROC):  # noqa: PTH208 - numbers, not paths
        if not name.isdigit():
            continue
        number = int(name)
        if number in others or parent_of(number) != parent:
            seen.add(number)  # a foreign process never becomes our child
        else:
            ours[number] = _program(number)
    others.clear()
    others.update(seen)
    return ours


def _program(number: int) -> str:
    """Return `package.module` of `python -m`, else the program's name; "" if the process has ended."""
    words = _text(_PROC / str(number) / "cmdline").split("\0")
    if _MODULE in words[:-1]:
        return words[words.index(_MODULE) + 1]
    return Path(words[0]).name
