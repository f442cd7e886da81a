"""Listing an archive, and finding what an id means."""

import errno
import os
import shutil
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from config.errors import ArchiveError, ErrorCause, PackageNotFound, StorageError
from recorder.archive.archive import Archive, read_package
from recorder.disk.durable import DurableFiles
from recorder.package.metadata import Begun, Package, PackageState
from recorder.package.work_folder import BEGUN_FILE, session_start_of
from tests.support import archives
from tests.support.errors import because


def test_an_archive_that_is_not_there_is_empty(archive: Archive) -> None:
    assert list(archive.list()) == []
    assert not archive.root.exists()


def test_a_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, check=because("unwritable")):
        archives.archive_at(tmp_path / "file").list()


def test_sealed_unfinished_and_damaged_are_told_apart(archive: Archive, program: Path, package: Package) -> None:
    broken = archives.seal_one(archive, program, "Rapat rusak")
    (broken.folder / "metadata" / "recording.json").write_text("{}")
    with archives.recorded(archive, program, "Rapat yang berjalan") as work:
        listed = {listed.id: listed for listed in archive.list()}
        assert {name: entry.state for name, entry in listed.items()} == {
            package.id: PackageState.SEALED,
            broken.id: PackageState.DAMAGED,
            work.name: PackageState.UNFINISHED,
        }
    assert listed[package.id] == package
    assert listed[package.id].bytes == sum(path.stat().st_size for path in package.folder.rglob("*") if path.is_file())
    assert (listed[work.name].title, listed[work.name].uuid) == ("Rapat yang berjalan", work.begun.uuid)
    assert (listed[broken.id].title, listed[broken.id].uuid) == (broken.id, broken.uuid)


