import os
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.archive.model import Package
from tests.support import archives


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)


@pytest.fixture
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the time: nothing is lost that the kernel has."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
