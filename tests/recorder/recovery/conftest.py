from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from tests.support import archives, media
from tests.support.leftovers import Left, Material


@pytest.fixture(scope="session")
def material() -> Material:
    return Material(6.0)


@pytest.fixture(scope="session")
def left(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Left:
    return material.write(tmp_path_factory.mktemp("left"))


@pytest.fixture
def second(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "cadangan")


@pytest.fixture
def unclosed(tmp_path: Path) -> Path:
    """Return 3 s of Matroska that was never closed."""
    path, source = tmp_path / "podium.mkv", "testsrc2=s=160x90:r=10:d=3"
    words = ("-f", "lavfi", "-i", source, "-c:v", "mjpeg", "-f", "matroska", "-live", "1")
    media.run("ffmpeg", "-v", "error", *words, path)
    return path


@pytest.fixture
def nothing_half_built(archive: Archive, second: Archive) -> Iterator[None]:
    yield
    for place in (archive, second):
        assert not list(place.root.glob(".incoming/*.joining"))
