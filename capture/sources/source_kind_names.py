"""Names of the modules in capture/sources/kinds, without importing media libraries: the daemon needs only the names.

A word begins with a name, alone or followed by `:` or `+`.
"""

import functools
import re
from pathlib import Path

_FOLDER = Path(__file__).with_name("kinds")
_WORD = re.compile(r"([a-z][a-z0-9_]*)([:+].*)?", re.DOTALL)


@functools.cache
def source_names() -> frozenset[str]:
    """Return the names; imports no module."""
    return frozenset(file.stem for file in _FOLDER.glob("[!_]*.py"))


def source_name(word: str) -> str | None:
    """Return the kind's name at the beginning of `word`, None for a file or a device."""
    found = _WORD.fullmatch(word)
    return found[1] if found and found[1] in source_names() else None
