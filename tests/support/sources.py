"""Words that mean a source of each kind here: what has to be there for it is started, and ended again."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.support.xvfb import Xvfb


@contextmanager
def _screen(folder: Path) -> Iterator[str]:
    with Xvfb(folder, 640, 360) as server:
        yield f"screen:{server.display}"


NEEDS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {"screen": _screen}
"""Kinds of source that their name alone does not get on every PC."""


def a_source(name: str, folder: Path) -> AbstractContextManager[str]:
    """Return the word for a source of the kind `name`; it is there until the context ends."""
    return NEEDS[name](folder) if name in NEEDS else nullcontext(name)
