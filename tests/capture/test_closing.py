"""Closing that may hang is left to itself, and counted."""

import threading
import time

from capture.closing import abandoned, close_within


def test_what_closes_at_once_is_done() -> None:
    done = threading.Event()
    assert close_within(done.set, 5.0, "/dev/quick")
    assert done.is_set()
    assert abandoned("/dev/quick") == 0


def test_what_hangs_is_counted_until_it_ends() -> None:
    release = threading.Event()
    began = time.monotonic()
    assert not close_within(lambda: _wait(release), 0.05, "/dev/hung")
    assert time.monotonic() - began < 5.0
    assert (abandoned("/dev/hung"), abandoned("/dev/other"), abandoned("/dev/hun"), abandoned()) == (1, 0, 0, 1)
    release.set()
    deadline = time.monotonic() + 5
    while abandoned("/dev/hung"):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _wait(event: threading.Event) -> None:
    event.wait(10)
