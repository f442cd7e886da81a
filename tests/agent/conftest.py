"""What the tests of the command line and of the daemon share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.running import runtime_directory
from tests.support.room import Room

if TYPE_CHECKING:
    from tests.support.web import Page


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


@pytest.fixture
def page(room: Room) -> "Iterator[Page]":
    from tests.support import web  # few tests need the server

    with web.serving(config_file=room.settings, folder=room.archive) as served:
        yield served
