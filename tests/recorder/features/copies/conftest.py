import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.package.metadata import Package
from tests.support import archives, copies
from tests.support.copies import Place
from tests.support.s3 import Seaweed
from tests.support.sshd import Sshd

_NUMBERS = count()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with Seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        server.make_bucket(copies.BUCKET)
        yield server


@pytest.fixture(params=copies.KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a place of each kind, with nothing in it."""
    name = f"liput-{next(_NUMBERS)}"
    if request.param == "folder":
        return copies.folder_place(tmp_path / name)
    if request.param == "sftp":
        return copies.sftp_place(request.getfixturevalue("sshd"), name)
    return copies.s3_place(request.getfixturevalue("seaweed"), name)


@pytest.fixture
def nas(tmp_path: Path) -> Place:
    return copies.folder_place(tmp_path / "nas")


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory, program: Path) -> tuple[Package, Package]:
    """Seal a small package and a large one, of which tests get copies: sealing waits for the disk."""
    archive = archives.archive_at(tmp_path_factory.mktemp("sealed"))
    return archives.seal_one(archive, program), copies.large_package(archive, program, 5_400_000)


@pytest.fixture
def package(archive: Archive, sealed: tuple[Package, Package]) -> Package:
    return put_into(archive, sealed[0])


@pytest.fixture
def large(archive: Archive, sealed: tuple[Package, Package]) -> Package:
    return put_into(archive, sealed[1])


def put_into(archive: Archive, package: Package) -> Package:
    shutil.copytree(package.folder, archive.root / copies.place_of(package))
    return archive.find(package.id)
