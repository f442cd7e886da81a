"""The index: never more than what the packages say, and as if it had always been there, whatever happens to it."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from config.errors import StateError, StorageError
from recorder.archive import index as index_module
from recorder.archive.correction import edit_package
from recorder.archive.index import ArchiveIndex, search_archive
from recorder.package.metadata import Package
from tests.support import archives, shelves
from tests.support.archives import STARTED
from tests.support.damage import CORPUS, newer_version
from tests.support.errors import because

PROJECT = Path(__file__).parents[3]
COUNT = 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "arsip"
    for number in range(COUNT):
        shelves.put(root, shelves.describe(number, slides=2))
    return root


@pytest.fixture
def index(root: Path) -> Iterator[ArchiveIndex]:
    with ArchiveIndex(root) as index:
        yield index


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time of a folder be trusted at once: what is tested is not the tick of the clock."""
    monkeypatch.setattr(index_module, "SETTLED_NS", -10_000_000_000)


def everything(index: ArchiveIndex) -> list[Package]:
    return sorted(search_archive(index, ()), key=lambda found: found.id)


def test_it_holds_what_the_packages_say(root: Path, index: ArchiveIndex) -> None:
    assert index.rebuild() == COUNT
    listed = {package.id: package for package in archives.archive_at(root).list()}
    found = everything(index)
    assert {one.id for one in found} == set(listed)
    for one in found:
        package = listed[one.id]
        assert (one.title, one.started_at, one.bytes, one.path, one.state) == (
            package.title, package.started_at, package.bytes, str(root.resolve() / package.folder.relative_to(root)),
            package.state,
        )  # fmt: skip


@pytest.mark.usefixtures("settled")
def test_only_what_has_changed_is_read_again(root: Path, index: ArchiveIndex) -> None:
    assert index.refresh() == COUNT
    assert index.refresh() == 0
    shelves.put(root, shelves.describe(COUNT))
    assert index.refresh() == 1
    (newest,) = search_archive(index, [f"B/{COUNT}/UN38"])
    shutil.rmtree(newest.path)
    assert index.refresh() == 0
    assert len(everything(index)) == COUNT
    shutil.rmtree(root / "2022")
    assert search_archive(index, ()) == []


@pytest.mark.usefixtures("settled")
def test_a_corrected_package_is_found_by_what_it_says_now(root: Path, index: ArchiveIndex) -> None:
    (found,) = search_archive(index, ["B/7/UN38"])
    for title in ("Pengukuhan", "Dies Natalis", "Sumpah Dokter"):
        for each in ("Sementara", title):  # twice: the second may be a folder with the number that the first had
            edit_package(Path(found.path), {"title": each}, by=None, reason="", now=STARTED)
        assert [one.id for one in search_archive(index, [title])] == [found.id]
    assert search_archive(index, ["Pengukuhan"]) == []


