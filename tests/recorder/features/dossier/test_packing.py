"""A session carries its request: into its work folder, into its package, and back into the dossier; whatever breaks."""

import json
import os
import shutil
import stat
import threading
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import jsonschema
import msgspec
import pytest

from config.errors import ArchiveError, DossierError, StorageError
from config.settings.office import Office
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive, read_recording
from recorder.archive.correction import edit_package
from recorder.disk.durable import DurableFiles
from recorder.features.dossier import packing, store
from recorder.features.dossier.linking import link_request
from recorder.features.dossier.packing import carry_letters, request_to_carry
from recorder.features.dossier.store import Dossier, DossierStore
from recorder.package.metadata import Package, PackageState, Recording, SessionContext
from recorder.package.request import CarriedRequest, RequestRecord, StepState
from recorder.package.work_folder import REQUEST_FILE, WorkFolder, write_begun
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, dossiers
from tests.support.archives import REQUEST_SCHEMA
from tests.support.killing import kill_at_every_step, seal
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

pytestmark = pytest.mark.computing


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    return dossiers.made(tmp_path / "arsip" / "permohonan", tmp_path / "meja")


def begun(archive: Archive, program: Path, context: SessionContext) -> WorkFolder:
    """Return the work folder of a session that has ended."""
    work = archive.begin("Rapat Senat", archives.STARTED, context)
    shutil.copyfile(program, work.program)
    return work


def sealed(archive: Archive, program: Path, context: SessionContext) -> Package:
    return archive.seal(begun(archive, program, context), archives.FACTS)


def recording_of(package: Package) -> Recording:
    assert package.recording
    return package.recording


def record_of(package: Package) -> RequestRecord:
    return msgspec.json.decode((package.folder / REQUEST_FILE).read_bytes(), type=RequestRecord)


def test_package_and_dossier_know_each_other(archive: Archive, program: Path, dossier: Dossier) -> None:
    package = sealed(archive, program, dossiers.context_of(dossier))
    letter = package.folder / "data/surat/permohonan-1.pdf"
    assert letter.read_bytes() == dossiers.PDF
    assert {stat.S_IMODE(path.stat().st_mode) for path in (letter, package.folder / REQUEST_FILE)} == {0o600}
    record = record_of(package)
    assert [each.file for each in record.request.letters] == ["data/surat/permohonan-1.pdf"]
    assert (record.missing, len(record.steps), record.office.time_zone) == ((), 6, "WIB")
    assert [step.state for step in record.steps[4:]] == [StepState.LATE, StepState.MET]
    assert [change.kind for change in record.request.history] == ["created"]
    (recorded,) = dossier.read().recordings
    assert (recorded.package, recorded.path, recorded.uuid) == (package.id, package.path, package.uuid)
    assert (recorded.archived_at, recorded.degraded) == (SimulatedClock().now(), archives.FACTS.degraded)
    assert [change.kind for change in dossier.read().history] == ["created", "recorded", "archived"]
    assert record.request.recordings == (recorded,)
    request = recording_of(package).request
    assert request is not None
    assert (request.id, request.applicant, request.letter_number) == (dossiers.ID, "Dr. Siti Aminah", "123/UN1/2026")
    assert recording_of(package).degraded == archives.FACTS.degraded
    assert archive.verify(package, decode=True) == []
    info = archives.validate_bag(package.folder)
    assert (info["Internal-Sender-Identifier"], info["Request-Applicant"]) == ("123/UN1/2026", "Dr. Siti Aminah")
    assert b"Dr. Siti Aminah" in (package.folder / "metadata/dublincore.xml").read_bytes()
    document, schema = (json.loads(file.read_bytes()) for file in (package.folder / REQUEST_FILE, REQUEST_SCHEMA))
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())


def test_a_dossier_that_goes_meanwhile_costs_no_letter(archive: Archive, program: Path, dossier: Dossier) -> None:
    context = dossiers.context_of(dossier)
    work = begun(archive, program, context)
    assert context.request
    carry_letters(work.path, context.request, SimulatedClock())()
    shutil.rmtree(dossier.folder)
    package = archive.seal(work, archives.FACTS)
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
    assert record_of(package).missing == ("request-not-found",)
    assert record_of(package).request.applicant == "Dr. Siti Aminah"
    assert recording_of(package).degraded == (*archives.FACTS.degraded, "request-not-found")
    archives.validate_bag(package.folder)
    assert not dossier.folder.exists()


