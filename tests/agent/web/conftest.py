"""What the tests of the page's API share: a room whose sessions are synthetic, and its page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import web
from tests.support.room import Room
from tests.support.web import Page

DESTINATION = '[destinations.web]\nurl = "file:///{folder}/hls"\n'


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path / "home")
    made.home.mkdir()
    folder = str(tmp_path).strip("/")
    made.configure(f'[general]\nroom = "Aula"\n\n[web]\nport = 0\n\n{DESTINATION.format(folder=folder)}')
    return made


@pytest.fixture
def page(room: Room) -> Iterator[Page]:
    with web.serving(config_file=room.settings, folder=room.archive) as served:
        yield served
