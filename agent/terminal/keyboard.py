"""A key pressed on the terminal, without Enter and without taking the terminal away from anybody."""

import contextlib
import os
import select
import termios
import tty
from collections.abc import Callable, Iterator

from agent.terminal.terminal import our_terminal
from devices.host import threads


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
