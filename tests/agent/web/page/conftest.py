"""What the tests of the page share: a browser, and a daemon with a session that is armed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import browser as browsers
from tests.support import recorders
from tests.support.browser import ROOM, Served
from tests.support.room import Room


@pytest.fixture(scope="module")  # Playwright has an event loop run in this thread: no other could be while it is there
def chromium() -> Iterator[Browser]:
    assert browsers.CHROMIUM.exists(), "./run test installs it"
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "runtime"
    monkeypatch.setenv("LIPUT_RUNTIME", str(folder))
    yield folder
    if folder.exists():
        recorders.kill_recorders(folder)


@pytest.fixture
def served(tmp_path: Path, runtime: Path) -> Iterator[Served]:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure(ROOM, 'kampus = "abcd-1234"\n')
    with browsers.served(room, runtime) as served:
        yield served
