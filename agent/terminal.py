"""What standard output can do."""

import os
import sys


def can_redraw() -> bool:
    """Return whether what was written can be drawn anew: it is a terminal, and none of those that only go on."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}
