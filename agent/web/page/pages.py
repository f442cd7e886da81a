"""The pages, by address: those of the core and those that features add."""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from agent.features import hooked
from config.settings.schema import Settings

STEPS = ("language", "room", "roles", "archive", "destination", "rehearsal")  # steps of the first run
_HERE = Path(__file__).parent


class Page(NamedTuple):
    """A page. `name` is its key in the menu, at `place`; "" for a page outside of it."""

    path: str
    template: str
    name: str = ""
    place: int = 0
    facts: Callable[[Settings], Mapping[str, object]] = lambda _: {}
    folder: Path = _HERE  # its `templates` and `static` files are there


SESSION = Page("/", "session.html.j2", "nav.session", 10)
_CORE = (
    SESSION,
    Page("/check", "check.html.j2", "nav.check", 30),
    Page("/devices", "devices.html.j2", "nav.devices", 40),
    Page("/archive", "archive.html.j2", "nav.archive", 50),
    Page("/archive/{id}", "package.html.j2"),
    Page("/health", "health.html.j2", "nav.health", 70),
    Page("/setup", "setup.html.j2", "nav.setup", 80, lambda _: {"steps": STEPS}),
)


@cache
def all_pages() -> list[Page]:
    """Return all pages in the order of the menu."""
    return sorted(chain(_CORE, *hooked("pages")), key=lambda page: page.place)


def page_folders(name: str) -> list[Path]:
    """Return the folders of this name, `static` or `templates`."""
    return [folder / name for folder in dict.fromkeys(page.folder for page in all_pages())]
