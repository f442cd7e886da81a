"""Starts a recorder while `liput record` still parses its command line (docs/decisions/0051).

It waits on its standard input for its spec, and ends by itself if we die.
"""

from collections.abc import Sequence
from contextlib import suppress

from devices.host.child import ChildProcess
from recorder.control.launch import RecorderUnit, launch_recorder

_begun: list[tuple[ChildProcess | RecorderUnit, str]] = []


def start_early(words: Sequence[str]) -> None:
    """Start a recorder, unless the words ask for help; after an error, a later start tries again."""
    if {"-h", "--help"}.isdisjoint(words):
        with suppress(OSError):
            _begun.append(launch_recorder(None, is_spare=False))


def take_early() -> tuple[ChildProcess | RecorderUnit, str] | None:
    """Return the started recorder and a note about it, once; None without one."""
    return _begun.pop() if _begun else None
