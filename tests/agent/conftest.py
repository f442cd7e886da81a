"""What the tests of the command line share."""

import os
from pathlib import Path

import pytest

from recorder.control import directory
from tests.support.room import Room


@pytest.fixture
def room(tmp_path: Path) -> Room:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure()
    return room


@pytest.fixture
def runtime() -> Path:
    """Return where this test's sessions are found."""
    return Path(os.environ[directory.VARIABLE])
