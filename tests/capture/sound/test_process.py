"""A sound child that has died, as its parent finds it."""

import sys

import pytest

from capture.sound.process import SoundChild
from capture.sound.wire import Request


def test_a_child_that_died_before_it_read_what_it_was_asked_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    child = SoundChild(Request("nothing", 1, 48_000))
    process = child._process
    process.wait(10)
    assert process.stdin is not None
    process.stdin.write(b"what it did not read")  # stays in Python's buffer until it is closed
    child.close()
    assert process.stdin.closed
    assert process.poll() == 0