def test_what_a_stopped_attempt_missed_is_forgotten(archive: Archive, program: Path, dossier: Dossier) -> None:
    work = begun(archive, program, dossiers.context_of(dossier))
    away = dossier.folder.rename(dossier.folder.with_name("away"))
    blocked = archive.root / "2026"
    blocked.write_text("a file in the place of the year")
    with pytest.raises(ArchiveError):
        archive.seal(work, archives.FACTS)
    write_begun(work.path, work.begun, DurableFiles())  # as if it had been stopped before it was removed
    blocked.unlink()
    away.rename(dossier.folder)
    package = archive.seal(work)
    assert record_of(package).missing == ()
    assert recording_of(package).degraded == archives.FACTS.degraded


@pytest.mark.parametrize("file", ["surat/../../../../etc/passwd", "/etc/passwd"])
def test_a_name_of_a_letter_leads_nowhere_else(archive: Archive, program: Path, dossier: Dossier, file: str) -> None:
    text = (dossier.folder / "request.json").read_text()
    (dossier.folder / "request.json").write_text(text.replace("surat/permohonan-1.pdf", file))
    package = sealed(archive, program, dossiers.context_of(dossier))
    assert record_of(package).missing == (f"letter-changed: {file}",)
    assert not (package.folder / "data/surat").exists()


def test_a_changed_letter_is_left_out(archive: Archive, program: Path, dossier: Dossier, tmp_path: Path) -> None:
    context = dossiers.context_of(dossier)
    letter = dossier.folder / "surat/permohonan-1.pdf"
    letter.write_bytes(dossiers.PDF + b"x")
    assert record_of(sealed(archive, program, context)).missing == ("letter-changed: surat/permohonan-1.pdf",)
    letter.unlink()
    letter.symlink_to(tmp_path / "meja" / "surat.pdf")
    assert record_of(sealed(archive, program, context)).missing == ("letter-missing: surat/permohonan-1.pdf",)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_a_damaged_dossier_costs_no_package(archive: Archive, program: Path, dossier: Dossier, content: bytes) -> None:
    context = dossiers.context_of(dossier)
    (dossier.folder / "request.json").write_bytes(content)
    package = sealed(archive, program, context)
    assert record_of(package).missing == ("request-not-found",)
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF


def test_a_dossier_that_cannot_be_written_is_told(archive: Archive, program: Path, dossier: Dossier) -> None:
    context = dossiers.context_of(dossier)
    (dossier.folder / ".request.json.part").mkdir()  # nothing can be written in its place
    package = sealed(archive, program, context)
    assert record_of(package).missing == ("request-not-noted",)
    assert recording_of(package).degraded[-1] == "request-not-noted"
    assert dossier.read().recordings == ()


def test_times_that_cannot_be_reckoned_with_cost_no_package(archive: Archive, program: Path, dossier: Dossier) -> None:
    taken = request_to_carry(dossier, dossier.read(), Office(time_zone="Mars/Olympus"))
    assert record_of(sealed(archive, program, msgspec.structs.replace(archives.CONTEXT, request=taken))).steps == ()


