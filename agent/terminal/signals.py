"""Signals that end a command in order, as long as it needs that."""

import contextlib
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from agent.terminal.terminal import our_terminal
from devices.host import threads

HEARD_AFTER_S = 1.0
"""The longest that a wait may last: a signal that comes just before one interrupts nothing, and is heard at its end."""


@contextmanager
def hearing(numbers: Iterable[signal.Signals], heard: Callable[[int], None]) -> Iterator[None]:
    """Call `heard` with the number of each of these signals that comes; restore what was there before.

    Those that are ignored stay so: a program started under nohup goes on when its terminal closes. Main thread only.
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
def setting(stop: threading.Event, numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Set `stop` with any of these signals, as `hearing`.

    Not where the signal is handled: that may be in the middle of the event's own wait, which holds the lock that `set`
    takes, and both would wait for each other.
    """
    came: SimpleQueue[int | None] = SimpleQueue()
    with hearing(numbers, came.put):
        setter = threads.start(lambda: stop.set() if came.get() is not None else None, name="signals")
        try:
            yield
        finally:
            came.put(None)
            setter.join()


@contextlib.contextmanager
def watched(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call `on_key` with each key pressed while the context lasts; does nothing where there is no terminal."""
    terminal = our_terminal()
    if terminal is None:
        yield
        return
    before = termios.tcgetattr(terminal)
    wake_read, wake_write = os.pipe()
    tty.setcbreak(terminal, termios.TCSANOW)
    thread = threads.start(_watch, terminal, wake_read, on_key, name="keyboard", daemon=False)
    try:
        yield
    finally:
        os.close(wake_write)
        thread.join()
        os.close(wake_read)
        with contextlib.suppress(termios.error):  # its window may have been closed
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _watch(terminal: int, wake: int, on_key: Callable[[str], None]) -> None:
    while True:
        ready, _, _ = select.select([terminal, wake], [], [])
        try:
            key = b"" if wake in ready else os.read(terminal, 1)
        except OSError:  # the terminal has gone; the hang-up signal says so, too
            return
        if not key:
            return
        on_key(key.decode(errors="replace"))
