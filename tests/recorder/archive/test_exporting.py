"""Handing over: one ZIP file, which is the package and nothing less, or an excerpt of it and nothing more."""

import errno
import os
import shutil
import stat
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError, StorageError
from recorder.archive.archive import Archive, read_recording
from recorder.archive.correction import TRANSCRIPT_FOLDER, add_files, edit_package
from recorder.archive.exporting import excerpt_files, package_files, write_zip
from recorder.disk.durable import publishing
from recorder.package.metadata import Package, Recording
from recorder.package.verification import verify_package
from tests.support import archives, dossiers
from tests.support.archives import STARTED
from tests.support.damage import MEDIA
from tests.support.errors import because

PERSONAL = ("Siti Aminah", "B/12/UN38", "moderator Budi", "daftar-hadir", "Daftar Hadir", "salah ketik")


@pytest.fixture
def rich(package: Package, tmp_path: Path) -> Package:
    """Make a package with all that is personal: a request, consent, files handed in, a history."""
    wanted: dict[str, str | date] = {
        "request.applicant": "Siti Aminah", "request.letter_number": "B/12/UN38", "request.event": "Sidang",
        "request.letter_date": date(2026, 11, 2), "consent.state": "given", "consent.note": "moderator Budi",
    }  # fmt: skip
    edit_package(package.folder, wanted, by="Siti Aminah", reason="salah ketik", now=STARTED)
    (tmp_path / "Daftar Hadir.pdf").write_bytes(b"%PDF- Siti Aminah")
    (tmp_path / "rapat.vtt").write_bytes(b"WEBVTT\n")
    add_files(package.folder, [tmp_path / "Daftar Hadir.pdf"], by="Siti Aminah", now=STARTED)
    add_files(package.folder, [tmp_path / "rapat.vtt"], by="Siti Aminah", now=STARTED, place=TRANSCRIPT_FOLDER)
    return package


def unpacked(path: Path, folder: Path) -> Path:
    """Unpack with the unzip that there is, not with what has packed it."""
    subprocess.run(["python3", "-m", "zipfile", "-e", path, folder], check=True, timeout=60)
    (root,) = folder.iterdir()
    return root


def test_the_whole_package_comes_out_as_it_went_in(rich: Package, tmp_path: Path) -> None:
    target = tmp_path / "serah.zip"
    write_zip(package_files(rich.folder), rich.id, target)
    out = unpacked(target, tmp_path / "out")
    assert out.name == rich.id
    assert archives.snapshot(out) == archives.snapshot(rich.folder)
    archives.validate_bag(out)
    assert verify_package(out, decode=True) == []
    with zipfile.ZipFile(target) as zipped:
        assert zipped.testzip() is None
        kinds = {entry.filename.endswith(".mp4"): entry.compress_type for entry in zipped.infolist()}
    assert kinds == {True: zipfile.ZIP_STORED, False: zipfile.ZIP_DEFLATED}
    assert list(tmp_path.glob(".*")) == []


def test_letters_are_for_their_owner_in_what_is_handed_over_too(
    archive: Archive, program: Path, tmp_path: Path
) -> None:
    context = dossiers.context_of(dossiers.made(tmp_path / "permohonan", tmp_path / "meja"))
    with archives.recorded(archive, program, context=context) as work:
        package = archive.seal(work, archives.FACTS)
    modes = {}
    name, files = excerpt_files(package.folder, STARTED)
    for target, root, found in (("semua.zip", package.id, package_files(package.folder)), ("kutipan.zip", name, files)):
        write_zip(found, root, tmp_path / target)
        modes[target] = stat.S_IMODE((tmp_path / target).stat().st_mode)
    os.umask(umask := os.umask(0))
    assert modes == {"semua.zip": 0o600, "kutipan.zip": 0o666 & ~umask}
    with zipfile.ZipFile(tmp_path / "semua.zip") as zipped:
        private = {
            entry.filename.partition("/")[2] for entry in zipped.infolist() if entry.external_attr >> 16 & 0o077 == 0
        }
    assert private == {"data/surat/permohonan-1.pdf", "metadata/request.json"}


def test_nothing_is_written_where_a_planted_link_leads(tmp_path: Path) -> None:
    """In a folder that others may write to: before it is made, and while it is written."""
    victim, part = tmp_path / "victim", tmp_path / ".surat.zip.part"
    victim.write_bytes(b"secret")
    for plant in (part.symlink_to, part.hardlink_to, lambda _: os.mkfifo(part)):
        plant(victim)
        with publishing(tmp_path / "surat.zip", 0, replace=True) as path:
            path.write_bytes(b"whole")
        assert ((tmp_path / "surat.zip").read_bytes(), victim.read_bytes()) == (b"whole", b"secret")
    meanwhile = pytest.raises(ArchiveError, match=r"surat.zip was removed meanwhile")
    with meanwhile, publishing(tmp_path / "surat.zip", 0, replace=True) as path:
        part.unlink()
        part.symlink_to(victim)
        path.write_bytes(b"half")
    assert ((tmp_path / "surat.zip").read_bytes(), victim.read_bytes()) == (b"whole", b"secret")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["surat.zip", "victim"]


