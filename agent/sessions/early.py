"""A recorder that is started while `liput record` still reads its words (docs/decisions/0051).

It waits on its standard input for its specification, and ends by itself once we are gone.
"""

from collections.abc import Sequence
from contextlib import suppress

from devices.host.child import ChildProcess
from recorder.control.launched import Unit, launched

_HELP = {"-h", "--help"}
_begun: list[tuple[ChildProcess | Unit, str]] = []


def begin(words: Sequence[str]) -> None:
    """Start it, unless these words only ask how they are used; where that fails, whoever needs one tries again."""
    if _HELP.isdisjoint(words):
        with suppress(OSError):
            _begun.append(launched(None, is_spare=False))


def taken() -> tuple[ChildProcess | Unit, str] | None:
    """Return it, and what there is to say of it, to the first who asks; None where there is none."""
    return _begun.pop() if _begun else None
