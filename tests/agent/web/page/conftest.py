"""What the tests of the page share: a browser, and a daemon with a session that is armed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.support import browser as browsers
from tests.support import web
from tests.support.browser import ROOM, Served, Visit
from tests.support.room import Room


@pytest.fixture(scope="module")  # Playwright has an event loop run in this thread: no other could be while it is there
def chromium() -> Iterator[Browser]:
    assert browsers.CHROMIUM.exists(), "./run test installs it"
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def served(tmp_path: Path, runtime: Path) -> Iterator[Served]:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure(ROOM, 'kampus = "abcd-1234"\n')
    with browsers.served(room, runtime) as served:
        yield served


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run one daemon for all tests of a file that only look at its pages: it and its recorder take a second."""
    room = Room(tmp_path_factory.mktemp("standing"))
    room.configure(ROOM)
    with browsers.served(room, Path(os.environ[RUNTIME])) as served:
        yield served


@pytest.fixture
def shown(chromium: Browser, standing: Served) -> Iterator[Visit]:
    """Open a page of a daemon that no test asks for anything; what is shown there is the test's own."""
    with browsers.visit(chromium, standing) as visit:
        yield visit


@pytest.fixture
def looked(chromium: Browser, served: Served) -> Iterator[Visit]:
    with browsers.visit(chromium, served) as visit:
        yield visit


@dataclass
class Here:
    """A page that the test's own process serves, and what its console complained of."""

    page: Page
    served: web.Page
    complaints: list[str]

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.served.origin}{path}")
        return self.page


@pytest.fixture
def here(chromium: Browser, room: Room) -> Iterator[Here]:
    with (
        web.serving(config_file=room.settings, folder=room.archive) as served,
        browsers.browsing(chromium, served.ticket()) as (page, complaints),
    ):
        yield Here(page, served, complaints)
