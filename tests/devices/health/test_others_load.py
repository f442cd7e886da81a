"""How much of the processor others take: not what this program takes itself, or what it has started."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.health import computer as module
from devices.health.computer import other_programs_load
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("it judges what others take")

SPINS = "print(0, flush=True)\nwhile True: pass"
RENAMES = """
import pathlib, signal
signal.signal(signal.SIGUSR1, lambda *_: pathlib.Path("/proc/self/comm").write_text("another"))
print(0, flush=True)
while True: signal.pause()
"""
LEAVES = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {spins!r}], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
"""


@contextmanager
def own_program() -> Iterator[int]:
    """Run a program of this one's that takes all it gets; yield its number."""
    with subprocess.Popen([sys.executable, "-c", SPINS], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def other_program(code: str = SPINS) -> Iterator[int]:
    """Run one that nobody of ours has started."""
    code = LEAVES.format(spins=code)
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)


def test_others_count_and_what_this_program_has_started_does_not() -> None:
    with own_program() as own, other_program() as other:
        counted = {pid for pid, _ in module._cpu_seconds([])}
        assert other not in {pid for pid, _ in module._cpu_seconds([other])}
    assert other in counted
    assert {own, os.getpid()} & counted == set()


def test_a_program_that_takes_much_is_counted_and_the_busiest_is_named() -> None:
    with other_program():
        load = other_programs_load(1.0, threading.Event())
    assert load is not None
    assert all(name and 0 <= percent <= 100 for name, percent in load.items())
    assert max(load.values()) > 0


def test_who_is_called_something_else_meanwhile_has_not_used_all_of_its_time_since() -> None:
    with other_program(RENAMES) as other:
        before = module._cpu_seconds([])
        os.kill(other, signal.SIGUSR1)
        wait_for(lambda: Path(f"/proc/{other}/comm").read_text() == "another\n")
        after = module._cpu_seconds([])
    (who,) = (who for who in before if who[0] == other)
    assert after[who][0] == "another"


def test_nothing_is_said_once_nobody_waits() -> None:
    stopped = threading.Event()
    stopped.set()
    assert other_programs_load(60.0, stopped) is None
