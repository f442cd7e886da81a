"""The names of the modules in capture/sources/kinds; a word begins with one, alone or with a `:` or `+` behind it."""

import functools
import re
from pathlib import Path

_FOLDER = Path(__file__).with_name("kinds")
_WORD = re.compile(r"([a-z][a-z0-9_]*)([:+].*)?", re.DOTALL)


@functools.cache
def source_names() -> frozenset[str]:
    """Return the names; none of the modules is imported."""
    return frozenset(file.stem for file in _FOLDER.glob("[!_]*.py"))


def source_name(word: str) -> str | None:
    """Return the name that `word` begins with, None where it means a file or a device."""
    found = _WORD.fullmatch(word)
    return found[1] if found and found[1] in source_names() else None
