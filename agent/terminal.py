"""What standard output can do, and whether somebody sits before it."""

import os
import sys


def can_redraw() -> bool:
    """Return whether what was written can be drawn anew: it is a terminal, and none of those that only go on."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}


def our_terminal() -> int | None:
    """Return the terminal on standard input, if there is one and it listens to us: not to the shell before us.

    In the background of a shell a read would stop the whole command.
    """
    try:
        terminal = sys.stdin.fileno()
        return terminal if os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp() else None
    except (OSError, ValueError, AttributeError):  # closed, replaced, missing, or somebody else's terminal
        return None


def somebody_is_there() -> bool:
    """Return whether somebody can be asked: the question is shown on standard error, the answer typed here."""
    return our_terminal() is not None and sys.stderr is not None and sys.stderr.isatty()