def test_a_folder_is_not_trusted_while_it_may_change_within_its_tick(root: Path, index: ArchiveIndex) -> None:
    index.refresh()
    (month, *_) = sorted(root.glob("*/*"))
    stamp = month.stat()
    other = msgspec.structs.replace(shelves.describe(0), uuid="00000000-0000-4000-8000-000000000000", title="Seketika")
    folder = shelves.put(root, other)
    os.utime(month, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert folder.parent == month
    assert [one.title for one in search_archive(index, ["Seketika"])] == ["Seketika"]


@pytest.mark.parametrize("damage", [damage for damage, _ in CORPUS])
def test_a_damaged_package_stops_nothing(
    tmp_path: Path, program: Path, root: Path, damage: Callable[[Path], None]
) -> None:
    archive = archives.archive_at(root)
    package = archives.seal_one(archive, program, "Rapat Rusak")
    damage(package.folder)
    before = sorted(str(path) for path in root.rglob("*"))
    with ArchiveIndex(root) as index:
        assert index.rebuild() >= COUNT + 1
        (found,) = search_archive(index, ["rapat", "rusak"])
        assert found.id == package.id
        is_read = "bad_description" not in damage.__name__ and damage is not newer_version
        tells = is_read and (package.folder / "metadata" / "recording.json").is_file()
        assert found.state == ("sealed" if tells and "tag_manifest" not in damage.__name__ else "damaged")
    assert sorted(str(path) for path in root.rglob("*")) == before


@pytest.mark.parametrize("file", ["metadata/recording.json", "tagmanifest-sha256.txt"])
def test_a_description_that_nobody_vouches_for_is_marked(root: Path, file: str) -> None:
    (folder, *_) = sorted(root.glob("*/*/*"))
    path = folder / file
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with ArchiveIndex(root) as index:
        assert [one.state for one in everything(index) if Path(one.path).name == folder.name] == ["damaged"]


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(8192))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scribbled(path: Path) -> None:
    """Write into the midst of it, behind its head."""
    content = bytearray(path.read_bytes())
    chance = random.Random(1)
    for at in range(4096, len(content), 512):
        content[at : at + 64] = chance.randbytes(64)
    path.write_bytes(content)


def missing(path: Path) -> None:
    path.unlink()


def other_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def without_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE packages")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", [torn, garbage, empty, scribbled, missing, other_version, without_table])
def test_a_damaged_index_is_made_anew_by_itself(root: Path, damage: Callable[[Path], None]) -> None:
    with ArchiveIndex(root) as index:
        whole = everything(index)
        hits = search_archive(index, ["senat"])
    for end in ("-wal", "-shm"):
        Path(f"{index.path}{end}").unlink(missing_ok=True)
    damage(index.path)
    with ArchiveIndex(root) as again:
        assert everything(again) == whole
        assert search_archive(again, ["senat"]) == hits
    assert len(whole) == COUNT


def test_each_archive_has_its_own(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "lain"
    shelves.put(other, shelves.describe(0))
    (tmp_path / "link").symlink_to(root)
    with ArchiveIndex(root) as first, ArchiveIndex(other) as second, ArchiveIndex(tmp_path / "link") as third:
        assert (len(everything(first)), len(everything(second)), len(everything(third))) == (COUNT, 1, COUNT)
        assert first.path == third.path != second.path


def test_an_archive_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    with ArchiveIndex(tmp_path / "gone") as index:
        assert search_archive(index, ["senat"]) == []
    (tmp_path / "file").touch()
    with ArchiveIndex(tmp_path / "file") as index, pytest.raises(StorageError, check=because("unwritable")):
        search_archive(index, ["senat"])


def test_a_state_folder_that_takes_nothing_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with ArchiveIndex(root, tmp_path / "file" / "index") as index, pytest.raises(StateError, match="cannot be used"):
        search_archive(index, ["senat"])


REINDEX = """
import sys
from pathlib import Path
from recorder.archive.index import ArchiveIndex
with ArchiveIndex(Path(sys.argv[1])) as index:
    print("ready", flush=True)
    while True:
        index.rebuild()
        print("done", flush=True)
"""


def reindexing(root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", REINDEX, str(root)], stdout=subprocess.PIPE, cwd=PROJECT)


def test_a_kill_at_any_moment_of_a_reindex_is_harmless(root: Path, index: ArchiveIndex) -> None:
    whole = everything(index)
    chance = random.Random(7)
    for _ in range(10):
        with reindexing(root) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.08))  # the moment of the kill, not a wait for something
            process.send_signal(signal.SIGKILL)
        assert everything(index) == whole
        with ArchiveIndex(root) as fresh:
            assert everything(fresh) == whole


def test_several_processes_at_once_agree(root: Path) -> None:
    """From nothing: each makes the tables, reads everything, and finds everything meanwhile."""
    processes = [reindexing(root) for _ in range(3)]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
        with ArchiveIndex(root) as index:
            for _ in range(20):
                assert len(everything(index)) == COUNT
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == b"done\n"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()
