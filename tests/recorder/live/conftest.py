import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.encoded import SmallEncoder
from tests.support.streams import Events


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever happened, no thread and no child process, not even a dead one, outlives a test."""
    before = set(threading.enumerate()), set(psutil.Process().children())
    yield
    assert set(threading.enumerate()) <= before[0]
    assert set(psutil.Process().children()) <= before[1]


@pytest.fixture
def encoder() -> Iterator[SmallEncoder]:
    encoder = SmallEncoder()
    yield encoder
    encoder.close()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for HLS."""
    folder = tmp_path / "aula 100%"
    folder.mkdir()
    return folder


@pytest.fixture
def url(folder: Path) -> str:
    return f"file://{folder}".replace("%", "%25")