def test_an_excerpt_is_a_package_without_a_word_about_persons(rich: Package, tmp_path: Path) -> None:
    name, files = excerpt_files(rich.folder, STARTED)
    write_zip(files, name, tmp_path / "kutipan.zip")
    out = unpacked(tmp_path / "kutipan.zip", tmp_path / "out")
    archives.validate_bag(out)
    assert verify_package(out, decode=True) == []
    for path in (path for path in out.rglob("*") if path.is_file() and path.suffix != ".mp4"):
        assert [word for word in PERSONAL if word.encode() in path.read_bytes()] == [], path
    described = read_recording(out)
    assert described.excerpt_of == rich.uuid != described.uuid
    assert out.name == name != rich.id
    assert described.request
    assert (described.request.event, described.request.applicant) == ("Sidang", "")
    assert (described.consent.state, described.consent.note) == ("given", "")
    assert [one.file for one in described.additions] == ["data/transcript/rapat.vtt"]
    assert (out / MEDIA).read_bytes() == (rich.folder / MEDIA).read_bytes()
    assert not {"tambahan", "surat", "history"} & {path.name for path in out.rglob("*")}
    assert rich.uuid in (out / "bag-info.txt").read_text()
    assert "kutipan" in (out / "BACA-SAYA.txt").read_text()
    assert "an excerpt" in (out / "README.txt").read_text()


def test_what_a_package_may_hold_one_day_stays_out_of_an_excerpt(archive: Archive, program: Path) -> None:
    """So do the names of folders and letters: a disk is mounted below its owner's name."""
    reasons = "source-lost: podium", "storage-failed: /media/siti/USB", "letter-missing: surat/siti.pdf"
    with archives.recorded(archive, program, "Rapat") as work:
        for path in ("data/surat/permohonan.pdf", "data/laporan/report.html", "metadata/request.json"):
            (work.path / path).parent.mkdir(parents=True, exist_ok=True)
            (work.path / path).write_bytes(b"Siti Aminah")
        package = archive.seal(work, msgspec.structs.replace(archives.FACTS, degraded=reasons))
    assert verify_package(package.folder) == []
    files = {one.path: one for one in excerpt_files(package.folder, STARTED)[1]}
    assert [path for path in files if path.startswith("data/")] == [MEDIA, "data/poster.jpg"]
    assert "metadata/request.json" not in files
    with files["metadata/recording.json"].open() as file:
        recording = msgspec.json.decode(file.read(), type=Recording)
    assert recording.degraded == ("source-lost: podium", "storage-failed", "letter-missing")


def test_nothing_is_overwritten(package: Package, tmp_path: Path) -> None:
    target = tmp_path / "ada.zip"
    target.write_bytes(b"milik orang lain")
    with pytest.raises(ArchiveError, match="is there already"):
        write_zip(package_files(package.folder), package.id, target)
    with pytest.raises(ArchiveError, match="is there already"), publishing(tmp_path / "baru.zip", 1):
        (tmp_path / "baru.zip").write_bytes(b"orang lain")  # comes there while ours is written
    assert (target.read_bytes(), (tmp_path / "baru.zip").read_bytes()) == (b"milik orang lain", b"orang lain")
    with publishing(tmp_path / "satu.zip", 1) as part:
        part.write_bytes(b"satu")
        with pytest.raises(ArchiveError, match="being written"), publishing(tmp_path / "satu.zip", 1):
            pass
    assert (tmp_path / "satu.zip").read_bytes() == b"satu"
    assert list(tmp_path.glob(".*.part")) == []


def test_what_a_kill_has_left_is_not_written_into(tmp_path: Path) -> None:
    left = tmp_path / ".satu.zip.part"
    left.write_bytes(bytes(10_000))
    left.chmod(0o666)
    with left.open("rb") as watching, publishing(tmp_path / "satu.zip", 1, mode=0o600) as part:
        part.write_bytes(b"rahasia")
        assert b"rahasia" not in watching.read()
    assert (tmp_path / "satu.zip").stat().st_mode & 0o777 == 0o600
    with publishing(tmp_path / "satu.zip", 1, replace=True) as part:
        part.write_bytes(b"dua")
    assert (tmp_path / "satu.zip").read_bytes() == b"dua"


def test_a_disk_that_fills_up_leaves_nothing(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    whole = package_files(package.folder)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", full)
        with pytest.raises(StorageError, check=because("full")):
            write_zip(whole, package.id, tmp_path / "satu.zip")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("recorder.disk.durable.shutil.disk_usage", lambda _path: usage)
    with pytest.raises(StorageError, match="less is free", check=because("full")):
        write_zip(whole, package.id, tmp_path / "dua.zip")
    assert list(tmp_path.glob("*.zip")) == list(tmp_path.glob(".*.part")) == []


def test_what_does_not_read_back_is_not_handed_over(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = zipfile.ZipFile.close

    def close(self: zipfile.ZipFile) -> None:
        is_open = self.fp is not None
        real(self)
        path = Path(str(self.filename))
        if is_open and self.mode == "w" and path.stat().st_size > 20_000:
            content = bytearray(path.read_bytes())
            content[10_000] ^= 1
            path.write_bytes(content)

    monkeypatch.setattr(zipfile.ZipFile, "close", close)
    with pytest.raises(ArchiveError, match="does not read back"):
        write_zip(package_files(package.folder), package.id, tmp_path / "satu.zip")
    assert list(tmp_path.glob("*.zip")) == list(tmp_path.glob(".*.part")) == []
