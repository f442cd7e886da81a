"""What the tests of the command line and of the daemon share."""

import os
from pathlib import Path

import pytest

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.running import runtime_directory
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
    return Path(os.environ[runtime_directory.RUNTIME_VARIABLE])


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    (tmp_path / "arsip").mkdir()
    return Archive(tmp_path / "arsip", SystemClock(), 1)
