"""Dossiers and their papers on the disk: whole, private, readable without Liput, found by what people call them."""

import json
import os
import pwd
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path

import msgspec
import pytest

from config.errors import DossierError, StorageError, UsageError
from recorder.disk.durable import DurableFiles
from recorder.features.dossier.papers import make_paper, read_paper
from recorder.features.dossier.store import EVENTS_FILE, REQUEST_FILE, TEXT_FILE, Dossier, DossierStore, with_change
from recorder.package.request import LETTERS, RecordedSession
from tests.support import dossiers
from tests.support.dossiers import ID, LARGEST, PDF, RECEIVED, UUID, at, made, picture
from tests.support.errors import because
from tests.support.killing import keep_request, kill_at_every_step

LATER = RECEIVED + timedelta(hours=1)


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    return made(tmp_path / "permohonan", tmp_path)


def test_a_dossier_is_plain_files_that_nobody_else_can_read(tmp_path: Path) -> None:
    before = os.umask(0)  # whatever the umask lets through
    try:
        dossier = made(tmp_path / "permohonan", tmp_path)
    finally:
        os.umask(before)
    for path in (dossier.folder.parent, *dossier.folder.parent.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    known = json.loads((dossier.folder / REQUEST_FILE).read_text())
    assert (known["applicant"], known["letters"][0]["file"]) == ("Dr. Siti Aminah", "surat/permohonan-1.pdf")
    assert (dossier.folder / known["letters"][0]["file"]).read_bytes() == PDF
    text = (dossier.folder / TEXT_FILE).read_text()
    assert "Pemohon / Applicant" in text
    assert "Dr. Siti Aminah" in text
    assert "berjalan / under way, batas / due 2026-11-24 08:00" in text
    events = [json.loads(line) for line in (dossier.folder / EVENTS_FILE).read_text().splitlines()]
    assert [event["kind"] for event in events] == ["created"]


def test_every_change_is_kept_with_who_when_and_before(dossier: Dossier, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "rektor")  # whoever says so need not be
    dossier.change(lambda request: with_change(request, LATER, "edited", place="Aula 2", note="direnovasi"))
    last = dossier.read().history[-1]
    assert (last.kind, last.at, last.note) == ("edited", LATER, "direnovasi")
    assert last.who == f"{pwd.getpwuid(os.getuid()).pw_name}@{os.uname().nodename}"
    assert last.fields["place"].before == "Aula"
    assert last.fields["place"].after == "Aula 2"
    assert len((dossier.folder / EVENTS_FILE).read_text().splitlines()) == 2
    inode = (dossier.folder / REQUEST_FILE).stat().st_ino
    dossier.change(lambda request: with_change(request, LATER, "edited", place="Aula 2"))
    assert (dossier.folder / REQUEST_FILE).stat().st_ino == inode, "what changes nothing is not written"
    dossier.change(lambda request: with_change(request, LATER, "assigned", staff=("Budi", "Sari")))
    text = (dossier.folder / TEXT_FILE).read_text()
    assert f"{last.who}, direnovasi, Tempat / Place: Aula -> Aula 2\n" in text
    assert f"{last.who}, Petugas / Staff: - -> Budi + Sari\n" in text
    assert "2. WR III mendisposisikan kepada Kepala BPKH: 2 jam / WR III -> Kepala BPKH passes it on: 2 h" in text


def test_the_text_has_all_times_in_the_offices_zone_and_says_when_that_was_so(dossier: Dossier) -> None:
    """Whoever seals a session may run in UTC; the paper says WIB."""
    started = at("2026-12-01 09:00").astimezone(UTC)
    recorded = RecordedSession(
        package="2026-12-01_0900_rapat-senat_77b0c2e1", uuid="77b0c2e1", path="/arsip/x", title="Rapat Senat",
        started_at=started, ended_at=started + timedelta(hours=2), archived_at=started + timedelta(hours=3),
        ready=True,
    )  # fmt: skip
    noted_at = recorded.ended_at + timedelta(hours=1)
    dossier.change(lambda request: with_change(request, noted_at, "archived", recordings=(recorded,)))
    text = (dossier.folder / TEXT_FILE).read_text()
    for said in (
        "2026-12-01 09:00 - 11:00 2026-12-01_0900_rapat-senat_77b0c2e1 (pemeriksaan: siap / check: ready)",
        "WAKTU BAKU, keadaan 2026-12-01 12:00 / STANDARD TIMES, as of 2026-12-01 12:00",
        "selesai / done 2026-12-01 11:00",
        "2026-12-01 12:00  diarsipkan / archived ",
    ):
        assert said in text
    assert re.search("Semua waktu dalam / All times in +WIB\n", text)


def test_a_paper_is_kept_once_and_never_in_place_of_another(dossier: Dossier, tmp_path: Path) -> None:
    (dossier.folder / LETTERS / "permohonan-2.pdf").write_bytes(b"put there by hand")
    other = dossiers.paper(tmp_path, "lain.pdf", PDF + b"\n")
    letters = dossier.keep([dossiers.paper(tmp_path), other], "request", dossier.read().letters, LATER)
    assert [letter.file for letter in letters] == ["surat/permohonan-3.pdf"]
    assert (dossier.folder / LETTERS / "permohonan-2.pdf").read_bytes() == b"put there by hand"


@pytest.mark.parametrize("left", [None, PDF + b"x"])
def test_a_damaged_paper_is_put_back_when_attached_again(dossier: Dossier, tmp_path: Path, left: bytes | None) -> None:
    letter = dossier.folder / dossier.read().letters[0].file
    letter.unlink()
    if left is not None:
        letter.write_bytes(left)
    assert dossier.keep([dossiers.paper(tmp_path)], "request", dossier.read().letters, LATER) == ()
    assert letter.read_bytes() == PDF
    assert [path.name for path in letter.parent.iterdir()] == [letter.name]


def test_changes_of_many_at_once_are_all_kept(dossier: Dossier) -> None:
    def add(number: int) -> None:
        Dossier(dossier.folder).change(
            lambda request: with_change(request, LATER, "assigned", staff=(*request.staff, str(number)))
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    assert len(set(dossier.read().staff)) == 40
    assert len(dossier.read().history) == 41


def test_of_those_who_enter_one_letter_at_the_same_time_one_does(tmp_path: Path) -> None:
    said: list[str] = []
    there = threading.Barrier(4)

    def enter(digit: str) -> None:
        request = dossiers.request(id=f"2026-11-23_rapat_{digit * 8}", uuid=digit * 8)
        there.wait()
        try:
            said.append(DossierStore(tmp_path / "permohonan").add(request, [], RECEIVED, may_repeat=False).id)
        except UsageError as error:
            said.append(error.message)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, "1234"))
    (kept,) = DossierStore(tmp_path / "permohonan").ids()
    assert sorted(said) == sorted([kept, *[f"the request {kept} has the letter number 123/UN1/2026 already"] * 3])


