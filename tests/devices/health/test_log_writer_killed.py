"""Processes that write the health log at once, and are killed while they do."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devices.health.log_line import LogKind, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import HealthLog, log_files
from devices.host.clock import SystemClock
from tests.support.command import ROOT, environment

WRITER = """
import itertools, sys
from pathlib import Path
from devices.host.clock import SystemClock
from devices.health.log_line import LogKind, LogLevel
from devices.health.log_writer import HealthLog

name, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with HealthLog(folder, clock=SystemClock(), journal=None) as health_log:
    for number in range(count) if count else itertools.count():
        health_log(name, LogKind.SAMPLE, "x" * (number % 300), level=LogLevel.DEBUG, number=number)
        if number % 500 == 499:
            assert health_log.flush(30)
            print(number, flush=True)  # safe up to here
"""


def writer(name: str, folder: Path, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, name, str(folder), str(count)],
        env=environment(folder.parent), cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def numbers(folder: Path, name: str) -> list[object]:
    return [line.detail["number"] for line in read(folder, LogFilter(devices=[name]))]


def test_processes_that_write_at_once_lose_and_mix_up_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    writers = [writer(name, folder, 3000) for name in "abc"]
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    for process in writers:
        assert process.stdout
        process.stdout.close()
    for name in "abc":
        assert numbers(folder, name) == list(range(3000))
    (file,) = log_files(folder)
    assert len(file.read_bytes().split()) == 9000, "no line is torn"


@pytest.mark.slow
def test_a_kill_costs_nothing_that_was_safe_and_at_most_a_torn_last_line(tmp_path: Path) -> None:
    dice = random.Random(20261125)
    folder = tmp_path / "log"
    for attempt in range(20):
        name = f"writer-{attempt}"
        with writer(name, folder, 0) as process:
            assert process.stdout
            safe = int(process.stdout.readline())
            time.sleep(dice.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            safe = max([safe, *map(int, process.stdout.read().split())])
        found = numbers(folder, name)
        assert found == list(range(len(found))), "every whole line, in order"
        assert len(found) > safe
    whole = sum(1 for _ in read(folder, LogFilter()))
    with HealthLog(folder, clock=SystemClock(), journal=None) as health_log:
        health_log("after", LogKind.PLUGGED, level=LogLevel.ERROR)
    lines = b"".join(file.read_bytes() for file in log_files(folder)).split()
    assert sum(1 for _ in read(folder, LogFilter())) == whole + 1
    assert len(lines) - (whole + 1) <= 20, "at most one torn line for each kill"
