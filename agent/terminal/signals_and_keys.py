"""Signals and keys that end a command in order."""

import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from types import FrameType

from agent.terminal.terminal import own_terminal
from devices.host import threads

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_WAIT_S = 1.0  # longest wait: a signal just before a wait does not interrupt it, and is heard at its end


@contextmanager
def handle_signals(numbers: Iterable[signal.Signals], heard: Callable[[int], None]) -> Iterator[None]:
    """Call `heard` with the number of each signal that arrives; restore the handlers afterwards.

    Ignored signals stay ignored: under nohup a program survives its terminal. Main thread only.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        heard(number)

    wanted = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def set_on_signal(stop: threading.Event, numbers: Iterable[signal.Signals] = ENDING_SIGNALS) -> Iterator[None]:
    """Set `stop` on any of these signals, as `handle_signals`.

    A thread sets it, not the handler. The handler may interrupt the event's own wait, which holds the lock of `set`: a
    deadlock.
    """
    came: SimpleQueue[int | None] = SimpleQueue()
    with handle_signals(numbers, came.put):
        setter = threads.start_thread(lambda: stop.set() if came.get() is not None else None, name="signals")
        try:
            yield
        finally:
            came.put(None)
            setter.join()


@contextmanager
def watch_keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call `on_key` with each pressed key, on a thread; does nothing without a terminal."""
    terminal = own_terminal()
    if terminal is None:
        yield
        return
    before = termios.tcgetattr(terminal)
    wake_read, wake_write = os.pipe()
    tty.setcbreak(terminal, termios.TCSANOW)
    thread = threads.start_thread(_watch, terminal, wake_read, on_key, name="keyboard", daemon=False)
    try:
        yield
    finally:
        os.close(wake_write)
        thread.join()
        os.close(wake_read)
        with suppress(termios.error):  # its window may have been closed
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _watch(terminal: int, wake: int, on_key: Callable[[str], None]) -> None:
    while True:
        ready, _, _ = select.select([terminal, wake], [], [])
        try:
            key = b"" if wake in ready else os.read(terminal, 1)
        except OSError:  # the terminal is gone; the hang-up signal reports it too
            return
        if not key:
            return
        on_key(key.decode(errors="replace"))
