"""The CPU clocks of this process's threads and of its children, as Linux has them (posix-cpu-timers.h).

Reading one is one call of the system and no file. Threads that Python does not know, x264's above all, have the name
that they inherited from whoever started them: see `called`.
"""

import ctypes
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from devices.host.process_stat import parent_of

_OF_PROCESS, _OF_THREAD = 2, 6
"""CPUCLOCK_SCHED, and that of one thread (CPUCLOCK_PERTHREAD_MASK)."""
_LONGEST = 15
"""Bytes of a thread's name (TASK_COMM_LEN without the end of the text)."""
OF_LIBRARY = " (library)"
_SET_NAME, _GET_NAME = 15, 16
_TASKS, _PROC = Path("/proc/self/task"), Path("/proc")
_MODULE = "-m"


def thread_ns(number: int) -> int | None:
    """Return what a thread of this process has taken; None when it has ended."""
    return _read(number, _OF_THREAD)


def process_ns(number: int) -> int | None:
    """Return what a process and its threads have taken, without its children; None when it is no more."""
    return _read(number, _OF_PROCESS)


def _read(number: int, kind: int) -> int | None:
    try:
        return time.clock_gettime_ns(~number << 3 | kind)
    except OSError:
        return None


@contextmanager
def called(name: str) -> Iterator[None]:
    """Have the threads that this one starts meanwhile called `name`, 15 bytes of it; never fails."""
    before = ctypes.create_string_buffer(_LONGEST + 1)
    _name(_GET_NAME, before)
    _name(_SET_NAME, ctypes.create_string_buffer(name.encode()[:_LONGEST]))
    try:
        yield
    finally:
        _name(_SET_NAME, before)


def _name(what: int, text: "ctypes.Array[ctypes.c_char]") -> None:
    ctypes.CDLL(None).prctl(what, text, 0, 0, 0)


def thread_names(known: dict[int, str]) -> Mapping[int, str]:
    """Return this process's threads by their numbers: Python's name of each, else the system's and OF_LIBRARY.

    Until 3.14 Python does not tell the system its names: it is done here, once for each that is `known`.
    """
    try:
        numbers = [int(name) for name in os.listdir(_TASKS)]  # noqa: PTH208 - numbers, not paths
    except OSError:
        return {}
    for thread in threading.enumerate():
        number = thread.native_id
        if number is not None and known.get(number) != thread.name:
            known[number] = thread.name
            if number != os.getpid():  # whose name is the process's
                with suppress(OSError):
                    (_TASKS / str(number) / "comm").write_bytes(thread.name.encode()[:_LONGEST])
    return {number: known.get(number) or _name_of(number) + OF_LIBRARY for number in numbers}


def _name_of(number: int) -> str:
    try:
        return (_TASKS / str(number) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def child_programs(others: set[int]) -> Mapping[int, str]:
    """Return the module or program of each child, by number; `others` are known to be no children."""
    ours, parent, seen = {}, os.getpid(), set()
    for name in os.listdir(_PROC):  # noqa: PTH208 - numbers, not paths
        if not name.isdigit():
            continue
        number = int(name)
        if number in others or parent_of(number) != parent:
            seen.add(number)  # what is another's child does not become ours
        else:
            ours[number] = _program(number)
    others.clear()
    others.update(seen)
    return ours


def _program(number: int) -> str:
    """Return `package.module` of `python -m`, else the name of the program; "" for one that is gone."""
    try:
        words = (_PROC / str(number) / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return ""
    if _MODULE in words[:-1]:
        return words[words.index(_MODULE) + 1]
    return Path(words[0]).name
