from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.archive.model import Package
from tests.support import archives


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archives.make_program(tmp_path_factory.mktemp("media") / "program.mp4")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)