def test_the_folders_above_are_on_the_disk_before_a_dossier_is(tmp_path: Path) -> None:
    """A power cut must not take the letter with a folder that nobody brought onto the disk."""
    steps: list[tuple[str, Path]] = []
    root = tmp_path / "arsip" / "biro" / "permohonan"
    Dossier(root / ID, DurableFiles(lambda step, path: steps.append((step, path)))).make(
        dossiers.request(), [], RECEIVED
    )
    synced = [path for step, path in steps if step == "sync"]
    assert synced[:3] == [tmp_path, tmp_path / "arsip", tmp_path / "arsip" / "biro"]
    assert synced[-2:] == [root, root]
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


# A kill at any moment


def test_a_kill_while_a_dossier_is_made_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    roots = kill_at_every_step(keep_request, tmp_path, "make")
    assert len(roots) > 8
    counts = []
    for root in roots:
        found, damaged = DossierStore(root / "permohonan").read()
        assert not damaged
        counts.append(len(found))
        assert all((root / "permohonan" / ID / each.letters[0].file).read_bytes() == PDF for each in found)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 1)


def test_a_kill_while_a_dossier_is_changed_leaves_it_as_it_was_or_as_it_should_be(tmp_path: Path) -> None:
    roots = kill_at_every_step(keep_request, tmp_path, "change")
    assert len(roots) > 8
    counts = []
    for root in roots:
        dossier = DossierStore(root / "permohonan").dossier(ID)
        request = dossier.read()
        counts.append(len(request.letters))
        assert all((dossier.folder / letter.file).stat().st_size == letter.bytes for letter in request.letters)
        dossier.change(lambda request: with_change(request, LATER, "edited", place="Aula 2"))
        lines = (dossier.folder / EVENTS_FILE).read_text().splitlines()
        assert len(lines) == len(request.history) + 1, "the next change makes up for what a kill came before"
        assert not list(dossier.folder.rglob(".*.part"))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 2)


