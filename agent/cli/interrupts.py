"""Ctrl-C before and after a command: Python would print a traceback from its libraries."""

# Python has it loaded; importing `signal` takes 6 ms, during which Ctrl-C may come. It has no stub.
import _signal as signal  # type: ignore[import-not-found]


def end_silently() -> None:
    """Let Ctrl-C end this process by the default action; an ignored signal, as under nohup, stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_interrupts() -> None:
    """Make Ctrl-C raise KeyboardInterrupt again, so that a loaded command can clean up."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
