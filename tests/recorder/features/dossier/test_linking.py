"""A package that was recorded without its request gets it afterwards."""

import contextlib
import json
import stat
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError, DossierError, StorageError
from recorder.archive.archive import Archive, read_recording
from recorder.archive.correction import edit_package
from recorder.features.dossier.linking import link_request
from recorder.features.dossier.packing import request_to_carry
from recorder.features.dossier.store import Dossier
from recorder.package.metadata import Package
from recorder.package.request import CarriedRequest, Request
from recorder.package.work_folder import REQUEST_FILE
from tests.support import archives, dossiers
from tests.support.killing import kill_at_every_step
from tests.support.simulated import SimulatedClock

PROJECT = Path(__file__).parents[4]
NOW = archives.STARTED + timedelta(days=1)


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    return dossiers.made(tmp_path / "permohonan", tmp_path / "meja")


def taken(dossier: Dossier) -> CarriedRequest:
    return request_to_carry(dossier, dossier.read(), dossiers.OFFICE, history=True)


def test_the_package_has_its_request_and_the_dossier_its_package(
    archive: Archive, package: Package, dossier: Dossier
) -> None:
    media = package.folder / "data/media/program.mp4"
    before = media.stat()
    link_request(package.folder, taken(dossier), NOW)
    assert (media.stat().st_ino, media.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert archive.verify(archive.find(package.id), decode=True) == []
    archives.validate_bag(package.folder)
    letter = package.folder / "data/surat/permohonan-1.pdf"
    assert letter.read_bytes() == dossiers.PDF
    assert {stat.S_IMODE(path.stat().st_mode) for path in (letter, package.folder / REQUEST_FILE)} == {0o600}
    document = json.loads((package.folder / REQUEST_FILE).read_bytes())
    assert [change["kind"] for change in document["request"]["history"]] == ["created"]
    recording = archive.find(package.id).recording
    assert recording
    assert recording.request
    assert (recording.request.id, recording.request.applicant) == (dossiers.ID, "Dr. Siti Aminah")
    (recorded,) = dossier.read().recordings
    assert (recorded.package, recorded.path) == (package.id, package.path)
    assert recorded.archived_at is not None
    assert document["request"]["recordings"][0]["uuid"] == package.uuid
    last = json.loads((package.folder / "metadata/premis.jsonl").read_text().splitlines()[-1])
    assert last["eventType"] == "accession"


def test_that_of_another_request_keeps_it(package: Package, dossier: Dossier) -> None:
    link_request(package.folder, taken(dossier), NOW)
    other = dossier.folder.with_name("2026-11-23_wisuda_77b0c2e1")
    Dossier(other).make(dossiers.request(id=other.name, uuid="77b0c2e1-x"), [], dossiers.RECEIVED)
    with pytest.raises(ArchiveError, match="has a request already"):
        link_request(package.folder, taken(Dossier(other)), NOW)
    assert Dossier(other).read().recordings == ()


def test_it_was_archived_when_it_was_sealed_whatever_was_done_to_it_since(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
    context = msgspec.structs.replace(archives.CONTEXT, checked={"ready": True})
    with archives.recorded(archive, program, context=context) as work:
        package = archive.seal(work, archives.FACTS)
    edit_package(package.folder, {"room": "Aula Barat"}, by=None, reason="", now=NOW)
    recorded = link_request(package.folder, taken(dossier), NOW)
    assert recorded.archived_at == SimulatedClock().now()
    assert recorded.ready is True
    sixth = json.loads((package.folder / REQUEST_FILE).read_bytes())["steps"][5]
    assert sixth["state"] == "met"


def test_what_was_missing_when_it_was_sealed_is_put_into_it(archive: Archive, program: Path, dossier: Dossier) -> None:
    context = dossiers.context_of(dossier)
    away = dossier.folder.rename(dossier.folder.with_name("away"))
    with archives.recorded(archive, program, context=context) as work:
        package = archive.seal(work, archives.FACTS)
    assert read_recording(package.folder).degraded[-1] == "letter-missing: surat/permohonan-1.pdf"
    away.rename(dossier.folder)
    link_request(package.folder, taken(dossier), NOW)
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
    record = json.loads((package.folder / REQUEST_FILE).read_bytes())
    assert (record["missing"], [change["kind"] for change in record["request"]["history"]]) == ([], ["created"])
    assert read_recording(package.folder).degraded == archives.FACTS.degraded
    assert dossier.read().recordings[0].degraded == archives.FACTS.degraded
    assert archive.verify(archive.find(package.id)) == []
    archives.validate_bag(package.folder)
    with pytest.raises(ArchiveError, match="has a request already"):
        link_request(package.folder, taken(dossier), NOW)
    assert len(dossier.read().recordings) == 1


def test_a_package_that_its_dossier_does_not_know_is_noted_and_stays_as_it_is(
    archive: Archive, package: Package, dossier: Dossier
) -> None:
    (dossier.folder / ".request.json.part").mkdir()
    with pytest.raises(DossierError, match="lacks the package"):
        link_request(package.folder, taken(dossier), NOW)
    before = {path: path.stat().st_ino for path in package.folder.rglob("*")}
    assert package.folder / REQUEST_FILE in before
    (dossier.folder / ".request.json.part").rmdir()
    link_request(package.folder, taken(dossier), NOW)
    assert [recorded.package for recorded in dossier.read().recordings] == [package.id]
    assert {path: path.stat().st_ino for path in package.folder.rglob("*")} == before


def test_a_letter_that_is_gone_or_changed_changes_nothing(archive: Archive, package: Package, dossier: Dossier) -> None:
    before = {path: path.stat().st_ino for path in package.folder.rglob("*")}
    letter = dossier.folder / "surat/permohonan-1.pdf"
    letter.write_bytes(dossiers.PDF + b"x")
    with pytest.raises(DossierError, match="has changed since it was added"):
        link_request(package.folder, taken(dossier), NOW)
    letter.unlink()
    with pytest.raises((ArchiveError, StorageError)):
        link_request(package.folder, taken(dossier), NOW)
    assert {path: path.stat().st_ino for path in package.folder.rglob("*")} == before
    assert archive.verify(package) == []
    assert dossier.read().recordings == ()
    dossier.change(lambda request: _attached_again(dossier, request))
    link_request(package.folder, taken(dossier), NOW)
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF


def _attached_again(dossier: Dossier, request: Request) -> Request:
    assert dossier.keep([dossiers.paper(dossier.folder.parent / "meja")], "request", request.letters, NOW) == ()
    return request


def test_its_report_has_the_request_too_and_is_for_nobody_else(
    archive: Archive, program: Path, dossier: Dossier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.features.report.page.print_pdf", archives.no_pdf)
    with archives.recorded(archive, program, context=archives.DERIVED) as work:
        package = archive.seal(work, archives.FACTS)
    assert "Direkam tanpa surat permohonan" in (package.folder / "report.html").read_text()
    link_request(package.folder, taken(dossier), NOW)
    page = package.folder / "report.html"
    assert "Dr. Siti Aminah" in page.read_text()
    assert "Waktu pelayanan terhadap standar" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert archive.verify(package) == []


def test_a_kill_at_any_step_leaves_what_the_same_command_completes(tmp_path: Path, program: Path) -> None:
    office = tmp_path / "kantor.office"
    archives.seal_one(archives.archive_at(office), program)
    dossiers.made(office / "permohonan", tmp_path / "meja")
    roots = kill_at_every_step("killed_clerk", tmp_path / "kantor", "link")
    assert len(roots) > 30
    known = []
    for root in roots:
        archive, dossier = archives.archive_at(root), Dossier(root / "permohonan" / dossiers.ID)
        (left,) = archive.list()
        assert archive.verify(left) == []
        known.append((left.folder / REQUEST_FILE).exists() + len(dossier.read().recordings))
        with contextlib.suppress(ArchiveError):  # it was done already
            link_request(left.folder, taken(dossier), NOW)
        (package,) = archive.list()
        assert archive.verify(package) == []
        archives.validate_bag(package.folder)
        assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
        assert (dossier.folder / "surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
        assert [(each.package, each.archived_at is None) for each in dossier.read().recordings] == [(package.id, False)]
    assert known == sorted(known)
    assert set(known) == {0, 1, 2}, "killed before the package has it, before the dossier knows it, and not at all"
