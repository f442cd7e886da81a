"""Files that come after the session: copied as they are, under safe names, beside what is there."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from config.errors import ArchiveError, PackageDamaged, StorageError
from recorder.archive.archive import Archive
from recorder.archive.correction import TRANSCRIPT_FOLDER, add_files
from recorder.disk.durable import DurableFiles
from recorder.package import bag
from recorder.package.fixity import Progress
from recorder.package.metadata import Addition, Package
from tests.support import archives
from tests.support.archives import STARTED
from tests.support.damage import MEDIA, flip
from tests.support.errors import because

PHOTO = b"\xff\xd8\xff\xe1Exif" + bytes(range(256)) * 40


def hand_in(package: Package, *sources: Path, place: str = "data/tambahan/", progress: Progress | None = None,
            disk: DurableFiles | None = None) -> tuple[list[Addition], list[tuple[Path, str]]]:  # fmt: skip
    return add_files(package.folder, sources, place=place, note="dari ponsel", by="Siti", now=STARTED,
                     progress=progress, disk=disk)  # fmt: skip


def file(folder: Path, name: str, content: bytes = PHOTO) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_photo_is_added_as_it_is(archive: Archive, package: Package, tmp_path: Path) -> None:
    photo = file(tmp_path, "Foto Aula (1).JPG")
    os.utime(photo, (1_700_000_000, 1_700_000_000))
    manifest = bag.read_manifest((package.folder / bag.MANIFEST_FILE).read_bytes())
    (added,), known = hand_in(package, photo)
    assert known == []
    assert added == Addition(
        file="data/tambahan/foto-aula-1.jpg", name="Foto Aula (1).JPG", bytes=len(PHOTO), added_at=STARTED,
        note="dari ponsel",
    )  # fmt: skip
    stored = package.folder / added.file
    assert stored.read_bytes() == PHOTO == photo.read_bytes()
    assert stored.stat().st_mtime == 1_700_000_000
    assert bag.read_manifest((package.folder / bag.MANIFEST_FILE).read_bytes()) == manifest | {
        added.file: hashlib.sha256(PHOTO).hexdigest()
    }
    (corrected,) = archive.list()
    assert corrected.recording
    assert corrected.recording.additions == (added,)
    assert archive.verify(corrected, decode=True) == []
    info = archives.validate_bag(package.folder)
    sizes = [path.stat().st_size for path in (package.folder / "data").rglob("*") if path.is_file()]
    assert info["Payload-Oxum"] == f"{sum(sizes)}.{len(sizes)}"
    assert "data/tambahan/" in (package.folder / "BACA-SAYA.txt").read_text()
    assert b'"accession"' in (package.folder / "metadata" / "premis.jsonl").read_bytes().splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("IMG_0012.JPG", "img-0012.jpg"), ("Daftar Hadir.pdf", "daftar-hadir.pdf"), ("..", "berkas"),
        (".bashrc", "bashrc"), ("CON", "con"), ("café ☕.tar.gz", "cafe-tar.gz"), ("☕", "berkas"),
        ("x" * 200 + ".pptx", "x" * 60 + ".pptx"), ("a\nb.txt", "a-b.txt"), ("-rf", "rf"), ("%2e%2e", "2e-2e"),
    ],
)  # fmt: skip
def test_names_are_safe_everywhere(archive: Archive, package: Package, tmp_path: Path, name: str, stored: str) -> None:
    if name == "..":
        with pytest.raises(ArchiveError, match="is a folder"):
            hand_in(package, tmp_path / "..")
        return
    (added,), _ = hand_in(package, file(tmp_path, name))
    assert (added.file, added.name) == (f"data/tambahan/{stored}", name)
    assert archive.verify(archive.find(package.id)) == []


def test_nothing_is_overwritten(archive: Archive, package: Package, tmp_path: Path) -> None:
    (tmp_path / "lain").mkdir()
    first, second = file(tmp_path, "foto.jpg", b"satu"), file(tmp_path / "lain", "FOTO.JPG", b"dua")
    hand_in(package, first)
    (added,), _ = hand_in(package, second)
    assert added.file == "data/tambahan/foto-2.jpg"
    assert (package.folder / "data/tambahan/foto.jpg").read_bytes() == b"satu"
    assert archive.verify(archive.find(package.id)) == []


def test_what_is_there_already_is_not_added_again(package: Package, tmp_path: Path, program: Path) -> None:
    photo = file(tmp_path, "foto.jpg")
    hand_in(package, photo)
    tag_manifest = (package.folder / bag.TAG_MANIFEST_FILE).read_bytes()
    added, known = hand_in(package, photo, program)
    assert (added, known) == ([], [(photo, "data/tambahan/foto.jpg"), (program, MEDIA)])
    assert (package.folder / bag.TAG_MANIFEST_FILE).read_bytes() == tag_manifest
    added, known = hand_in(package, photo, file(tmp_path, "baru.txt", b"baru"), file(tmp_path, "sama.txt", b"baru"))
    assert [one.name for one in added] == ["baru.txt"]
    assert known == [(photo, "data/tambahan/foto.jpg"), (tmp_path / "sama.txt", "data/tambahan/baru.txt")]


def test_a_good_copy_of_a_file_that_has_changed_in_the_package_is_not_said_to_be_there(
    package: Package, tmp_path: Path, program: Path
) -> None:
    again = tmp_path / "rekaman.mp4"
    shutil.copyfile(program, again)
    flip(package.folder)
    with pytest.raises(PackageDamaged, match=r"program\.mp4 is changed"):
        hand_in(package, again)
    assert not list(package.folder.parent.glob(".*"))


def test_a_transcript_has_its_place(archive: Archive, package: Package, tmp_path: Path) -> None:
    (added,), _ = hand_in(package, file(tmp_path, "rapat.vtt", b"WEBVTT\n"), place=TRANSCRIPT_FOLDER)
    assert added.file == "data/transcript/rapat.vtt"
    assert archive.verify(archive.find(package.id)) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", ["folder", "link", "pipe", "device", "nothing"])
def test_only_files_are_taken(archive: Archive, package: Package, tmp_path: Path, what: str) -> None:
    named = tmp_path / "named"
    if what == "folder":
        named.mkdir()
    elif what == "link":
        named.symlink_to(file(tmp_path, "secret"))
    elif what == "pipe":
        os.mkfifo(named)
    elif what == "device":
        named = Path("/dev/null")
    with pytest.raises(ArchiveError):
        hand_in(package, file(tmp_path, "foto.jpg"), named)
    assert not (package.folder / "data" / "tambahan").exists(), "all or nothing"
    assert archive.verify(archive.find(package.id)) == []


@pytest.mark.timeout(120)
def test_what_becomes_a_link_while_it_is_added_is_not_followed(package: Package, tmp_path: Path) -> None:
    photo, secret = file(tmp_path, "foto.jpg"), file(tmp_path, "secret", b"secret")

    def swap(step: str, _path: Path) -> None:
        if step == "copy":
            photo.unlink()
            photo.symlink_to(secret)

    with pytest.raises(ArchiveError, match="is a link"):
        hand_in(package, photo, disk=DurableFiles(swap))
    assert not (package.folder / "data" / "tambahan").exists()


def test_a_file_that_is_still_written_is_refused(package: Package, tmp_path: Path) -> None:
    growing = file(tmp_path, "rekaman.mp4", bytes(3_000_000))

    def grow(_done: int, _total: int) -> None:
        with growing.open("ab") as more:
            more.write(b"more")

    with pytest.raises(ArchiveError, match="changes while it is read"):
        hand_in(package, growing, progress=grow)
    assert not (package.folder / "data" / "tambahan").exists()


def test_files_without_room_are_refused_before_anything_is_copied(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(package.folder)._replace(free=10_000_100)
    monkeypatch.setattr("recorder.archive.correction.shutil.disk_usage", lambda _path: usage)
    steps: list[str] = []
    with pytest.raises(StorageError, match="The files take", check=because("full")):
        hand_in(package, file(tmp_path, "foto.jpg"), disk=DurableFiles(lambda step, _path: steps.append(step)))
    assert steps == []


def test_progress_reaches_the_total(package: Package, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    hand_in(package, file(tmp_path, "foto.jpg", bytes(5_000_000)), progress=lambda *told: calls.append(told))
    assert calls == sorted(calls)
    assert calls[-1] == (10_000_000, 10_000_000), "copied, and read back"
