"""What the tests of the page's API share: a room whose sessions are synthetic, and its page."""

from pathlib import Path

import pytest

from tests.support.room import Room

DESTINATION = (
    '[destinations.web]\nurl = "file:///{folder}/hls"\n[destinations.youtube]\nurl = "rtmps://a.example/live2"\n'
)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path / "home")
    made.home.mkdir()
    folder = str(tmp_path).strip("/")
    made.configure(f'[general]\nroom = "Aula"\n\n[web]\nport = 0\n\n{DESTINATION.format(folder=folder)}')
    return made
