"""Abilities of standard output, safe text for it, and whether a person is at the terminal."""

import io
import os
import re
import sys
from typing import Any, BinaryIO, TextIO

_ESCAPES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)")
"""Control characters except tab and line ends; JSON never contains them raw."""
_OF_TERMINALS = re.compile(rf"{_ESCAPES.pattern}|[\x7f-\x9f]")
"""A terminal takes these for commands too; a program reads them as text."""


class PrintableOutput(io.TextIOWrapper):
    """A standard stream without control characters, which names may contain; `own` is the original stream."""

    def __init__(self, own: io.TextIOWrapper) -> None:
        # Two writers share one buffer: neither may hold anything back.
        own.reconfigure(errors="replace", write_through=True)
        super().__init__(own.buffer, own.encoding, "replace", line_buffering=own.line_buffering, write_through=True)
        self.own = own
        self._refused = _OF_TERMINALS if own.isatty() else _ESCAPES

    def write(self, text: str, /) -> int:
        """Write `text` without terminal commands; return the number of characters taken."""
        super().write(self._refused.sub("", text))
        return len(text)

    @property
    def buffer(self) -> Any:
        """The byte stream, for JSON: control characters become JSON escapes on a terminal."""
        own: Any = super().buffer
        return _JsonOutput(own) if self.own.isatty() else own


class _JsonOutput:
    """Writes UTF-8 JSON without terminal commands; the value stays the same."""

    def __init__(self, own: BinaryIO) -> None:
        self._own = own
        self.flush = own.flush

    def write(self, content: bytes) -> int:
        text = _OF_TERMINALS.sub(lambda found: rf"\u{ord(found[0]):04x}", content.decode(errors="replace"))
        self._own.write(text.encode())
        return len(content)


def printable(text: str) -> str:
    """Return `text` without terminal commands."""
    return _OF_TERMINALS.sub("", text)


def own_output(stream: TextIO) -> TextIO:
    """Return the stream for our own escapes; texts for it must be `printable`."""
    return stream.own if isinstance(stream, PrintableOutput) else stream


def can_redraw() -> bool:
    """Return whether lines can be redrawn: a terminal that can move its cursor."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}


def own_terminal() -> int | None:
    """Return the terminal on standard input if it belongs to us and not to the shell before us, or None.

    In the background of a shell a read would stop the whole command.
    """
    try:
        terminal = sys.stdin.fileno()
        return terminal if os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp() else None
    except (OSError, ValueError, AttributeError):  # closed, replaced, missing, or another session's terminal
        return None


def can_ask() -> bool:
    """Return whether a person can answer: the question goes to standard error, the answer comes from standard input."""
    return own_terminal() is not None and sys.stderr is not None and sys.stderr.isatty()
