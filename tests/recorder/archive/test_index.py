"""The index: never more than what the packages say, and as if it had always been there, whatever happens to it."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.errors import StateError, StorageError
from recorder.archive import index as index_module
from recorder.archive.correction import edit_package
from recorder.archive.index import ArchiveIndex, search_archive
from recorder.model.marks import Mark
from recorder.package.metadata import Addition, Chapter, Package, RequestFacts
from tests.support import archives, shelves
from tests.support.archives import STARTED
from tests.support.command import ROOT
from tests.support.errors import because

COUNT = 12


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


@pytest.mark.parametrize("file", ["metadata/recording.json", "tagmanifest-sha256.txt"])
def test_a_description_that_nobody_vouches_for_is_marked(root: Path, file: str) -> None:
    (folder, *_) = sorted(root.glob("*/*/*"))
    path = folder / file
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with ArchiveIndex(root) as index:
        assert [one.state for one in everything(index) if Path(one.path).name == folder.name] == ["damaged"]


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(8192))


def scribbled(path: Path) -> None:
    """Write into the midst of it, behind its head."""
    content = bytearray(path.read_bytes())
    chance = random.Random(1)
    for at in range(4096, len(content), 512):
        content[at : at + 64] = chance.randbytes(64)
    path.write_bytes(content)


def told(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)

    return change


@pytest.mark.parametrize("damage", [garbage, scribbled, told("PRAGMA user_version = 99"), told("DROP TABLE packages")])
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


def test_an_archive_that_is_not_there_has_nothing_and_a_file_is_none(tmp_path: Path) -> None:
    with ArchiveIndex(tmp_path / "gone") as index:
        assert search_archive(index, ["senat"]) == []
    (tmp_path / "file").touch()
    with ArchiveIndex(tmp_path / "file") as index, pytest.raises(StorageError, check=because("unwritable")):
        search_archive(index, ["senat"])
    with (
        ArchiveIndex(tmp_path, tmp_path / "file" / "index") as index,
        pytest.raises(StateError, match="cannot be used"),
    ):
        search_archive(index, ["senat"])


def test_two_that_open_a_new_index_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """SQLite refuses one of them at once, however long it may wait; that happens in one round of ten."""

    def refresh(folder: Path) -> int:
        both.wait()
        with ArchiveIndex(tmp_path, folder) as index:
            return index.refresh()

    both = threading.Barrier(4)
    with ThreadPoolExecutor(4) as threads:
        for number in range(50):
            assert list(threads.map(refresh, [tmp_path / str(number)] * 4)) == [0] * 4


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


def test_several_processes_at_once_agree_and_a_kill_of_one_is_harmless(root: Path) -> None:
    """From nothing: each makes the tables, reads everything, and finds everything meanwhile."""
    with subprocess.Popen([sys.executable, "-c", REINDEX, str(root)], stdout=subprocess.PIPE, cwd=ROOT) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == b"ready\n"
            with ArchiveIndex(root) as index:
                for _ in range(5):
                    assert len(everything(index)) == COUNT
            assert other.stdout.readline() == b"done\n"
        finally:
            other.kill()  # at any moment of a reindex
    with ArchiveIndex(root) as index:
        assert len(everything(index)) == COUNT


BASE = shelves.describe(0)
SENAT = msgspec.structs.replace(
    BASE, title="Rapat Senat Terbuka", room="Aula Utama", office="Biro PKIH",
    marks=(Mark(at=BASE.started_at, media_s=5.0, text="Tanya jawab"),),
    chapters=(Chapter(start_s=0.0, title="Pembukaan", source="slide", text="Anggaran pendapatan 2027"),),
    request=RequestFacts(id="r", letter_number="B/12/UN38/TU.00.02/2026", applicant="Dr. Siti Aminah",
                         unit="Fakultas Hukum", event="Sidang guru besar", place="Gedung Rektorat"),
    additions=(Addition(file="data/tambahan/daftar-hadir.pdf", name="Daftar Hadir.pdf", bytes=1,
                        added_at=BASE.started_at, note="ditandatangani"),),
)  # fmt: skip
CAFE = msgspec.structs.replace(
    BASE, uuid="11111111-1111-4111-8111-111111111111", title="Café Ilmiah: Pəndidikan & Ça va?", room="Ruang Sidang 1",
    office="Fakultas Teknik",
    started_at=BASE.started_at + timedelta(days=40), marks=(), chapters=(), request=None, additions=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveIndex]:
    root = tmp_path_factory.mktemp("arsip")
    for recording in (SENAT, CAFE):
        shelves.put(root, recording)
    with ArchiveIndex(root, root / "index") as searched:
        yield searched


def titles(searched: ArchiveIndex, *words: str, since: datetime | None = None, until: datetime | None = None,
           room: str = "") -> list[str]:  # fmt: skip
    return [found.title for found in search_archive(searched, words, since=since, until=until, room=room)]


def test_every_part_of_the_description_is_searched(searched: ArchiveIndex) -> None:
    for words in (
        "senat", "SENAT", "sen", "terbuka rapat", "B/12/UN38/TU.00.02/2026", "12 un38", "Amin", "fakultas hukum",
        "guru besar", "rektorat", "aula", "pkih", "tanya", "pembukaan", "anggaran 2027", "hadir.pdf", "ditandatangani",
        "rapat hukum jawab", 'rapat "senat"', "*** rapat",
    ):  # fmt: skip
        assert titles(searched, *words.split(" ")) == [SENAT.title], words
        assert titles(searched, words) == [SENAT.title], "as one word of the command line as well"
    for word in ("cafe", "CAFÉ", "cafe\u0301", "ca va", "pəndidikan", "& ça"):
        assert titles(searched, word) == [CAFE.title], word


@pytest.mark.parametrize(
    "words", [["senat", "wisuda"], ["enat"], ["senat", "OR", "ilmiah"], ["NOT", "senat"], ["rapat-terbuka"], ["***"]]
)
def test_what_is_not_there_is_not_found(searched: ArchiveIndex, words: list[str]) -> None:
    assert titles(searched, *words) == []


ODD = ('se"nat', "(senat", "NEAR(", "title:senat", "^senat", "senat; DROP TABLE words", "\0senat", "\udcff")


@given(st.lists(st.sampled_from(ODD) | st.text(max_size=12), min_size=1, max_size=4))
@example(list(ODD))
def test_whatever_is_typed_is_words_and_no_error(searched: ArchiveIndex, words: list[str]) -> None:
    assert set(titles(searched, "senat", *words)) <= {SENAT.title}


def test_days_and_rooms_bound_it(searched: ArchiveIndex) -> None:
    day = timedelta(days=1)
    assert titles(searched) == [CAFE.title, SENAT.title], "the newest first"
    assert titles(searched, since=CAFE.started_at) == [CAFE.title]
    assert titles(searched, until=CAFE.started_at - day) == [SENAT.title]
    assert titles(searched, since=SENAT.started_at + day, until=CAFE.started_at - day) == []
    assert titles(searched, room="AULA") == titles(searched, room="aula utama") == [SENAT.title]
    assert titles(searched, "cafe", room="aula") == []
    assert titles(searched, room="sidang 1") == [CAFE.title]


def test_a_hit_shows_where(searched: ArchiveIndex) -> None:
    assert [str(found.snippet) for found in search_archive(searched, ["senat"])] == ["Rapat [Senat] Terbuka"]
    (found,) = search_archive(searched, ["anggaran"])
    assert "[Anggaran] pendapatan 2027" in str(found.snippet)


def test_of_many_those_come_first_that_say_it_in_the_title_and_none_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        shelves.put(tmp_path / "arsip", shelves.describe(number, slides=2))
    with ArchiveIndex(tmp_path / "arsip", tmp_path) as searched:
        weighed = search_archive(searched, ["rapat", "an"], most=40)
        monkeypatch.setattr("recorder.archive.index.RANKED_MATCHES", 1)
        found = search_archive(searched, ["rapat", "an"], most=40)
        assert {one.id for one in found} == {one.id for one in weighed}
        assert len(found) > 20
        in_title = ["rapat" in one.title.lower() and " an" in one.title.lower() for one in found]
        assert in_title == sorted(in_title, reverse=True)
        assert 0 < sum(in_title) < len(found)
        begun = [one.started_at for one in found[: sum(in_title)]]
        assert begun == sorted(begun, reverse=True)
        assert all("[" in str(one.snippet) for one in found)
        assert [one.id for one in search_archive(searched, ["rapat", "an"], most=7)] == [one.id for one in found[:7]]
        since = found[0].started_at
        late = {one.id for one in found if one.started_at >= since}
        assert {one.id for one in search_archive(searched, ["rapat", "an"], since=since, most=40)} == late
