"""Correcting what a package says: the media stay the very same files, what was said before stays readable."""

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError, PackageBusy, PackageDamaged, PackageNotFound, StorageError
from recorder.archive.archive import Archive, package_folders, packages, read_recording
from recorder.archive.correction import EDITABLE_FIELDS, add_files, edit_package
from recorder.disk.durable import DurableFiles
from recorder.disk.package_locks import package_lock
from recorder.package import bag
from recorder.package.documents import MetadataChange
from recorder.package.fixity import Progress
from recorder.package.metadata import Addition, Package, PackageState, RequestFacts
from recorder.package.verification import verify_package
from tests.support import archives
from tests.support.archives import STARTED, snapshot
from tests.support.damage import MEDIA, flip, rewrite
from tests.support.errors import because
from tests.support.killing import DISKS, WithoutExchange, WithoutLinks, change_package

pytestmark = pytest.mark.computing


def correct(package: Package, disk: DurableFiles | None = None, **wanted: str | date) -> tuple[MetadataChange, ...]:
    fields = {name.replace("__", "."): value for name, value in wanted.items()}
    return edit_package(package.folder, fields, by="Siti", reason="salah ketik", now=STARTED, disk=disk)


def test_a_correction_changes_the_description_and_no_byte_of_the_media(archive: Archive, package: Package) -> None:
    manifest = (package.folder / bag.MANIFEST_FILE).read_bytes()
    inode = (package.folder / MEDIA).stat().st_ino
    changes = correct(package, title="Rapat Senat Terbuka", records__classification="HM.01", room="Balairung")
    assert changes == (
        MetadataChange("title", "Rapat Senat", "Rapat Senat Terbuka"),
        MetadataChange("records.classification", "", "HM.01"),
        MetadataChange("room", "Aula", "Balairung"),
    )
    (corrected,) = archive.list()
    assert (corrected.id, corrected.uuid, corrected.title) == (package.id, package.uuid, "Rapat Senat Terbuka")
    assert (corrected.folder / bag.MANIFEST_FILE).read_bytes() == manifest
    assert (corrected.folder / MEDIA).stat().st_ino == inode
    assert archive.verify(corrected, decode=True) == []
    info = archives.validate_bag(corrected.folder)
    assert (info["External-Description"], info["Records-Classification"]) == ("Rapat Senat Terbuka", "HM.01")
    assert "Rapat Senat Terbuka" in (corrected.folder / "metadata" / "dublincore.xml").read_text()
    for readme in ("BACA-SAYA.txt", "README.txt"):
        assert (corrected.folder / readme).read_text().startswith("Rapat Senat Terbuka\n")


def test_what_it_said_before_can_be_proved(package: Package) -> None:
    before = snapshot(package.folder)
    correct(package, title="Kedua")
    correct(package, title="Ketiga")
    history = package.folder / "metadata" / "history"
    first = {str(path.relative_to(history / "0001")): path.read_bytes() for path in (history / "0001").rglob("*.*")
             if path.is_file()}  # fmt: skip
    assert {path: before[path] for path in first} == first
    listed = bag.read_manifest(first[bag.TAG_MANIFEST_FILE])
    for path, digest in listed.items():
        content = first.get(path, (package.folder / path).read_bytes())
        assert hashlib.sha256(content).hexdigest() == digest, path
    second = msgspec.json.decode((history / "0002" / "metadata" / "recording.json").read_bytes())
    assert second["title"] == "Kedua"
    events = [
        msgspec.json.decode(line) for line in (package.folder / "metadata/premis.jsonl").read_bytes().splitlines()
    ]
    assert [event["eventType"] for event in events[-2:]] == ["metadata modification"] * 2
    assert events[-1]["changes"] == [{"field": "title", "old": "Kedua", "new": "Ketiga"}]
    assert [agent["agentName"] for agent in events[-1]["linkingAgent"]] == ["Siti", "Liput"]
    assert "salah ketik" in events[-1]["eventDetail"]


