"""`liput request` as staff and scripts use it, and sessions that carry a request."""

import csv
import io
import json
import stat
import threading
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import features
from agent.checks.context import planned_request
from agent.features import with_request
from agent.requests import lookup
from config.errors import DossierError, UsageError
from config.settings.office import RequestSettings
from config.settings.schema import Settings
from recorder.features.dossier import store
from recorder.features.dossier.store import Dossier, with_change
from recorder.package.request import RequestState
from recorder.session.request import SessionRequest
from tests.support import archives, command, dossiers
from tests.support.dossiers import PDF, picture
from tests.support.room import Room
from tests.support.sessions import faults

FIELDS = (
    "--event", "Seminar Nasional", "--applicant", "Dr. Siti Aminah", "--unit", "Fakultas Teknik",
    "--contact", "0812-3456", "--letter-number", "123/UN1/2026", "--letter-date", "20 November 2026",
    "--place", "Aula Lantai 2", "--starts", "1 Desember 2026 pukul 09.00", "--need", "Zoom", "--need", "YouTube",
)  # fmt: skip
RECEIVED = ("--received", "2026-11-23 08:00")


@pytest.fixture
def office(room: Room) -> Room:
    """Return a room whose office works by the SOP's hours, in WIB, with a letter and a sheet on the desk."""
    room.configure(f'[office]\ntime_zone = "WIB"\nholidays = ["2026-12-25"]\n[request]\npath = "{room.home}/dosir"\n')
    (room.home / "surat.pdf").write_bytes(PDF)
    (room.home / "lembar.jpg").write_bytes(picture())
    return room


def ask(office: Room, *words: str, status: int = 0) -> str:
    done = command.liput(office.home, "request", *words)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stdout if status == 0 else done.stderr


def document(office: Room, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(office, *words, "--json"))
    return found


@pytest.fixture
def key(office: Room) -> str:
    """Return the beginning of the UUID of a request that is in the office."""
    made = document(office, "new", *FIELDS, *RECEIVED, "--letter", "surat.pdf")
    return str(made["request"]["uuid"])[:8]


def test_the_way_of_a_request_through_the_office(office: Room, key: str) -> None:
    made = document(office, "show", key)
    assert made["id"].startswith("2026-11-23_seminar-nasional_")
    assert (made["stage"], made["holder"], made["complete"]) == ("new", "WR III", False)
    request = made["request"]
    assert (request["letter_date"], request["starts_at"]) == ("2026-11-20", "2026-12-01T09:00:00+07:00")
    assert request["needs"] == ["Zoom", "YouTube"]
    assert request["letters"][0]["name"] == "surat.pdf"

    ask(office, "receive", key, "--by", "Sekretaris", "--at", "2026-11-23 09:00")
    ask(office, "dispose", key, "--instruction", "Tindak lanjuti", "--by", "Prof. Rahmat", "--at", "2026-11-23 10:00",
        "--sheet", "lembar.jpg")  # fmt: skip
    said = ask(office, "dispose", key, "--at", "2026-11-23 11:30")
    assert "Kepala BPKH -> Koord. PKIH" in said
    ask(office, "dispose", key, "--to", "staf humas", "--at", "2026-11-23 11:35")
    ask(office, "assign", key, "--staff", "Budi", "--staff", "Sari", "--equipment", "kamera")
    ask(office, "assign", key, "--remove", "Sari")
    shown = document(office, "show", "123/UN1/2026")
    assert (shown["stage"], shown["holder"], shown["lacks"]) == ("assigned", "Staf Humas", ["recording"])
    assert [step["state"] for step in shown["steps"][:4]] == ["met", "met", "late", "met"]
    assert (shown["steps"][2]["late_s"], shown["steps"][3]["used_s"]) == (1800.0, 300.0)
    assert shown["steps"][4]["due_at"] == "2026-12-02T09:00:00+07:00"
    assert shown["request"]["staff"] == ["Budi"]
    assert shown["request"]["dispositions"][0]["sheets"] == ["surat/disposisi-1.jpg"]
    kinds = [change["kind"] for change in shown["request"]["history"]]
    assert kinds == ["created", "received", "disposed", "disposed", "disposed", "assigned", "assigned"]
    text = ask(office, "show", key)
    assert "3. Kepala BPKH -> Koord. PKIH passes it on: 1 h - late by 30m: done 2026-11-23 11:30" in text
    assert "no: without recording" in text