def test_what_a_kill_left_half_made_goes_in_time(tmp_path: Path) -> None:
    left = tmp_path / "permohonan" / ".2026-11-23_lama_00000000.new"
    (left / LETTERS).mkdir(parents=True)
    os.utime(left, ((RECEIVED - timedelta(days=1)).timestamp(),) * 2)
    made(tmp_path / "permohonan", tmp_path)
    assert DossierStore(tmp_path / "permohonan").ids() == [ID]
    assert not left.exists()


def test_a_dossier_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "permohonan").write_text("a file")
    with pytest.raises(StorageError):
        made(tmp_path / "permohonan", tmp_path)
    assert (tmp_path / "permohonan").read_text() == "a file"


# Finding


def test_a_request_is_found_by_what_people_call_it(dossier: Dossier) -> None:
    for key in (ID.upper(), "2026-11-23", UUID, "3f2a", " 123/un1 /2026 ", str(dossier.folder)):
        assert DossierStore(dossier.folder.parent).find(key).folder == dossier.folder, key


@pytest.mark.parametrize("key", ["", "3f2b", "123/UN1", "a" * 300 + "/b"])
def test_what_means_no_request_is_an_error(dossier: Dossier, key: str) -> None:
    with pytest.raises(DossierError, match="is called", check=because("no-request")) as caught:
        DossierStore(dossier.folder.parent).find(key)
    assert len(caught.value.message) < 300


def test_what_means_several_is_an_error_that_names_them(dossier: Dossier) -> None:
    other = DossierStore(dossier.folder.parent).dossier("2026-11-23_wisuda_77b0c2e1")
    other.make(dossiers.request(id=other.id, uuid="77b0c2e1", event="Wisuda"), [], RECEIVED)
    for key in ("2026-11-23", "123/UN1/2026"):
        with pytest.raises(DossierError, match="means 2 requests", check=because("no-request")) as caught:
            DossierStore(dossier.folder.parent).find(key)
        assert other.id in caught.value.message
    with pytest.raises(DossierError, check=because("no-request")) as caught:
        DossierStore(dossier.folder.parent).find("Rapat")
    assert ID in caught.value.hint