def test_every_field_can_be_corrected(archive: Archive, package: Package) -> None:
    wanted: dict[str, str | date] = {field: f"nilai {number}" for number, field in enumerate(EDITABLE_FIELDS)}
    wanted |= {"consent.state": "given", "request.letter_date": date(2026, 11, 2)}
    changes = edit_package(package.folder, wanted, by=None, reason="", now=STARTED)
    assert {change.field for change in changes} == set(EDITABLE_FIELDS)
    (corrected,) = archive.list()
    assert corrected.recording
    recording = corrected.recording
    assert recording.consent.noted_at == STARTED
    assert isinstance(recording.request, RequestFacts)
    assert recording.request.letter_date == date(2026, 11, 2)
    assert archive.verify(corrected) == []
    before = snapshot(package.folder)
    assert edit_package(package.folder, wanted, by=None, reason="", now=STARTED) == ()
    assert snapshot(package.folder) == before


def test_marks_are_replaced_and_slides_stay_among_their_chapters(archive: Archive, package: Package) -> None:
    slide = {"start_s": 1.5, "title": "Salindia 1", "source": "slide", "text": "", "thumbnail": None}
    path = package.folder / "metadata" / "recording.json"
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"chapters": [slide]}))
    rewrite(package.folder)

    def set_marks(*marks: tuple[float, str]) -> list[tuple[float, str]]:
        edit_package(package.folder, {}, marks=marks, by="Siti", reason="", now=STARTED)
        recording = read_recording(package.folder)
        assert [(mark.media_s, mark.text) for mark in recording.marks] == sorted(marks)
        assert all(mark.at == recording.started_at + timedelta(seconds=mark.media_s) for mark in recording.marks)
        return [(chapter.start_s, chapter.title) for chapter in recording.chapters]

    assert set_marks((2.0, "Tanya"), (0.5, "Buka")) == [(0.5, "Buka"), (1.5, "Salindia 1"), (2.0, "Tanya")]
    assert set_marks((2.0, "Jawab")) == [(1.5, "Salindia 1"), (2.0, "Jawab")]
    assert set_marks() == [(1.5, "Salindia 1")]
    assert archive.verify(archive.find(package.id)) == []
    for wrong in ((1.0, " "), (-1.0, "Buka")):
        with pytest.raises(ArchiveError, match=r"mark has no text|marks"):
            set_marks(wrong)


def test_a_package_needs_a_title(package: Package) -> None:
    with pytest.raises(ArchiveError, match="empty"):
        correct(package, title="\x1b\n")


def test_fields_of_a_newer_version_are_kept(archive: Archive, package: Package) -> None:
    path = package.folder / "metadata" / "recording.json"
    path.write_text(path.read_text().replace('"office"', '"subtitles": ["id", "en"],\n  "office"', 1))
    info = package.folder / "bag-info.txt"
    info.write_text(info.read_text() + "Contact-Name: Humas\n")
    rewrite(package.folder)
    correct(package, title="Terbuka")
    assert msgspec.json.decode(path.read_bytes())["subtitles"] == ["id", "en"]
    assert "Contact-Name: Humas" in info.read_text()
    assert archive.verify(archive.find(package.id)) == []


def test_modes_of_files_and_folders_stay(package: Package) -> None:
    (package.folder / "metadata" / "recording.json").chmod(0o640)
    (package.folder / "metadata" / "devices.json").chmod(0o600)
    (package.folder / "metadata").chmod(0o750)
    correct(package, title="Terbuka")
    modes = {name: (package.folder / name).stat().st_mode & 0o777
             for name in ("metadata", "metadata/recording.json", "metadata/devices.json")}  # fmt: skip
    assert modes == {"metadata": 0o750, "metadata/recording.json": 0o640, "metadata/devices.json": 0o600}


def test_a_copy_finds_media_that_have_changed(package: Package) -> None:
    """Where media have to be read to be copied, a bit that has flipped in them is found."""
    flip(package.folder)
    before = snapshot(package.folder)
    with pytest.raises(PackageDamaged, match=r"program\.mp4 is changed"):
        correct(package, WithoutLinks(), title="Terbuka")
    assert snapshot(package.folder) == before