def test_an_armed_session_carries_its_request_and_what_becomes_of_it_until_it_ends(office: Room, key: str) -> None:
    source = ("--video", "synthetic", "--archive", office.archive, "--consent", "not-asked")
    armed = json.loads(told(office, "arm", "--request", key, *source, "--json"))
    assert (armed["state"], armed["title"]) == ("armed", "Seminar Nasional")
    assert (office.packages(), document(office, "show", key)["request"]["recordings"]) == ([], [])
    assert "Aminah" not in told(office, "status", "--json"), "whoever may watch need not know who asked"
    kept = [path for path in Path(armed["folder"]).rglob("*") if path.is_file() and b"Aminah" in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} <= {0o600}
    ask(office, "edit", key, "--starts", "besok 09.00")
    ask(office, "dispose", key, "--at", "2026-11-23 10:00", "--sheet", "lembar.jpg")
    told(office, "start", "--json")
    result = json.loads(told(office, "stop", "--json"))
    package = office.only_package()
    assert (result["package"], faults(result)) == (str(package), [])
    assert (package / "data/surat/permohonan-1.pdf").read_bytes() == PDF
    record = json.loads((package / "metadata/request.json").read_text())
    assert record["request"]["dispositions"][0]["sheets"] == ["data/surat/disposisi-1.jpg"]
    assert (package / "data/surat/disposisi-1.jpg").exists()
    assert [step["state"] for step in record["steps"]][4:] == ["met", "met"]
    archives.validate_bag(package)
    shown = document(office, "show", key)
    assert (shown["stage"], shown["lacks"]) == ("archived", ["dispositions", "staff", "check"])
    (known,), (enclosed,) = shown["request"]["recordings"], record["request"]["recordings"]
    assert known | {"archived_at": enclosed["archived_at"]} == enclosed
    assert known["archived_at"] >= enclosed["archived_at"], "the dossier has it later"
    live = [json.loads(line) for line in (package / "metadata/events.jsonl").read_text().splitlines()]
    assert shown["request"]["uuid"] in [event["detail"].get("request") for event in live]


def told(office: Room, *words: str | Path) -> str:
    done = command.liput(office.home, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_equipment_of_a_request_is_ticked_off_with_that_of_the_settings(office: Room, key: str) -> None:
    ask(office, "assign", key, "--equipment", "kamera", "--equipment", "tripod")
    done = command.liput(office.home, "check", "--quick", "--request", key, "--have", "kamera", "--json")
    assert json.loads(done.stdout)["title"] == "Seminar Nasional"
    found = {check["name"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}
    by_hand = {name: verdict for name, verdict in found.items() if name.startswith("by-hand")}
    assert by_hand == {"by-hand: tripod": "unchecked", "by-hand: cables": "unchecked", "by-hand: kamera": "ok"}


def test_lists_say_what_is_due_and_leave_out_what_is_over(office: Room, key: str) -> None:
    (line,) = json.loads(ask(office, "list", "--json"))
    assert (line["uuid"][:8], line["stage"], line["step"], line["late_steps"]) == (key, "new", 1, 1)
    assert line["late_s"] > 0
    assert "late by" in ask(office, "list", "--late")
    ask(office, "cancel", key, "--note", "narasumber sakit")
    assert ask(office, "list") == ""
    (line,) = json.loads(ask(office, "list", "--all", "--json"))
    assert (line["stage"], line["step"]) == ("cancelled", None)
    assert "is cancelled" in ask(office, "assign", key, "--staff", "Budi", status=2)
    ask(office, "reopen", key)
    ask(office, "close", key)
    assert "is closed already" in ask(office, "close", key, status=2)
    assert document(office, "show", key)["request"]["history"][1]["note"] == "narasumber sakit"


def test_what_was_wrong_is_corrected_and_kept(office: Room, key: str) -> None:
    shown = document(office, "edit", key, "--place", "Aula Lantai 1", "--clear", "contact", "--note", "renovasi")
    assert (shown["request"]["place"], shown["request"]["contact"]) == ("Aula Lantai 1", "")
    last = shown["request"]["history"][-1]
    assert last["fields"]["place"] == {"before": "Aula Lantai 2", "after": "Aula Lantai 1"}
    assert (last["note"], last["kind"]) == ("renovasi", "edited")
    assert "all of that was so" in ask(office, "edit", key, "--place", "Aula Lantai 1")
    assert "nothing is to be changed" in ask(office, "edit", key, status=2)
    ask(office, "dispose", key, "--at", "2026-11-23 10:00")
    ask(office, "dispose", key, "--withdraw", "--note", "salah ketik")
    shown = document(office, "attach", key, "lembar.jpg", "surat.pdf", "--kind", "disposition")
    assert shown["request"]["dispositions"] == []
    assert [letter["file"] for letter in shown["request"]["letters"]] == [
        "surat/permohonan-1.pdf",
        "surat/disposisi-1.jpg",
    ]
    assert [letter["kind"] for letter in shown["request"]["letters"]] == ["disposition", "disposition"]
    ask(office, "attach", key, "surat.pdf", "--kind", "request")
    shown = document(office, "attach", key, "lembar.jpg")
    assert [letter["kind"] for letter in shown["request"]["letters"]] == ["request", "disposition"]
    withdrawn = next(change for change in shown["request"]["history"] if change["kind"] == "withdrawn")
    assert withdrawn["fields"]["dispositions"]["before"][0]["to"] == "Kepala BPKH"


REFUSED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("new", "--event", " "), "the event is empty"),
    (("new", "--event", "x", "--starts", "nanti"), "must be a time"),
    (("new", "--event", "x", "--letter-number", "123/un1/2026"), "has the letter number"),
    (("show", "tidak-ada"), "No request in"),
    (("dispose", "KEY", "--to", "WR III"), "does not come after"),
    (("dispose", "KEY", "--at", "2026-11-20 09:00"), "before its arrival"),
    (("assign", "KEY", "--remove", "Budi"), '"Budi" is not assigned'),
    (("edit", "KEY", "--starts", "2026-12-01 09:00", "--ends", "2026-12-01 08:00"), "ends before it begins"),
    (("export", "."), "is a folder"),
)


