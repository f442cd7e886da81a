import os
import signal
import threading
import time

import pytest

from agent.terminal.signals_and_keys import set_on_signal
from tests.support.processes import runs


@pytest.mark.timeout(60, method="thread")
def test_a_signal_in_the_middle_of_the_events_own_wait_sets_it_all_the_same() -> None:
    before, stop = signal.getsignal(signal.SIGUSR1), threading.Event()
    with set_on_signal(stop, [signal.SIGUSR1]):
        with stop._cond:  # type: ignore[attr-defined] # where `wait` is when the signal comes
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.wait(30)
    assert signal.getsignal(signal.SIGUSR1) is before
    assert not runs("signals")


def test_nothing_is_left_where_no_signal_came() -> None:
    stop = threading.Event()
    with set_on_signal(stop, [signal.SIGUSR1]):
        pass
    assert not stop.is_set()
    assert not runs("signals")