def test_the_length_of_an_unfinished_recording_runs_to_its_last_write(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        last = archives.STARTED.timestamp() + 90.5
        os.utime(work.program, (last, last))
        assert archive.list()[0].duration_s == 90.5


def test_what_is_not_ours_is_left_out(archive: Archive, package: Package, tmp_path: Path) -> None:
    (archive.root / "lost+found").mkdir()
    (archive.root / "2026" / "notes.txt").touch()
    (archive.root / "2026" / "11" / ".Trash").mkdir()
    (archive.root / "2026" / "11" / "link").symlink_to(tmp_path)
    (archive.root / "2025").symlink_to(archive.root / "2026")
    assert [listed.id for listed in archive.list()] == [package.id]


def test_a_package_answers_to_name_uuid_path_and_their_beginnings(archive: Archive, package: Package) -> None:
    keys = (package.id, package.id[:20], package.uuid, package.uuid[:8], package.id[-8:], package.uuid.upper())
    for key in (*keys, package.path, f"{package.path}/"):
        assert archive.find(key) == package, key


def test_only_what_may_be_meant_is_read(
    archive: Archive, program: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = archives.seal_one(archive, program, "Wisuda")
    other = archives.seal_one(archive, program, "Seminar")
    by_hand = renamed.folder.rename(renamed.folder.with_name("wisuda dari ponsel"))
    looked: list[str] = []
    real = read_package

    def read(folder: Path) -> Package:
        looked.append(folder.name)
        return real(folder)

    monkeypatch.setattr("recorder.archive.archive.read_package", read)
    for key in (package.id, package.id[:22], package.uuid, package.uuid[:6], str(package.folder)):
        looked.clear()
        assert archive.find(key).id == package.id
        assert other.id not in looked, key
    assert archive.find(renamed.uuid).id == by_hand.name
    swapped = other.folder.rename(other.folder.with_name(f"{other.id[:-8]}00000000"))
    assert archive.find(other.uuid).id == swapped.name, "what is called like another is found all the same"


def test_a_beginning_that_means_several_names_them(archive: Archive, program: Path, package: Package) -> None:
    other = archives.seal_one(archive, program)
    with pytest.raises(PackageNotFound, match="means 2 packages") as caught:
        archive.find("2026-11-24")
    assert package.id in caught.value.message
    assert other.id in caught.value.message


@pytest.mark.parametrize("key", ["2026-11-24_0900_rapat-sena_", "rapat senat", "RAPAT-SENAT", "../2026", "/etc"])
def test_a_package_that_is_not_there_is_not_found(archive: Archive, package: Package, key: str) -> None:
    with pytest.raises(PackageNotFound) as caught:
        archive.find(key)
    assert caught.value.hint
    if "rapat" in key.lower():
        assert package.id in caught.value.hint


@pytest.mark.parametrize("key", ["", "\x1b[31m", "\udcff"])
def test_odd_ids_find_nothing_and_print_nothing_odd(archive: Archive, package: Package, key: str) -> None:
    with pytest.raises(PackageNotFound) as caught:
        archive.find(key)
    assert "\x1b" not in caught.value.message
    assert caught.value.message.encode()
    assert package.folder.is_dir()


ODD_TITLES = [
    "a/b/c",
    "../../../etc/passwd",
    "Wisuda 🎓",
    "x" * 300,
    "kontrol \x00\x07\x1b[31m",
    "dua\nbaris",
    "  ",
    "",
    "\udcff bukan UTF-8",
    "100% ﷽",
]


def test_a_work_folder_is_ready_to_record_into(archive: Archive) -> None:
    work = archive.begin("Rapat Senat", archives.STARTED, archives.CONTEXT)
    assert work.path.parent == archive.root / ".incoming"
    assert work.name.startswith("2026-11-24_0900_rapat-senat_")
    assert work.program.parent.is_dir()
    assert work.program.relative_to(work.path) == Path("data/media/program.mp4")
    assert work.events.read_bytes() == b""
    begun = msgspec.json.decode((work.path / BEGUN_FILE).read_bytes(), type=Begun)
    assert begun == work.begun
    assert (begun.title, begun.started_at, begun.context) == ("Rapat Senat", archives.STARTED, archives.CONTEXT)
    work.release()


def test_a_further_part_has_a_folder_of_its_own_and_says_whose_part_it_is(archive: Archive) -> None:
    first = archive.begin("Rapat Senat", archives.STARTED)
    assert (first.begun.part, first.begun.offset_s) == (1, 0.0)
    second = archive.begin("Rapat Senat", archives.STARTED, uuid=UUID(first.begun.uuid), part=2, offset_s=61.5)
    assert second.name == f"{first.name}.2"
    assert session_start_of(second.path) == session_start_of(first.path)
    begun = msgspec.json.decode((second.path / BEGUN_FILE).read_bytes(), type=Begun)
    assert (begun.uuid, begun.part, begun.offset_s) == (first.begun.uuid, 2, 61.5)
    first.release()
    second.release()


@pytest.mark.parametrize("title", ODD_TITLES)
def test_no_title_leads_out_of_the_archive(archive: Archive, title: str) -> None:
    work = archive.begin(title, archives.STARTED)
    assert sorted(archive.root.iterdir()) == [archive.root / ".incoming"]
    assert sorted((archive.root / ".incoming").iterdir()) == [work.path]
    assert len(work.begun.title) == len(title)
    work.release()


def test_equal_titles_at_the_same_minute_get_folders_of_their_own(archive: Archive) -> None:
    works = [archive.begin("Rapat", archives.STARTED) for _ in range(3)]
    assert len({work.path for work in works}) == 3
    for work in works:
        work.release()


def test_a_start_without_an_offset_is_a_mistake_of_the_program(archive: Archive) -> None:
    with pytest.raises(ValueError, match="offset"):
        archive.begin("Rapat", datetime(2026, 11, 24, 9, 0))  # noqa: DTZ001 - the mistake


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize(("code", "why"), [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EROFS, "read-only")])
def test_a_disk_that_fails_at_the_beginning_leaves_nothing(
    tmp_path: Path, step: int, code: int, why: ErrorCause
) -> None:
    left = iter(range(step, -1, -1))

    def fail(_step: str, path: Path) -> None:
        if next(left) == 0:
            raise OSError(code, os.strerror(code), str(path))

    with pytest.raises(StorageError, check=because(why)):
        archives.archive_at(tmp_path / "new" / "arsip", DurableFiles(fail)).begin("Rapat", archives.STARTED)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_recording_is_discarded_without_a_trace(archive: Archive) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    work.program.touch()
    work.events.write_text("{}\n")
    archive.discard(work)
    assert list(archive.root.iterdir()) == []


def test_a_header_without_a_frame_is_no_recording(archive: Archive) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    work.program.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08free")
    archive.discard(work)
    assert not work.path.exists()


@pytest.mark.parametrize("keep", [None, 20_000])
def test_a_recording_is_never_discarded(archive: Archive, program: Path, keep: int | None) -> None:
    """Neither a whole one nor one that lost its index and does not open any more."""
    work = archive.begin("Rapat", archives.STARTED)
    content = program.read_bytes()[:keep]
    work.program.write_bytes(content)
    with pytest.raises(ArchiveError, match="holds a recording"):
        archive.discard(work)
    assert work.program.read_bytes() == content
    work.release()


def test_a_folder_in_use_is_not_taken_over(archive: Archive) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    (package,) = archive.list()
    with pytest.raises(ArchiveError, match="still being recorded"):
        archive.reopen(package.folder)
    work.release()
    taken = archive.reopen(package.folder)
    assert (taken.path, taken.begun) == (work.path, work.begun)
    taken.release()


def test_a_folder_that_lost_its_notes_is_still_sealed(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        (work.path / BEGUN_FILE).write_bytes(b"")
        work.release()
        (unfinished,) = archive.list()
        assert (unfinished.state, unfinished.title) == (PackageState.UNFINISHED, work.name)
        sealed = archive.seal(archive.reopen(unfinished.folder))
    assert sealed.title == work.name
    assert sealed.recording
    assert sealed.recording.degraded == ("interrupted",)
    assert archive.verify(sealed) == []


def test_an_archive_on_a_disk_that_vanished_says_so(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        shutil.rmtree(archive.root)
        with pytest.raises(StorageError, match="Cannot write", check=because("unwritable")):
            archive.seal(work, archives.FACTS)