def test_what_cannot_be_is_said_in_a_line_and_changes_nothing(office: Room, key: str) -> None:
    before = files(office)
    for words, said in REFUSED:
        done = command.liput(office.home, "request", *(key if word == "KEY" else word for word in words))
        assert done.returncode in {1, 2}, words
        assert said in done.stderr, words
        assert "Traceback" not in done.stderr
        assert files(office) == before, words


def files(office: Room) -> dict[Path, int]:
    """Return the files of all dossiers, locks left out, each with when it was changed."""
    found = (path for path in (office.home / "dosir").rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path: path.stat().st_mtime_ns for path in found}


# Handing on

SECRETS = (
    "Dr. Siti", "Aminah", "0812", "123/UN1", "Seminar", "Rahmat", "Tindak", "Budi", "Zoom", "surat.pdf", "renovasi",
)  # fmt: skip


def test_what_is_redacted_names_nobody_and_is_enough_to_count(office: Room, key: str, program: Path) -> None:
    ask(office, "dispose", key, "--instruction", "Tindak lanjuti", "--by", "Prof. Rahmat", "--at", "2026-11-23 10:00")
    ask(office, "assign", key, "--staff", "Budi", "--equipment", "kamera")
    ask(office, "edit", key, "--place", "Aula Lantai 1", "--note", "renovasi")
    package = archives.seal_one(archives.archive_at(office.archive), program, "Seminar Siti").id
    document(office, "link", key, package[-8:], "--archive", str(office.archive))
    ask(office, "export", "statistik.zip", "--redact")
    exported = office.home / "statistik.zip"
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    with zipfile.ZipFile(exported) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode() for name in names}
    assert sorted(names) == sorted([f"{key}/request.json", f"{key}/PERMOHONAN.txt", "requests.csv", "requests.json"])
    texts |= {"show": ask(office, "show", key, "--redact"), "list": ask(office, "list", "--redact", "--json")}
    texts["document"] = ask(office, "show", key, "--redact", "--json")
    found = [(name, secret) for name, text in texts.items() for secret in SECRETS if secret.lower() in text.lower()]
    assert found == []
    shown = json.loads(texts["document"])
    plain = document(office, "show", key)
    told = [[(step["state"], step["due_at"], step["done_at"]) for step in each["steps"]] for each in (shown, plain)]
    assert told[0] == told[1]
    assert (shown["stage"], shown["request"]["unit"]) == (plain["stage"], "Fakultas Teknik")
    assert len(shown["request"]["letters"]) == len(plain["request"]["letters"])
    (row,) = csv.DictReader(io.StringIO(texts["requests.csv"].removeprefix("\ufeff")))
    assert (row["unit"], row["stage"], row["applicant"]) == ("Fakultas Teknik", "archived", "[redacted]")


