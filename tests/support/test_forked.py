"""Commands that are forked from a server do what those do that are started like a shell starts them."""

import os
import subprocess
from pathlib import Path

import pytest

from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support import command, forked
from tests.support.command import environment
from tests.support.recorders import recorders
from tests.support.room import Room

WORDS = (
    ("--help",),
    ("status",),
    ("devices", "--json"),
    ("health", "--since", "1d"),
    ("archive", "list", "--archive", "arsip"),
    ("archive", "show", "gone"),
    ("arm", "--bad"),
    ("request", "list"),
    ("config", "show"),
)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path)
    made.configure()
    made.archive.mkdir()
    return made


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_what_is_said_and_the_status_are_the_same(room: Room, words: tuple[str, ...]) -> None:
    as_a_shell = command.started(room.home, *words)
    done = forked.liput(words, room.home, environment(room.home), timeout=60)
    assert (done.stdout, done.stderr) == (as_a_shell.stdout, as_a_shell.stderr) != ("", "")
    assert done.returncode == as_a_shell.returncode


def test_an_environment_is_the_callers_and_nobody_elses(room: Room) -> None:
    variables = environment(room.home, {"LIPUT_TEST": "yes"})
    armed = forked.liput(["arm", *map(str, room.words()[1:])], room.home, variables, timeout=60)
    assert armed.returncode == 0, armed.stderr
    (recorder,) = recorders(Path(variables[RUNTIME]))
    read = Path(f"/proc/{recorder.pid}/environ").read_text()
    its = dict(line.split("=", 1) for line in read.split("\0") if line)
    del variables["PYTHONPATH"], its["PYTHONPATH"]  # a recorder has its own
    assert {name: its.get(name) for name in variables} == variables
    assert its.keys() & (os.environ.keys() - variables.keys()) == set()


def test_what_takes_too_long_is_killed(room: Room) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        forked.liput(["devices", "--watch"], room.home, environment(room.home), timeout=1)
