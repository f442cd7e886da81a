"""Searching: words as people write them, wherever a package has some; and nothing that is typed breaks it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.archive.index import ArchiveIndex, fts_query, search_archive
from recorder.model.marks import Mark
from recorder.package.metadata import Addition, Chapter, Recording, RequestFacts
from tests.support import shelves

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
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveIndex]:
    root = tmp_path_factory.mktemp("arsip")
    for recording in (SENAT, CAFE):
        shelves.put(root, recording)
    with ArchiveIndex(root, root / "index") as index:
        yield index


def titles(index: ArchiveIndex, *words: str, since: datetime | None = None, until: datetime | None = None,
           room: str = "") -> list[str]:  # fmt: skip
    return [found.title for found in search_archive(index, words, since=since, until=until, room=room)]


@pytest.mark.parametrize(
    "words",
    ["senat", "SENAT", "sen", "rapat terbuka", "terbuka rapat", "B/12/UN38/TU.00.02/2026", "B/12", "12 un38",
     "siti aminah", "Amin", "fakultas hukum", "guru besar", "rektorat", "aula", "pkih", "tanya", "pembukaan",
     "anggaran 2027", "daftar hadir", "hadir.pdf", "ditandatangani", "rapat hukum jawab", "'rapat", 'rapat "senat"'],
)  # fmt: skip
def test_every_part_of_the_description_is_searched(index: ArchiveIndex, words: str) -> None:
    assert titles(index, *words.split(" ")) == [SENAT.title]
    assert titles(index, words) == [SENAT.title], "as one word of the command line as well"


@pytest.mark.parametrize("word", ["cafe", "CAFÉ", "cafe\u0301", "ca va", "pəndidikan", "& ça"])
def test_accents_do_not_count(index: ArchiveIndex, word: str) -> None:
    assert titles(index, word) == [CAFE.title]


@pytest.mark.parametrize(
    "words", [["wisuda"], ["senat", "wisuda"], ["enat"], ["senat", "OR", "ilmiah"], ["NOT", "senat"], ["rapat-terbuka"]]
)
def test_what_is_not_there_is_not_found(index: ArchiveIndex, words: list[str]) -> None:
    assert titles(index, *words) == []


@pytest.mark.parametrize(
    "typed", ['"', 'se"nat', "'", "*", "senat*", "(senat", "senat)", "NEAR(", "a AND", "title:senat", "^senat",
              "-senat", "+", "{}", "senat; DROP TABLE words", "%", "_", "\\", "\0", "\0senat",
              "senat\n", "😀", "\udcff", "--", "x" * 10_000],
)  # fmt: skip
def test_nothing_that_is_typed_is_an_error(index: ArchiveIndex, typed: str) -> None:
    assert set(titles(index, typed)) <= {SENAT.title}
    assert set(titles(index, "senat", typed)) <= {SENAT.title}


@given(st.lists(st.text(max_size=12), max_size=4))
def test_whatever_is_typed_is_words(index: ArchiveIndex, words: list[str]) -> None:
    titles(index, *words)


def test_nothing_but_signs_finds_nothing(index: ArchiveIndex) -> None:
    assert titles(index, "***") == []
    assert titles(index, "_") == []
    assert fts_query(["***", "rapat"]) == '"rapat"*'


def test_days_and_rooms_bound_it(index: ArchiveIndex) -> None:
    day = timedelta(days=1)
    assert titles(index) == [CAFE.title, SENAT.title], "the newest first"
    assert titles(index, since=CAFE.started_at) == [CAFE.title]
    assert titles(index, until=CAFE.started_at - day) == [SENAT.title]
    assert titles(index, since=SENAT.started_at + day, until=CAFE.started_at - day) == []
    assert titles(index, room="AULA") == titles(index, room="aula utama") == [SENAT.title]
    assert titles(index, "cafe", room="aula") == []
    assert titles(index, room="sidang 1") == [CAFE.title]


def test_a_hit_shows_where(index: ArchiveIndex) -> None:
    (found,) = search_archive(index, ["anggaran"])
    assert "[Anggaran] pendapatan 2027" in found.snippet
    (found,) = search_archive(index, ["senat"])
    assert found.snippet == "Rapat [Senat] Terbuka"


def test_the_title_counts_most(tmp_path: Path) -> None:
    often = Chapter(start_s=0.0, title="Wisuda", source="slide", text="wisuda " * 50)
    by_title = msgspec.structs.replace(CAFE, title="Wisuda")
    by_slide = msgspec.structs.replace(SENAT, chapters=(often,))
    for recording in (by_slide, by_title):
        shelves.put(tmp_path / "arsip", recording)
    with ArchiveIndex(tmp_path / "arsip", tmp_path) as index:
        assert titles(index, "wisuda") == [by_title.title, by_slide.title]
        assert len(search_archive(index, ["wisuda"], most=1)) == 1


def test_of_many_those_come_first_that_say_it_in_the_title_and_none_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        shelves.put(tmp_path / "arsip", shelves.describe(number, slides=2))
    with ArchiveIndex(tmp_path / "arsip", tmp_path) as index:
        weighed = search_archive(index, ["rapat", "an"], most=40)
        monkeypatch.setattr("recorder.archive.index.RANKED_MATCHES", 1)
        found = search_archive(index, ["rapat", "an"], most=40)
        assert {one.id for one in found} == {one.id for one in weighed}
        assert len(found) > 20
        in_title = ["rapat" in one.title.lower() and " an" in one.title.lower() for one in found]
        assert in_title == sorted(in_title, reverse=True)
        assert 0 < sum(in_title) < len(found)
        begun = [one.started_at for one in found[: sum(in_title)]]
        assert begun == sorted(begun, reverse=True)
        assert all("[" in one.snippet for one in found)
        assert [one.id for one in search_archive(index, ["rapat", "an"], most=7)] == [one.id for one in found[:7]]
        since = found[0].started_at
        late = {one.id for one in found if one.started_at >= since}
        assert {one.id for one in search_archive(index, ["rapat", "an"], since=since, most=40)} == late


def test_a_recording_without_anything_is_indexed(tmp_path: Path) -> None:
    bare = msgspec.structs.replace(CAFE, title="Kosong", room="", office="")
    assert isinstance(bare, Recording)
    shelves.put(tmp_path / "arsip", bare)
    with ArchiveIndex(tmp_path / "arsip", tmp_path) as index:
        assert titles(index, "kosong") == titles(index) == ["Kosong"]