def test_a_damaged_dossier_is_told_and_hides_no_other(dossier: Dossier) -> None:
    broken = dossier.folder.with_name("2026-11-24_rusak_00000000")
    broken.mkdir()
    (broken / REQUEST_FILE).write_text('{"id": 1')
    (dossier.folder.parent / "catatan").mkdir()  # somebody's own
    found, damaged = DossierStore(dossier.folder.parent).read()
    assert ([each.id for each in found], list(damaged)) == ([dossier.id], [broken.name])
    with pytest.raises(DossierError, match="has unexpected content"):
        Dossier(broken).read()


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"received_at": "2026-11-23T08:00:00+07:00"', '"received_at": "9999-12-31T23:00:00-07:00"'),
        ('"received_at": "2026-11-23T08:00:00+07:00"', '"received_at": "2026-11-23T08:00:00"'),
        ('"days": 1', '"days": 10000000'),
        pytest.param(
            '"fields": {', '"fields": {"x": {"before": ' + "[" * 200_000 + "]" * 200_000 + ', "after": 0}, ', id="deep"
        ),
    ],
)
def test_what_somebody_wrote_into_it_by_hand_is_read_or_refused(dossier: Dossier, written: str, instead: str) -> None:
    text = (dossier.folder / REQUEST_FILE).read_text()
    assert written in text
    (dossier.folder / REQUEST_FILE).write_text(text.replace(written, instead))
    with pytest.raises(DossierError, match="has unexpected content"):
        dossier.read()


def test_a_package_that_was_being_sealed_counts_once_it_is_there(dossier: Dossier, tmp_path: Path) -> None:
    """The note that it was sealed is lost when the recorder is killed right after the rename."""
    package = tmp_path / "2026-11-24_0900_rapat-senat_77b0c2e1"
    note = RecordedSession(
        package=package.name, uuid="77b0c2e1", path=str(package), title="Rapat", started_at=RECEIVED, ended_at=LATER
    )
    dossier.change(lambda request: with_change(request, LATER, "recorded", recordings=(note,)))
    assert dossier.read().recordings[0].archived_at is None
    package.mkdir()
    (package / "tagmanifest-sha256.txt").touch()
    os.utime(package / "tagmanifest-sha256.txt", (LATER.timestamp(),) * 2)
    assert dossier.read().recordings[0] == msgspec.structs.replace(note, archived_at=LATER)


# Papers


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("foto.txt", picture("JPEG"), "image/jpeg"),
        ("pindaian.pdf", picture("PNG"), "image/png"),
        ("dari printer", b"\x1b%-12345X@PJL\r\n" + PDF, "application/pdf"),
    ],
)
def test_a_paper_is_what_its_content_is(tmp_path: Path, name: str, content: bytes, media_type: str) -> None:
    (tmp_path / name).write_bytes(content)
    paper = read_paper(tmp_path / name, LARGEST)
    assert (paper.media_type, paper.content, paper.name) == (media_type, content, name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Kepada Yth. Wakil Rektor III", "neither a PDF nor"),
        (picture("GIF"), "neither a PDF nor"),
        (PDF[:-7], "a PDF that is cut off"),
        (picture("JPEG")[:400], "a damaged picture"),
        (PDF + bytes(LARGEST), "has 1.00 MB; a letter has 1.00 MB at most"),
    ],
)
def test_what_is_no_letter_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "surat.pdf"
    path.write_bytes(content)
    with pytest.raises(DossierError, match=reason) as caught:
        read_paper(path, LARGEST)
    assert caught.value.hint


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipa.pdf")
    for path in (tmp_path / "pipa.pdf", tmp_path, Path("/dev/zero")):
        with pytest.raises(DossierError, match=r"is not a file|Is a directory"):
            read_paper(path, LARGEST)
    with pytest.raises(DossierError, match="No such file"):
        read_paper(tmp_path / "tidak-ada.pdf", LARGEST)


def test_a_picture_that_unpacks_to_far_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    (tmp_path / "besar.png").write_bytes(picture("PNG"))
    with pytest.raises(DossierError, match="too large a picture"):
        read_paper(tmp_path / "besar.png", LARGEST)


def test_a_paper_that_was_sent_is_no_larger_than_one_that_is_read() -> None:
    with pytest.raises(DossierError, match=r"a letter has 1\.00 MB at most"):
        make_paper("besar.pdf", bytes(LARGEST + 1), LARGEST)
