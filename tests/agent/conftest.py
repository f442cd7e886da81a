"""What the tests of the command line share."""

from pathlib import Path

import pytest

from tests.support.room import Room


@pytest.fixture
def room(tmp_path: Path) -> Room:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure()
    return room
