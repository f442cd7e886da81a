"""What standard output can do, what may be written to it, and whether somebody sits before it."""

import io
import os
import re
import sys
from typing import Any, BinaryIO, TextIO

_ESCAPES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)")
"""Control characters but for tab and the ends of lines; JSON has none of them as it is."""
_OF_TERMINALS = re.compile(rf"{_ESCAPES.pattern}|[\x7f-\x9f]")
"""A terminal takes these for commands, too; to a program they are text."""


class PrintableOutput(io.TextIOWrapper):
    """A standard stream without control characters, which names may hold; our own go to `own`, as it was."""

    def __init__(self, own: io.TextIOWrapper) -> None:
        # Two writers on one buffer: neither may keep anything back.
        own.reconfigure(errors="replace", write_through=True)
        super().__init__(own.buffer, own.encoding, "replace", line_buffering=own.line_buffering, write_through=True)
        self.own = own
        self._refused = _OF_TERMINALS if own.isatty() else _ESCAPES

    def write(self, text: str, /) -> int:
        """Write `text` without what a terminal would obey; return how many characters were taken."""
        super().write(self._refused.sub("", text))
        return len(text)

    @property
    def buffer(self) -> Any:
        """What takes bytes: JSON, of which a terminal gets control characters as escapes of JSON's."""
        own: Any = super().buffer
        return _JsonOutput(own) if self.own.isatty() else own


class _JsonOutput:
    """Writes UTF-8 in which no character commands a terminal; the value is the same."""

    def __init__(self, own: BinaryIO) -> None:
        self._own = own
        self.flush = own.flush

    def write(self, content: bytes) -> int:
        text = _OF_TERMINALS.sub(lambda found: rf"\u{ord(found[0]):04x}", content.decode(errors="replace"))
        self._own.write(text.encode())
        return len(content)


def printable(text: str) -> str:
    """Return `text` without what a terminal would obey."""
    return _OF_TERMINALS.sub("", text)


def own_output(stream: TextIO) -> TextIO:
    """Return where our own escapes are written instead of `stream`; texts that go there have to be `printable`."""
    return stream.own if isinstance(stream, PrintableOutput) else stream


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
