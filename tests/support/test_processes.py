"""Forked commands do what those do that a shell starts, and a run of tests that is killed leaves no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devices.host.process import process_started
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support import command, forked
from tests.support.command import environment
from tests.support.reaper import RUN
from tests.support.recorders import recorders
from tests.support.room import Room
from tests.support.waiting import wait_for


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path)
    made.configure()
    return made


@pytest.mark.parametrize("words", [("devices", "--json"), ("archive", "show", "gone"), ("arm", "--bad")], ids=" ".join)
def test_forked_or_started_the_output_and_the_status_are_the_same(room: Room, words: tuple[str, ...]) -> None:
    as_a_shell = command.started(room.home, *words)
    done = forked.liput(words, room.home, environment(room.home), timeout=60)
    assert (done.stdout, done.stderr) == (as_a_shell.stdout, as_a_shell.stderr) != ("", "")
    assert done.returncode == as_a_shell.returncode


def test_the_environment_of_a_forked_command_is_its_callers_and_nobody_elses(room: Room) -> None:
    variables = environment(room.home, {"LIPUT_TEST": "yes"})
    armed = forked.liput(["arm", *map(str, room.words()[1:])], room.home, variables, timeout=60)
    assert armed.returncode == 0, armed.stderr
    (recorder,) = recorders(Path(variables[RUNTIME]))
    read = Path(f"/proc/{recorder.pid}/environ").read_text()
    its = dict(line.split("=", 1) for line in read.split("\0") if line)
    del variables["PYTHONPATH"], its["PYTHONPATH"]  # a recorder has its own
    assert {name: its.get(name) for name in variables} == variables
    assert its.keys() & (os.environ.keys() - variables.keys()) == set()


def test_a_forked_command_that_takes_too_long_is_killed(room: Room) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        forked.liput(["devices", "--watch"], room.home, environment(room.home), timeout=1)


CODE = """
import subprocess, time
from tests.support import reaper

reaper.start()
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
time.sleep(600)
"""


def test_a_run_that_is_killed_leaves_no_process() -> None:
    variables = {name: value for name, value in os.environ.items() if name != RUN}
    words = [sys.executable, "-c", CODE]
    with subprocess.Popen(words, env=variables, cwd=command.ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert process_started(pid) is not None
        run.send_signal(signal.SIGKILL)
    wait_for(lambda: process_started(pid) is None)
