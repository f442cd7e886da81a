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

from config.errors import ArchiveError
from config.settings.office import Office
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.control.spec import RecorderSpec, decode_spec, encode_spec, encode_spec_for_disk
from recorder.disk.durable import DurableFiles
from recorder.features.dossier import packing, store
from recorder.features.dossier.packing import carry_letters
from recorder.features.dossier.store import Dossier, DossierStore, with_change
from recorder.package.metadata import Package, PackageState, Recording, SessionContext
from recorder.package.request import RequestRecord, StepState
from recorder.package.work_folder import REQUEST_FILE, WorkFolder, read_begun, write_begun
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from recorder.session.request import SessionRequest
from tests.support import archives, dossiers
from tests.support.killing import kill_at_every_step
from tests.support.schemas import REQUEST_SCHEMA
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

pytestmark = pytest.mark.computing

PROJECT = Path(__file__).parents[4]


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


def record_of(package: Package) -> RequestRecord:
    return msgspec.json.decode((package.folder / REQUEST_FILE).read_bytes(), type=RequestRecord)


def recording_of(package: Package) -> Recording:
    assert package.recording
    return package.recording


def test_the_package_has_the_letter_the_request_and_its_steps(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
    package = sealed(archive, program, dossiers.context_of(dossier))
    letter = package.folder / "data/surat/permohonan-1.pdf"
    assert letter.read_bytes() == dossiers.PDF
    assert {stat.S_IMODE(path.stat().st_mode) for path in (letter, package.folder / REQUEST_FILE)} == {0o600}
    record = record_of(package)
    assert [each.file for each in record.request.letters] == ["data/surat/permohonan-1.pdf"]
    assert (record.missing, len(record.steps), record.office.time_zone) == ((), 6, "WIB")
    assert [step.state for step in record.steps[4:]] == [StepState.LATE, StepState.MET]
    assert [change.kind for change in record.request.history] == ["created"]
    request = recording_of(package).request
    assert request is not None
    assert (request.id, request.applicant, request.letter_number) == (dossiers.ID, "Dr. Siti Aminah", "123/UN1/2026")
    assert recording_of(package).degraded == archives.FACTS.degraded
    assert archive.verify(package, decode=True) == []
    info = archives.validate_bag(package.folder)
    assert (info["Internal-Sender-Identifier"], info["Request-Applicant"]) == ("123/UN1/2026", "Dr. Siti Aminah")
    assert b"Dr. Siti Aminah" in (package.folder / "metadata/dublincore.xml").read_bytes()
    schema = json.loads(REQUEST_SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((package.folder / REQUEST_FILE).read_bytes())
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())


def test_the_dossier_knows_its_package_and_when_it_was_archived(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
    package = sealed(archive, program, dossiers.context_of(dossier))
    (recorded,) = dossier.read().recordings
    assert (recorded.package, recorded.path, recorded.uuid) == (package.id, package.path, package.uuid)
    assert recorded.archived_at == SimulatedClock().now()
    assert recorded.degraded == archives.FACTS.degraded
    assert [change.kind for change in dossier.read().history] == ["created", "recorded", "archived"]
    assert record_of(package).request.recordings == (recorded,)


def test_what_was_noted_while_it_was_recorded_is_in_the_package(
    archive: Archive, program: Path, dossier: Dossier, tmp_path: Path
) -> None:
    work = begun(archive, program, dossiers.context_of(dossier))
    sheet = dossiers.paper(tmp_path, "lembar.jpg", dossiers.picture())
    now = archives.STARTED + timedelta(seconds=1)
    (kept,) = dossier.keep([sheet], "disposition", (), now)
    given = dossiers.disposition("WR III", "Kepala BPKH", "2026-11-23 10:00", sheets=(kept.file,))
    dossier.change(
        lambda request: with_change(request, now, "disposed", dispositions=(given,), letters=(*request.letters, kept))
    )
    record = record_of(archive.seal(work, archives.FACTS))
    assert record.request.dispositions[0].sheets == ("data/surat/disposisi-1.jpg",)
    assert [step.state for step in record.steps[:2]] == [StepState.MET, StepState.MET]


def test_letters_are_copied_while_it_records_and_a_dossier_that_goes_costs_no_letter(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
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


def test_without_dossier_and_copies_it_is_sealed_with_what_was_taken_along(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
    context = dossiers.context_of(dossier)
    shutil.rmtree(dossier.folder)
    package = sealed(archive, program, context)
    missing = ("request-not-found", "letter-missing: surat/permohonan-1.pdf")
    assert record_of(package).missing == missing
    assert record_of(package).request.letters == ()
    assert recording_of(package).degraded == (*archives.FACTS.degraded, *missing)
    assert archive.verify(package) == []


def test_what_an_attempt_that_was_stopped_missed_is_forgotten_once_it_is_there(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
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


@pytest.mark.parametrize("file", ["surat/../../../../etc/passwd", "/etc/passwd", "surat/a/permohonan-1.pdf"])
def test_a_name_of_a_letter_leads_nowhere_else(archive: Archive, program: Path, dossier: Dossier, file: str) -> None:
    text = (dossier.folder / "request.json").read_text()
    (dossier.folder / "request.json").write_text(text.replace("surat/permohonan-1.pdf", file))
    package = sealed(archive, program, dossiers.context_of(dossier))
    assert record_of(package).missing == (f"letter-changed: {file}",)
    assert not (package.folder / "data/surat").exists()


def test_a_letter_that_was_changed_or_is_a_link_is_left_out(
    archive: Archive, program: Path, dossier: Dossier, tmp_path: Path
) -> None:
    context = dossiers.context_of(dossier)
    letter = dossier.folder / "surat/permohonan-1.pdf"
    letter.write_bytes(dossiers.PDF + b"x")
    assert record_of(sealed(archive, program, context)).missing == ("letter-changed: surat/permohonan-1.pdf",)
    letter.unlink()
    letter.symlink_to(tmp_path / "meja" / "surat.pdf")
    assert record_of(sealed(archive, program, context)).missing == ("letter-missing: surat/permohonan-1.pdf",)


@pytest.mark.parametrize("content", [b"{", b'{"id": "x"}', b"\xff\xfe", b""])
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
    taken = dossiers.context_of(dossier).request
    assert taken
    elsewhere = msgspec.structs.replace(taken, office=Office(time_zone="Mars/Olympus"))
    context = msgspec.structs.replace(archives.CONTEXT, request=elsewhere)
    assert record_of(sealed(archive, program, context)).steps == ()


def test_a_disk_that_hangs_is_not_waited_for(
    archive: Archive, program: Path, dossier: Dossier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = dossiers.context_of(dossier)
    answers = threading.Event()
    monkeypatch.setattr(store, "read_file", lambda _: answers.wait() and b"")
    monkeypatch.setattr(packing, "DOSSIER_ANSWER_S", 0.2)
    package = sealed(archive, program, context)
    assert recording_of(package).degraded == (
        *archives.FACTS.degraded, "request-not-found", "letter-missing: surat/permohonan-1.pdf",
    )  # fmt: skip
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


def test_what_a_recorder_is_asked_keeps_its_request(dossier: Dossier) -> None:
    """Through the pipe, and on the disk for whoever goes on after a kill."""
    asked = SessionRequest(title="Rapat", request=dossiers.context_of(dossier).request)
    assert decode_spec(encode_spec(RecorderSpec(asked=asked))).asked.request == asked.request
    assert decode_spec(encode_spec_for_disk(RecorderSpec(asked=asked))).asked.request == asked.request


# Recovery


def test_a_session_whose_recorder_was_killed_carries_its_request(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
    work = begun(archive, program, dossiers.context_of(dossier))
    work.release()  # as its recorder's death does
    assert read_begun(work.path).context.request == dossiers.context_of(dossier).request
    outcome = Recovery([archive], clock=SimulatedClock()).recover(find_unfinished([archive])[0])
    assert outcome.state is RecoveryState.SEALED, outcome
    (package,) = archive.list()
    assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
    assert record_of(package).missing == ()
    assert dossier.read().recordings[0].package == package.id


def test_parts_that_are_joined_keep_the_letters_of_a_dossier_that_is_gone(
    archive: Archive, program: Path, dossier: Dossier
) -> None:
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
    context = dossiers.context_of(dossier)
    assert context.request
    big = dossiers.PDF + b"%" * 20_000 + b"\n%%EOF"  # more than a header: it may not be taken for media
    work = archive.begin("Rapat Senat", archives.STARTED, context)
    (work.path / "data/surat").mkdir()
    (work.path / "data/surat/permohonan-1.pdf").write_bytes(big)
    archive.discard(work)
    assert not work.path.exists()
    assert dossier.read().recordings == ()


def test_a_kill_at_any_step_of_sealing_costs_the_package_no_letter(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "request")
    assert len(roots) > 40
    for root in roots:
        archive = archives.archive_at(root)
        (left,) = archive.list()
        package = left if left.state is PackageState.SEALED else archive.seal(archive.reopen(left.folder))
        assert (package.folder / "data/surat/permohonan-1.pdf").read_bytes() == dossiers.PDF
        assert record_of(package).missing == ()
        assert archive.verify(package) == []
        archives.validate_bag(package.folder)
        (recorded,) = DossierStore(root / "permohonan").dossier(dossiers.ID).read().recordings
        assert (recorded.package, recorded.archived_at is None) == (package.id, False)
        assert json.loads((package.folder / "metadata/recording.json").read_text())["request"]["id"] == dossiers.ID
