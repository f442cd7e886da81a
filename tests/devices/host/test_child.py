"""A child is read and written without waiting, says why it ended, and is gone in time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices.host.child import HOME, ChildProcess, end_with_parent, tie_to_parent, with_program_path
from tests.support.waiting import wait_for

LONG_S = 30.0
type Start = Callable[..., ChildProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python programs, and end them."""
    children: list[ChildProcess] = []

    def begin(program: str, **options: object) -> ChildProcess:
        child = ChildProcess([sys.executable, "-P", "-c", program], **options)  # type: ignore[arg-type]
        children.append(child)
        return child

    yield begin
    for child in children:
        assert child.end()


def read_line(child: ChildProcess) -> bytes:
    """Return what it has written up to a line's end."""
    got = b""
    while not got.endswith(b"\n"):
        piece = child.read(LONG_S)
        assert piece, got
        got += piece
    return got


def test_its_errors_go_where_ours_go_only_where_that_is_asked_for(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    for stderr in (subprocess.DEVNULL, None):
        assert start("raise SystemExit('no libraries')", stderr=stderr).wait(LONG_S)
    assert capfd.readouterr().err == "no libraries\n"


def test_what_is_given_comes_back_and_its_end_is_told(start: Start) -> None:
    child = start("import sys; sys.stdout.write(sys.stdin.read().upper())")
    child.give(b"words\n")
    assert child.read(0.0) is None, "it waits for the end of its input"
    child.close_input()
    assert read_line(child) == b"WORDS\n"
    assert child.read(LONG_S) == b""
    assert child.wait(LONG_S)
    assert child.status == 0


def test_a_child_that_reads_nothing_takes_a_pipe_full_and_delays_nobody(start: Start) -> None:
    child = start("import time; time.sleep(60)")
    child.resize_pipes(16_384)
    assert child.write(bytes(100_000)) == 16_384
    assert child.write(b"more") == 0
    assert not child.is_deaf


def test_what_it_writes_can_be_waited_for_without_end_and_looked_for_at_once(start: Start) -> None:
    child = start("import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)")
    assert child.read(0.0) is None
    child.give(b"one\n")
    assert child.read(None) == b"ONE\n"
    assert child.read(0.0) is None, "it does not wait, though the last one did"
    child.close_input()
    assert child.read(None) == b""


def test_more_than_a_pipe_holds_is_given_as_the_child_takes_it(start: Start) -> None:
    child = start("import sys; print(len(sys.stdin.buffer.read()))")
    child.resize_pipes(4096)
    child.give(bytes(1_000_000))
    child.close_input()
    assert child.read_all(LONG_S) == b"1000000\n"


def test_an_output_that_does_not_end_is_not_waited_for_longer_than_asked(start: Start) -> None:
    child = start("import time; print(1, flush=True); time.sleep(60)")
    with pytest.raises(TimeoutError):
        child.read_all(0.1)


def test_a_child_that_has_gone_is_deaf(start: Start) -> None:
    child = start("")
    assert child.wait(LONG_S)
    assert child.write(b"words") == 0
    assert child.is_deaf
    with pytest.raises(BrokenPipeError):
        child.give(b"words")


def test_its_last_words_are_the_last_line_of_its_errors_or_its_status(start: Start) -> None:
    told = start("raise SystemExit('no libraries')", stderr=subprocess.PIPE)
    assert told.last_words() == "no libraries"
    assert start("raise SystemExit(3)").last_words() == "it ended with status 3"


def test_a_child_that_ends_in_time_is_not_killed(start: Start) -> None:
    child = start("import sys; sys.stdin.read()")
    assert child.end(LONG_S)
    assert child.status == 0


def test_a_child_that_does_not_end_is_killed_and_reaped(start: Start) -> None:
    child = start("import signal, sys, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)")
    read_line(child)
    assert child.end(0.05, reap_s=LONG_S, asked=signal.SIGTERM)
    assert child.status == -signal.SIGKILL


def test_one_that_is_asked_ends_in_order(start: Start) -> None:
    child = start(
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(5)); print(1, flush=True); time.sleep(60)"
    )
    read_line(child)
    assert child.end(LONG_S, asked=signal.SIGTERM)
    assert child.status == 5


@pytest.mark.parametrize("ways", ["own", "tied"])
def test_a_tied_child_ends_with_its_parent(ways: str) -> None:
    """Two processes, because this one must not end."""
    grandchild = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    if ways == "own":
        grandchild = f"from {end_with_parent.__module__} import end_with_parent; end_with_parent(); " + grandchild
    command = [sys.executable, "-c", grandchild]
    started = tie_to_parent(command) if ways == "tied" else command
    program = f"import subprocess, time; subprocess.Popen({started!r}); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_for(lambda: _is_gone(pid))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"  # gone, and not reaped


def test_a_program_that_there_is_not_is_refused() -> None:
    began = time.monotonic()
    with pytest.raises(FileNotFoundError):
        ChildProcess(["/nowhere/program"], stderr=subprocess.PIPE)
    assert time.monotonic() - began < LONG_S


def test_a_python_finds_our_modules_before_all_others() -> None:
    found = with_program_path({"PYTHONPATH": "/others", "LANG": "id_ID"})
    assert found == {"PYTHONPATH": f"{HOME}:/others", "LANG": "id_ID"}
    assert with_program_path({}) == {"PYTHONPATH": str(HOME)}
    assert (HOME / "devices/host/child.py").is_file()