@pytest.mark.parametrize(("what", "how"), [("edit", "exchange"), ("add", "renames")])
def test_a_correction_does_not_vouch_for_media_that_have_changed(
    archive: Archive, package: Package, what: str, how: str
) -> None:
    """Media are given a second name and not read: their checksums have to be those of the sealing."""
    flip(package.folder)
    listed = bag.read_manifest((package.folder / bag.MANIFEST_FILE).read_bytes())
    change_package(archive.root, what, DISKS[how](lambda _step, _path: None))
    assert bag.read_manifest((package.folder / bag.MANIFEST_FILE).read_bytes()).items() >= listed.items()
    assert [(problem.file, problem.kind) for problem in verify_package(package.folder)] == [(MEDIA, "changed")]


def test_a_copy_that_the_disk_did_not_keep_takes_no_place(package: Package) -> None:
    """Where media had to be copied, the only good ones are removed afterwards."""
    before = snapshot(package.folder)

    def forget(step: str, path: Path) -> None:
        if (step, path.name) == ("write", bag.TAG_MANIFEST_FILE):
            flip(path.parent)

    with pytest.raises(PackageDamaged, match="does not read back"):
        correct(package, WithoutLinks(forget), title="Terbuka")
    assert snapshot(package.folder) == before
    assert not list(package.folder.parent.glob(".*"))


