from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.package.metadata import Package
from tests.support import archives
from tests.support.rtmp_server import NginxRtmp


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server