def test_an_export_has_the_letters_and_no_formula(office: Room, key: str) -> None:
    ask(office, "new", "--event", "=HYPERLINK(1)")
    assert document(office, "export", "semua.zip") == {"file": "semua.zip", "requests": 2, "left_out": []}
    assert "is there already" in ask(office, "export", "semua.zip", status=2)
    ask(office, "export", "semua.zip", key, "--force")
    identifier = document(office, "show", key)["id"]
    with zipfile.ZipFile(office.home / "semua.zip") as archive:
        assert archive.read(f"{identifier}/surat/permohonan-1.pdf") == PDF
        assert len(archive.read("requests.csv").splitlines()) == 2
    ask(office, "export", "semua.zip", "--force")
    with zipfile.ZipFile(office.home / "semua.zip") as archive:
        assert "'=HYPERLINK(1)" in archive.read("requests.csv").decode()


def test_a_damaged_dossier_is_said_and_the_others_are_listed(office: Room, key: str) -> None:
    broken = office.home / "dosir" / "2026-11-24_rusak_00000000"
    broken.mkdir()
    (broken / "request.json").write_text("{")
    done = command.liput(office.home, "request", "list", "--json")
    assert (done.returncode, [line["uuid"][:8] for line in json.loads(done.stdout)]) == (1, [key])
    assert "has unexpected content" in done.stderr
    done = command.liput(office.home, "request", "export", "semua.zip", "--json")
    exported = json.loads(done.stdout)
    assert (done.returncode, exported["requests"], len(exported["left_out"])) == (1, 1, 1)
    (letter,) = (office.home / "dosir").glob("*/surat/permohonan-1.pdf")
    letter.write_bytes(PDF + b"x")
    said = ask(office, "export", "satu.zip", key, status=1)
    assert f"not in it: {letter} has changed since it was added" in said


# The request of a session, found before it begins


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    return dossiers.made(tmp_path / "permohonan", tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(office=dossiers.OFFICE, request=RequestSettings(path=tmp_path / "permohonan"))


def test_a_session_takes_along_what_is_known_but_for_the_history(dossier: Dossier, settings: Settings) -> None:
    asked = with_request(SessionRequest(title=""), "3f2a", settings)
    assert asked.title == "Rapat Senat"
    assert with_request(SessionRequest(title="Sesi 2"), "3f2a", settings).title == "Sesi 2"
    assert asked.request
    assert (asked.request.folder, asked.request.office) == (str(dossier.folder), dossiers.OFFICE)
    assert asked.request.request == msgspec.structs.replace(dossier.read(), history=())


@pytest.mark.usefixtures("dossier")
def test_what_is_said_on_the_command_line_counts_before_the_plan(settings: Settings, tmp_path: Path) -> None:
    plan = tmp_path / "rapat.toml"
    given = with_request(SessionRequest(title=""), "3f2a", settings)
    for key, asked in (("tidak-ada", given), ("3f2a", SessionRequest(title=""))):
        plan.write_text(f'request = "{key}"')
        assert planned_request(plan, asked, settings)[0] == given
    assert planned_request(None, SessionRequest(title="x"), settings)[0] == SessionRequest(title="x")


def test_without_the_feature_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(features.FEATURES, "requests")
    assert with_request(SessionRequest(title="x"), None, Settings()) == SessionRequest(title="x")
    with pytest.raises(UsageError, match="no requests are kept here"):
        with_request(SessionRequest(title="x"), "3f2a", Settings())


def test_one_that_is_over_is_refused(dossier: Dossier, settings: Settings) -> None:
    dossier.change(lambda request: with_change(request, dossiers.RECEIVED, "closed", state=RequestState.CLOSED))
    with pytest.raises(UsageError, match="is closed"):
        with_request(SessionRequest(title=""), "3f2a", settings)


def test_a_disk_that_hangs_is_said_and_not_waited_for(
    dossier: Dossier, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(store, "read_file", lambda _: answers.wait() and b"")
    monkeypatch.setattr(lookup, "DOSSIER_ANSWER_S", 0.2)
    with pytest.raises(DossierError, match="does not answer") as caught:
        with_request(SessionRequest(title=""), dossiers.ID, settings)
    assert "without --request" in caught.value.hint
    answers.set()
