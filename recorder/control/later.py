"""What is loaded apart from a session's start: what it needs only later, and what a recorder in reserve has ready.

What is needed at the end, or when a source fails, is loaded once the session runs, so that it starts sooner. Not when
it is needed: what is installed may have been replaced by then, or be on a disk that does not answer.
"""

import traceback
from collections.abc import Iterable
from importlib import import_module

LATER = (
    "capture.compose.drawn",
    "capture.compose.drawn",
    "recorder.archive.sealing",
    "recorder.storing.sealing",
)
IN_RESERVE = ("recorder.control.recorder", "capture.device_choice", "devices.service", *LATER)
"""All that sessions with devices take."""


def load(names: Iterable[str] = LATER) -> None:
    """Load them, in a tenth of a second in which other threads go on; never raises: what needs one tries again."""
    for name in names:
        try:
            import_module(name)
        except Exception:  # of whatever kind: what is recorded now goes first
            traceback.print_exc()
