"""Signals that ask a recorder to end: one is enough, and many cost no more."""

import queue
import signal

from recorder.control.asks import Ask, Inbox, hear


def test_many_signals_are_one_wish_to_end_and_those_of_terminals_none() -> None:
    numbers = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    inbox: Inbox = queue.SimpleQueue()
    try:
        hear(inbox)
        for _ in range(100):
            for number in numbers:
                signal.raise_signal(number)
        assert (inbox.qsize(), inbox.get_nowait()) == (1, Ask.END)
        signal.raise_signal(signal.SIGTERM)
        assert inbox.get_nowait() is Ask.END
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
