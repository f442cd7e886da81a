"""Signals that end a command in order, as long as it needs that."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

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
