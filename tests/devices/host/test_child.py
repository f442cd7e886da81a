"""A child is read and written without waiting, and is gone in time; lines and blocks come out whole."""

import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.host.child import ChildProcess, end_with_parent, tie_to_parent
from devices.host.framing import FrameTooLong, ReceiveBuffer, length_prefixed
from devices.host.process import process_started
from tests.support.waiting import wait_for

LONG_S = 30.0
type Start = Callable[..., ChildProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[ChildProcess] = []

    def begin(program: str, **options: object) -> ChildProcess:
        child = ChildProcess([sys.executable, "-P", "-c", program], **options)  # type: ignore[arg-type]
        children.append(child)
        return child

    yield begin
    for child in children:
        assert child.end()


def read_line(child: ChildProcess) -> bytes:
    got = b""
    while not got.endswith(b"\n"):
        piece = child.read(LONG_S)
        assert piece, got
        got += piece
    return got


def test_a_child_that_reads_nothing_or_has_gone_delays_nobody(start: Start) -> None:
    child = start("import time; time.sleep(60)")
    child.resize_pipes(16_384)
    assert child.write(bytes(100_000)) == 16_384
    assert child.write(b"more") == 0
    assert not child.is_deaf
    child = start("")
    assert child.wait(LONG_S)
    assert child.write(b"words") == 0
    assert child.is_deaf
    with pytest.raises(BrokenPipeError):
        child.give(b"words")


def test_what_it_writes_can_be_waited_for_without_end_and_looked_for_at_once(start: Start) -> None:
    child = start("import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)")
    assert child.read(0.0) is None
    child.give(b"one\n")
    assert child.read(None) == b"ONE\n"
    assert child.read(0.0) is None, "it does not wait, though the last one did"
    child.close_input()
    assert child.read(None) == b""
    assert child.wait(LONG_S)
    assert child.status == 0


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


def test_its_last_words_are_the_last_line_of_its_errors_or_its_status(start: Start) -> None:
    told = start("raise SystemExit('no libraries')", stderr=subprocess.PIPE)
    assert told.last_words() == "no libraries"
    assert start("raise SystemExit(3)").last_words() == "it ended with status 3"


def test_a_child_is_asked_to_end_and_killed_where_it_does_not(start: Start) -> None:
    child = start("import sys; sys.stdin.read()")
    assert child.end(LONG_S)
    assert child.status == 0
    child = start("import signal, sys, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)")
    read_line(child)
    assert child.end(0.05, reap_s=LONG_S, asked=signal.SIGTERM)
    assert child.status == -signal.SIGKILL
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
    wait_for(lambda: process_started(pid) is None)


LENGTH = struct.Struct(">I")
MOST = 64


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(at)]


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=MOST).filter(lambda line: b"\n" not in line), min_size=1), st.lists(st.integers(0)))
def test_lines_come_out_as_they_went_in(lines: list[bytes], cuts: list[int]) -> None:
    buffer, found = ReceiveBuffer(MOST), []
    for piece in pieces(b"".join(line + b"\n" for line in lines), cuts):
        buffer.add(piece)
        while buffer.has_line:
            found.append(buffer.line())
    assert found == lines
    assert len(buffer) == 0


def test_lines_and_blocks_may_follow_each_other() -> None:
    buffer = ReceiveBuffer(MOST)
    buffer.add(b'{"ok":true}\n' + length_prefixed(b"jpeg", LENGTH) + b"12half")
    assert buffer.peek(1) == b"{"
    assert buffer.line() == b'{"ok":true}'
    assert buffer.block(LENGTH) == b"jpeg"
    assert buffer.take(2) == b"12"
    assert buffer.take(5) is None
    assert buffer.line() is None
    assert buffer.rest() == b"half"
    assert len(buffer) == 0


def test_what_is_longer_than_its_bound_is_refused_before_its_end_comes() -> None:
    buffer = ReceiveBuffer(4)
    buffer.add(b"1234\n")
    assert buffer.line() == b"1234"
    buffer.add(b"12345")
    with pytest.raises(FrameTooLong):
        buffer.line()
    buffer = ReceiveBuffer(4)
    buffer.add(LENGTH.pack(5))
    with pytest.raises(FrameTooLong):
        buffer.block(LENGTH)