def test_a_copy_without_room_is_refused_before_it_begins(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(package.folder)._replace(free=1000)
    monkeypatch.setattr("recorder.archive.package_draft.shutil.disk_usage", lambda _path: usage)
    steps: list[str] = []
    with pytest.raises(StorageError, match="needs a copy", check=because("full")):
        correct(package, WithoutLinks(lambda step, _path: steps.append(step)), title="Terbuka")
    assert "copy" not in steps


def failing_at(number: int, failed: list[str]) -> Callable[[str, Path], None]:
    """Return what lets the disk be full at the step of that number, and from then on."""
    count = itertools.count()

    def fail(step: str, path: Path) -> None:
        if next(count) >= number and step != "unlink":
            failed.append(step)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return fail


@pytest.mark.usefixtures("no_syncs")
@pytest.mark.parametrize("how", ["exchange", "renames"])
def test_a_full_disk_costs_the_attempt_only(archive: Archive, package: Package, how: str) -> None:
    before, inode = snapshot(package.folder), (package.folder / MEDIA).stat().st_ino
    for number in itertools.count():
        failed: list[str] = []
        try:
            correct(package, DISKS[how](failing_at(number, failed)), title="Terbuka")
        except StorageError:
            assert failed
        (seen,) = archive.list()
        assert archive.verify(seen) == []
        if seen.title == "Terbuka":
            break
        assert snapshot(package.folder) == before
        assert not list(package.folder.parent.glob(".*"))
    assert number > 20
    assert (package.folder / MEDIA).stat().st_ino == inode
    assert not list(package.folder.parent.glob(".*"))


@pytest.mark.parametrize("how", ["exchange", "copies"])
def test_everything_is_on_the_disk_before_it_takes_the_place(package: Package, how: str) -> None:
    steps: list[tuple[str, Path]] = []
    new = package.folder.with_name(f".{package.id}.new")
    correct(package, DISKS[how](lambda step, path: steps.append((step, path))), title="Terbuka")
    placed = steps.index(("exchange", package.folder))
    synced = {path: number for number, (step, path) in enumerate(steps[:placed]) if step == "sync"}
    changed = {path: number for number, (step, path) in enumerate(steps[:placed]) if step in {"link", "copy", "rename"}}
    assert len(changed) > 15
    for path, number in changed.items():
        assert all(synced[above] > number for above in path.parents if above.is_relative_to(new)), path
    assert all(path.with_name(f".{path.name}.part") in synced for step, path in steps[:placed] if step == "write")
    if how == "exchange":
        assert steps[placed + 1] == ("sync", package.folder.parent)


def test_a_listing_between_the_two_renames_misses_nothing(archive: Archive, package: Package) -> None:
    looked: list[list[Package]] = []

    def look(step: str, path: Path) -> None:
        if step == "rename" and path == package.folder:
            looked.append(packages(archive.root))
            looked.append(list(archive.list()))  # which must not put right what is being worked on
            assert package_folders(archive.root) == []

    correct(package, WithoutExchange(look), title="Terbuka")
    assert [[(one.id, one.title, one.state) for one in packages] for packages in looked] == [
        [(package.id, "Rapat Senat", "sealed")]
    ] * 2
    assert archive.find(package.id).title == "Terbuka"


def test_a_package_that_is_read_is_not_changed_and_the_other_way_round(archive: Archive, package: Package) -> None:
    with package_lock(package.folder, alone=False), package_lock(package.folder, alone=False):
        assert verify_package(package.folder) == []
        with pytest.raises(PackageBusy, match="another Liput"):
            correct(package, title="Terbuka")
    with package_lock(package.folder, alone=True), pytest.raises(PackageBusy, match="being changed"):
        archive.verify(package)
    tried: list[str] = []

    def try_it(step: str, _path: Path) -> None:
        if step == "unlink":  # while the former package is removed, whoever opens the name finds it taken
            with pytest.raises(PackageBusy):
                archive.verify(package)
            tried.append(step)

    correct(package, DurableFiles(try_it), title="Terbuka")
    assert tried
    assert archive.verify(package) == []


def test_a_package_that_is_gone_is_not_found(package: Package) -> None:
    shutil.rmtree(package.folder)
    with pytest.raises(PackageNotFound):
        correct(package, title="Terbuka")


def test_a_package_whose_media_are_elsewhere_waits_for_them(archive: Archive, package: Package) -> None:
    media, listed = package.folder / MEDIA, package.folder / bag.TAG_MANIFEST_FILE
    fetch = f"- {media.stat().st_size} {MEDIA}\n".encode()
    (package.folder / bag.FETCH_FILE).write_bytes(fetch)
    digests = bag.read_manifest(listed.read_bytes()) | {bag.FETCH_FILE: hashlib.sha256(fetch).hexdigest()}
    listed.write_bytes(bag.manifest_text(digests))
    media.unlink()
    assert archive.find(package.id).state is PackageState.ELSEWHERE
    before = snapshot(archive.root)
    with pytest.raises(ArchiveError, match="kept elsewhere") as caught:
        correct(package, title="Terbuka")
    assert f"liput archive fetch {package.id} --from " in caught.value.hint, "without it that is refused"
    assert snapshot(archive.root) == before


def test_a_report_says_what_was_corrected_and_looks_as_before(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.features.report.page.print_pdf", lambda page: b"%PDF-" + page)
    with archives.recorded(archive, program, context=archives.DERIVED) as work:
        package = archive.seal(work, archives.FACTS)
    before = (package.folder / "report.html").read_text()
    correct(package, title="Rapat Senat Terbuka", request__applicant="Dr. Siti")
    after = (package.folder / "report.html").read_text()
    assert "Rapat Senat Terbuka" in after
    assert "Dr. Siti" in after
    assert after.count("Staf Humas") == before.count("Staf Humas") > 0
    assert (package.folder / "report.pdf").read_bytes() == b"%PDF-" + after.encode()
    assert archive.verify(package) == []
    archives.validate_bag(package.folder)


PHOTO = b"\xff\xd8\xff\xe1Exif" + bytes(range(256)) * 40


def hand_in(
    package: Package, *sources: Path, progress: Progress | None = None, disk: DurableFiles | None = None
) -> tuple[list[Addition], list[tuple[Path, str]]]:
    return add_files(package.folder, sources, note="dari ponsel", by="Siti", now=STARTED, progress=progress, disk=disk)


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
        ("Daftar Hadir.PDF", "daftar-hadir.pdf"), (".bashrc", "bashrc"), ("☕", "berkas"), ("a\nb.txt", "a-b.txt"),
        ("x" * 200 + ".pptx", "x" * 60 + ".pptx"),
    ],
)  # fmt: skip
def test_names_are_safe_everywhere(archive: Archive, package: Package, tmp_path: Path, name: str, stored: str) -> None:
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


@pytest.mark.timeout(120)
def test_only_files_are_taken(archive: Archive, package: Package, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(file(tmp_path, "secret"))
    os.mkfifo(tmp_path / "pipe")
    photo = file(tmp_path, "foto.jpg")
    for named in ("folder", "link", "pipe", "nothing"):
        with pytest.raises(ArchiveError):
            hand_in(package, photo, tmp_path / named)
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
