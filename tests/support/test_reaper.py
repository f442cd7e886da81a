"""A run of tests that is killed leaves no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from devices.host.process import process_started
from tests.support.reaper import RUN
from tests.support.waiting import wait_for

CONFTEST = """
from tests.support import reaper

def pytest_configure():
    reaper.start()
"""
TEST = """
import subprocess, time
from pathlib import Path

def test_that_hangs():
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path({told!r}).write_text(str(left.pid))
    time.sleep(600)
"""


def test_a_run_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_hanging.py").write_text(TEST.format(told=str(told)))
    environment = {name: value for name, value in os.environ.items() if name != RUN}
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
    )
    pid = int(wait_for(lambda: told.exists() and told.read_text()))
    assert process_started(pid) is not None
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_for(lambda: process_started(pid) is None)
