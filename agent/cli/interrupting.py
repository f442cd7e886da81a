"""Ctrl-C before a command runs, and after it: Python would print where in its libraries it was."""

# Python has loaded it; what `signal` adds takes 6 ms, in which Ctrl-C may come. No stub says what is in it.
import _signal as signal  # type: ignore[import-not-found]


def end_silently() -> None:
    """Let Ctrl-C end this process as it ends any other; where it is ignored, as under nohup, it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_interrupts() -> None:
    """Make of Ctrl-C a KeyboardInterrupt again, so that a command can clean up: what it needs is loaded."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