def test_a_disk_that_hangs_is_not_waited_for(
    archive: Archive, program: Path, dossier: Dossier, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = dossiers.context_of(dossier)
    answers = threading.Event()
    monkeypatch.setattr(store, "read_file", lambda _: answers.wait() and b"")
    monkeypatch.setattr(packing, "DOSSIER_ANSWER_S", 0.2)
    package = sealed(archive, program, context)
    missing = ("request-not-found", "letter-missing: surat/permohonan-1.pdf")
    assert recording_of(package).degraded == (*archives.FACTS.degraded, *missing)
    answers.set()


def test_copying_that_hangs_writes_nothing_once_it_was_given_up(
    archive: Archive, program: Path, dossier: Dossier, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = dossiers.context_of(dossier)
    assert context.request
    work = begun(archive, program, context)
    letter = dossier.folder / "surat/permohonan-1.pdf"
    monkeypatch.setattr(packing, "DOSSIER_ANSWER_S", 0.2)
    reading, writing = os.pipe()
    opened: list[str] = []
    real_open = os.open

    def slow_open(path: str, flags: int, mode: int = 0o777) -> int:
        if Path(path) == letter:
            os.read(reading, 1)
            opened.append(path)
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", slow_open)
    carry_letters(work.path, context.request, SystemClock())()
    os.write(writing, b"x")  # now the disk answers
    wait_for(lambda: opened, what="the letter that was waited for")
    assert not (work.path / "data/surat").exists(), "nothing is written any more"
    work.release()


# Recovery


def test_joined_parts_keep_the_letters_of_a_lost_dossier(archive: Archive, program: Path, dossier: Dossier) -> None:
    context = dossiers.context_of(dossier)
    assert context.request
    first = begun(archive, program, context)
    carry_letters(first.path, context.request, SimulatedClock())()
    second = archive.begin("Rapat Senat", archives.STARTED, context, uuid=UUID(first.begun.uuid), part=2, offset_s=3.0)
    shutil.copyfile(program, second.program)
    for work in (first, second):
        work.release()
    shutil.rmtree(dossier.folder)
    outcome = Recovery([archive], clock=SimulatedClock()).recover(find_unfinished([archive])[0])
    assert outcome.state is RecoveryState.SEALED, outcome
    (package,) = archive.list()
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
    assert len(recording_of(package).parts) == 2


def test_a_session_that_recorded_nothing_is_discarded_with_its_letters(archive: Archive, dossier: Dossier) -> None:
    work = archive.begin("Rapat Senat", archives.STARTED, dossiers.context_of(dossier))
    (work.path / "data/surat").mkdir()
    # More than a header: it may not be taken for media.
    (work.path / "data/surat/permohonan-1.pdf").write_bytes(dossiers.PDF + b"%" * 20_000 + b"\n%%EOF")
    archive.discard(work)
    assert not work.path.exists()
    assert dossier.read().recordings == ()


def test_a_kill_at_any_step_of_sealing_costs_the_package_no_letter(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step(seal, tmp_path, program, "request")
    assert len(roots) > 30
    for root in roots:
        archive = archives.archive_at(root)
        (left,) = archive.list()
        package = left if left.state is PackageState.SEALED else archive.seal(archive.reopen(left.folder))
        assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
        assert record_of(package).missing == ()
        assert archive.verify(package) == []
        (recorded,) = DossierStore(root / "permohonan").dossier(dossiers.ID).read().recordings
        assert (recorded.package, recorded.archived_at is None) == (package.id, False)
        assert json.loads((package.folder / "metadata/recording.json").read_text())["request"]["id"] == dossiers.ID


# A package that was recorded without its request gets it afterwards

NOW = archives.STARTED + timedelta(days=1)


def taken(dossier: Dossier) -> CarriedRequest:
    return request_to_carry(dossier, dossier.read(), dossiers.OFFICE, history=True)


def test_a_package_gets_its_request_afterwards(archive: Archive, package: Package, dossier: Dossier) -> None:
    media = package.folder / "data/media/program.mp4"
    before = media.stat()
    link_request(package.folder, taken(dossier), NOW)
    assert (media.stat().st_ino, media.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert archive.verify(archive.find(package.id), decode=True) == []
    archives.validate_bag(package.folder)
    letter = package.folder / "data/surat/permohonan-1.pdf"
    assert letter.read_bytes() == dossiers.PDF
    assert {stat.S_IMODE(path.stat().st_mode) for path in (letter, package.folder / REQUEST_FILE)} == {0o600}
    request = recording_of(archive.find(package.id)).request
    assert request
    assert (request.id, request.applicant) == (dossiers.ID, "Dr. Siti Aminah")
    (recorded,) = dossier.read().recordings
    assert (recorded.package, recorded.path, recorded.archived_at is None) == (package.id, package.path, False)
    assert record_of(package).request.recordings == (recorded,)
    assert [change.kind for change in record_of(package).request.history] == ["created"]
    last = json.loads((package.folder / "metadata/premis.jsonl").read_text().splitlines()[-1])
    assert last["eventType"] == "accession"
    other = dossier.folder.with_name("2026-11-23_wisuda_77b0c2e1")
    Dossier(other).make(dossiers.request(id=other.name, uuid="77b0c2e1-x"), [], dossiers.RECEIVED)
    with pytest.raises(ArchiveError, match="has a request already"):
        link_request(package.folder, taken(Dossier(other)), NOW)
    assert Dossier(other).read().recordings == ()


def test_practice_says_so_and_counts_for_no_request(archive: Archive, program: Path, dossier: Dossier) -> None:
    package = sealed(archive, program, msgspec.structs.replace(archives.CONTEXT, practice=True))
    assert package.practice
    assert "Ini latihan, bukan acara." in (package.folder / "BACA-SAYA.txt").read_text()
    with pytest.raises(ArchiveError, match="practice"):
        link_request(package.folder, taken(dossier), NOW)
    assert dossier.read().recordings == ()


def test_it_was_archived_when_it_was_sealed(archive: Archive, program: Path, dossier: Dossier) -> None:
    package = sealed(archive, program, msgspec.structs.replace(archives.CONTEXT, checked={"ready": True}))
    edit_package(package.folder, {"room": "Aula Barat"}, by=None, reason="", now=NOW)
    recorded = link_request(package.folder, taken(dossier), NOW)
    assert recorded.archived_at == SimulatedClock().now()
    assert recorded.ready is True
    assert record_of(package).steps[5].state is StepState.MET


def test_what_was_missing_when_it_was_sealed_is_put_into_it(archive: Archive, program: Path, dossier: Dossier) -> None:
    context = dossiers.context_of(dossier)
    away = dossier.folder.rename(dossier.folder.with_name("away"))
    package = sealed(archive, program, context)
    missing = ("request-not-found", "letter-missing: surat/permohonan-1.pdf")
    assert record_of(package).missing == missing
    assert recording_of(package).degraded == (*archives.FACTS.degraded, *missing)
    away.rename(dossier.folder)
    link_request(package.folder, taken(dossier), NOW)
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
    assert record_of(package).missing == ()
    assert read_recording(package.folder).degraded == archives.FACTS.degraded
    assert dossier.read().recordings[0].degraded == archives.FACTS.degraded
    assert archive.verify(archive.find(package.id)) == []
    archives.validate_bag(package.folder)
    with pytest.raises(ArchiveError, match="has a request already"):
        link_request(package.folder, taken(dossier), NOW)
    assert len(dossier.read().recordings) == 1


def test_a_package_that_its_dossier_lacks_is_noted_there(archive: Archive, package: Package, dossier: Dossier) -> None:
    (dossier.folder / ".request.json.part").mkdir()
    with pytest.raises(DossierError, match="lacks the package"):
        link_request(package.folder, taken(dossier), NOW)
    before = {path: path.stat().st_ino for path in package.folder.rglob("*")}
    assert package.folder / REQUEST_FILE in before
    (dossier.folder / ".request.json.part").rmdir()
    link_request(package.folder, taken(dossier), NOW)
    assert [recorded.package for recorded in dossier.read().recordings] == [package.id]
    assert {path: path.stat().st_ino for path in package.folder.rglob("*")} == before


def test_a_lost_letter_changes_nothing(archive: Archive, package: Package, dossier: Dossier, tmp_path: Path) -> None:
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
    assert dossier.keep([dossiers.paper(tmp_path)], "request", dossier.read().letters, NOW) == ()
    link_request(package.folder, taken(dossier), NOW)
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF


def test_its_report_has_the_request_too_and_is_for_nobody_else(
    archive: Archive, program: Path, dossier: Dossier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.features.report.page.print_pdf", archives.no_pdf)
    package = sealed(archive, program, archives.DERIVED)
    assert "Direkam tanpa surat permohonan" in (package.folder / "report.html").read_text()
    link_request(package.folder, taken(dossier), NOW)
    page = package.folder / "report.html"
    assert "Dr. Siti Aminah" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert archive.verify(package) == []
