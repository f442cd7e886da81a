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
    assert child.wait(10)
    child.close()
    assert (child.status, child.is_deaf) == (0, True)
