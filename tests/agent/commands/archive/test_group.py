"""`liput archive` as people and scripts use it."""

import io
import json
import os
import re
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pypdf
import pytest

from recorder.archive.archive import Archive
from recorder.package import fixity
from recorder.package.metadata import Package
from tests.support import archives, command, shelves
from tests.support.copies import flip
from tests.support.damage import MEDIA
from tests.support.room import Room
from tests.support.terminal import Terminal


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)


@pytest.fixture
def coloured(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program, "Rapat\x1b[31m Senat")


class Archivist:
    """Runs `liput archive` on one archive."""

    def __init__(self, home: Path, root: Path) -> None:
        self.home = home
        self._root = root
        self.status = 0
        self.errors = ""

    def __call__(self, name: str, *words: str | Path, **more: str) -> str:
        """Return what a command prints; its exit status and what it says on standard error are kept."""
        variables = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "LIPUT_STATE": str(self.home / "state")} | more
        done = command.liput(self.home, "archive", name, *words, "--archive", self._root, more=variables)
        self.status, self.errors = done.returncode, done.stderr
        return done.stdout

    def answer(self, name: str, *words: str | Path) -> object:
        return json.loads(self(name, *words, "--json"))


@pytest.fixture
def liput(tmp_path: Path, archive: Archive) -> Archivist:
    return Archivist(tmp_path, archive.root)


def test_edit_corrects_and_says_what(archive: Archive, package: Package, liput: Archivist) -> None:
    shown = liput("edit", package.uuid[:8], "--title", "Rapat Senat Terbuka", "--classification", "HM.01",
                  "--consent", "given", "--letter-date", "2026-11-02", "--by", "Siti",
                  "--reason", "salah ketik")  # fmt: skip
    assert (liput.status, liput.errors) == (0, "")
    assert shown.splitlines() == [
        "title: 'Rapat Senat' -> 'Rapat Senat Terbuka'",
        "records.classification: '' -> 'HM.01'",
        "consent.state: 'not-asked' -> 'given'",
        "request.letter_date: '' -> '2026-11-02'",
    ]
    assert liput.answer("edit", package.id, "--title", "Wisuda") == {
        "id": package.id, "path": package.path,
        "changed": [{"field": "title", "old": "Rapat Senat Terbuka", "new": "Wisuda"}],
    }  # fmt: skip
    assert liput("edit", package.id, "--title", "Wisuda") == ""
    assert "nothing is changed" in liput.errors
    assert archive.verify(archive.find(package.id), decode=True) == []


def test_what_is_not_sealed_is_neither_changed_nor_handed_over(
    archive: Archive, program: Path, liput: Archivist
) -> None:
    with archives.recorded(archive, program) as work:
        for words in (("edit", "--title", "x"), ("add", liput.home / "x"), ("export", liput.home), ("report",)):
            liput(str(words[0]), work.name, *words[1:])
            assert (liput.status, work.name in liput.errors) == (1, True)


def test_add_puts_files_into_the_package(archive: Archive, package: Package, liput: Archivist, tmp_path: Path) -> None:
    photo = tmp_path / "IMG 0012.JPG"
    photo.write_bytes(b"\xff\xd8 foto")
    assert (
        liput("add", package.id, photo, "--note", "dari ponsel") == "IMG 0012.JPG: data/tambahan/img-0012.jpg (7 B)\n"
    )
    assert liput("add", package.id, photo) == ""
    assert "in the package already: data/tambahan/img-0012.jpg" in liput.errors
    assert liput.status == 0
    (tmp_path / "rapat.vtt").write_text("WEBVTT\n")
    answer = liput.answer("add", package.id, tmp_path / "rapat.vtt", photo, "--transcript")
    assert isinstance(answer, dict)
    assert [one["file"] for one in answer["added"]] == ["data/transcript/rapat.vtt"]
    assert answer["known"] == [{"name": "IMG 0012.JPG", "file": "data/tambahan/img-0012.jpg"}]
    assert archive.verify(archive.find(package.id)) == []
    liput("add", package.id, tmp_path)
    assert (liput.status, "is a folder" in liput.errors) == (1, True)


def test_search_finds_and_shows_where(archive: Archive, package: Package, liput: Archivist, tmp_path: Path) -> None:
    (tmp_path / "Daftar Hadir.pdf").write_bytes(b"%PDF-")
    liput("add", package.id, tmp_path / "Daftar Hadir.pdf")
    assert liput("search", "hadir") == f"{package.id}  Rapat Senat\n    Daftar [Hadir].pdf\n"
    assert liput("search", "senat") == f"{package.id}  Rapat Senat\n"
    answer = liput.answer("search", "hadir", "--room", "aula", "--from", "2026-11-24", "--to", "2026-11-24")
    assert isinstance(answer, list)
    (found,) = answer
    assert (found["id"], found["path"], found["state"]) == (package.id, package.path, "sealed")
    assert "[Hadir]" in found["snippet"]
    assert liput.answer("search", "hadir", "--from", "2026-11-25") == []
    assert liput("search", '"NEAR(', "OR", "*") == ""
    assert (liput.status, "Nothing in" in liput.errors) == (0, True)
    liput("search", "x", "--from", "someday")
    assert liput.status == 2


def test_list_has_filters(archive: Archive, package: Package, program: Path, liput: Archivist) -> None:
    recording = shelves.describe(0)
    old = shelves.put(archive.root, recording)

    def ids(*words: str) -> list[str]:
        listed = liput.answer("list", *words)
        assert isinstance(listed, list)
        return [entry["id"] for entry in listed]

    assert ids() == [old.name, package.id]
    assert ids("--from", "2026-01-01") == [package.id]
    assert ids("--to", "2022-12-31") == [old.name]
    assert ids("--room", package.recording.room if package.recording else "") == [package.id]
    with archives.recorded(archive, program, "Berjalan") as work:
        assert ids("--state", "unfinished") == [work.name]
    assert ids("--room", "nowhere") == []
    assert liput("list", "--room", "nowhere") == ""
    assert "has nothing like that" in liput.errors


def test_export_writes_a_zip_file(package: Package, liput: Archivist, tmp_path: Path) -> None:
    target = tmp_path / f"{package.id}.zip"
    assert liput("export", package.id, tmp_path).startswith(f"{target} (")
    with zipfile.ZipFile(target) as zipped:
        zipped.extractall(tmp_path / "out")
    archives.validate_bag(tmp_path / "out" / package.id)
    assert target.stat().st_mode & 0o077 == 0, "letters and names are in it"
    liput("export", package.id, tmp_path)
    assert (liput.status, "is there already" in liput.errors) == (1, True)
    answer = liput.answer("export", package.id, tmp_path / "kutipan.zip", "--redact")
    assert answer == {"type": "export", "id": package.id, "file": str(tmp_path / "kutipan.zip"), "redacted": True,
                      "bytes": (tmp_path / "kutipan.zip").stat().st_size}  # fmt: skip
    liput("export", package.id, tmp_path / "rapat.mp4", "--mp4")
    assert (liput.status, (tmp_path / "rapat.mp4").stat().st_size > 10_000) == (0, True)
    liput("export", package.id, tmp_path / "gone" / "x.zip")
    assert (liput.status, liput.errors.count("\n")) == (1, 2)


def test_open_prints_the_path_and_opens_it_on_a_desktop(package: Package, liput: Archivist, tmp_path: Path) -> None:
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    os.mkfifo(tmp_path / "opened")
    opener.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
    opener.chmod(0o755)
    path = f"{opener.parent}:{os.environ['PATH']}"
    assert liput("open", package.id, DISPLAY=":0", PATH=path) == f"{package.folder / MEDIA}\n"
    assert (tmp_path / "opened").read_text() == f"{package.folder / MEDIA}\n"
    assert liput("open", package.id) == f"{package.folder / MEDIA}\n"
    assert liput("open", package.id, "--folder") == f"{package.path}\n"
    film = {"id": package.id, "path": str(package.folder / MEDIA)}
    assert liput.answer("open", package.id) == film
    (package.folder / MEDIA).unlink()
    (package.folder / MEDIA).symlink_to("/etc/hostname")
    assert liput("open", package.id) == ""
    assert (liput.status, "no recording that can be opened" in liput.errors) == (1, True)


def test_list_prints_what_the_contract_says(
    archive: Archive, coloured: Package, program: Path, liput: Archivist
) -> None:
    with archives.recorded(archive, program, "Berjalan") as work:
        listed = liput.answer("list")
    assert (liput.status, liput.errors) == (0, "")
    assert isinstance(listed, list)
    entries = {entry["id"]: entry for entry in listed}
    assert entries[coloured.id] == {
        "id": coloured.id, "uuid": coloured.uuid, "title": "Rapat\x1b[31m Senat",
        "started_at": "2026-11-24T09:00:00+07:00", "duration_s": coloured.duration_s, "bytes": coloured.bytes,
        "path": coloured.path, "state": "sealed", "session": None, "copy": 1, "part": 1, "practice": False,
    }  # fmt: skip
    assert entries[work.name]["state"] == "unfinished"
    assert isinstance(entries[work.name]["duration_s"], float)


def test_list_on_a_terminal_is_a_table_without_control_characters_of_titles(
    archive: Archive, coloured: Package, program: Path, tmp_path: Path
) -> None:
    def on_terminal(*words: str) -> str:
        with Terminal(tmp_path, "archive", *words, "--archive", archive.root, columns=100) as terminal:
            assert terminal.wait() == 0
            return terminal.raw

    with archives.recorded(archive, program, "Berjalan"):
        screen = on_terminal("list", "--state", "sealed")
    assert "━" in on_terminal("verify", "--all")
    assert coloured.uuid[:8] in screen
    assert "2026-11-24 09:00" in screen
    assert "\x1b[31m Senat" not in screen
    assert "unfinished" not in screen


def test_show_describes_a_package(coloured: Package, liput: Archivist) -> None:
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in liput("show", coloured.uuid[:8]).splitlines())
    assert liput.status == 0
    assert lines["Title"] == "Rapat [31m Senat"
    assert lines["Frames"] == "50, 1 dropped, 2 repeated"
    assert lines["Degraded"] == "source-lost: podium"
    assert lines["Folder"] == coloured.path
    document = liput.answer("show", coloured.id)
    assert isinstance(document, dict)
    assert (document["id"], document["recording"]["media"][0]["tracks"][0]["codec"]) == (coloured.id, "h264")


def test_verify_is_quiet_about_what_is_whole(package: Package, liput: Archivist) -> None:
    assert liput("verify", package.id, "--decode").startswith(f"{package.id}: whole (")
    assert (liput.status, liput.errors) == (0, "")
    assert liput.answer("verify", package.id) == {
        "id": package.id, "ok": True, "problems": [], "decoded": False, "elsewhere": False, "ours": True,
    }  # fmt: skip


def test_verify_names_the_damaged_file_and_fails(
    archive: Archive, package: Package, program: Path, liput: Archivist
) -> None:
    whole = archives.seal_one(archive, program, "Utuh")
    flip(package.folder / MEDIA, 500)
    found = liput.answer("verify", "--all")
    assert isinstance(found, list)
    verdicts = {verdict["id"]: verdict for verdict in found}
    assert (liput.status, verdicts[whole.id]["ok"]) == (1, True)
    assert [problem["file"] for problem in verdicts[package.id]["problems"]] == [MEDIA]
    assert f"{MEDIA} is changed" in liput("verify", package.id)
    assert (liput.status, "━" in liput.errors) == (1, False), "progress is for terminals"
    *entries, done = command.lines(liput("fixity", "--json"))
    assert (liput.status, done["damaged"], len(entries)) == (1, [package.id], 2), "as does a round of fixity"
    assert command.lines(liput("fixity", "--log", "--json")) == entries


def test_seal_tells_programs_of_each_as_recover_does(archive: Archive, program: Path, liput: Archivist) -> None:
    with archives.recorded(archive, program, "Terputus") as work:
        liput("seal", work.name)
        assert (liput.status, "still being recorded" in liput.errors) == (1, True)
    outcome = liput.answer("seal", work.name)
    assert isinstance(outcome, dict)
    (package,) = archive.list()
    assert (outcome["type"], outcome["state"], outcome["package"]) == ("recovery", "sealed", package.path)
    archives.validate_bag(package.folder)
    assert liput("seal", "--all", "--json") == ""
    assert (liput.status, liput.errors) == (0, "")


@pytest.mark.parametrize("words", [["verify"], ["verify", "--all", "x"], ["edit", "x"]])
def test_wrong_usage_is_status_2(archive: Archive, liput: Archivist, words: list[str]) -> None:
    assert (liput(*words), liput.status) == ("", 2)
    assert not any(archive.root.iterdir())


def test_what_is_not_there_is_status_1_with_advice(package: Package, liput: Archivist, tmp_path: Path) -> None:
    assert (liput("show", "rapat"), liput.status) == ("", 1)
    assert package.id in liput.errors
    shutil.rmtree(package.folder)
    assert (liput("list"), liput.status, "is empty" in liput.errors) == ("", 0, True)
    gone = Archivist(tmp_path, tmp_path / "gone")
    answer = gone.answer("list")
    assert isinstance(answer, dict)
    assert (gone.status, answer["type"]) == (1, "error")
    assert not (tmp_path / "gone").exists()


@pytest.fixture
def places(tmp_path: Path) -> list[Archive]:
    return [archives.archive_at(tmp_path / name) for name in ("arsip", "disk-2")]


@pytest.fixture
def parts(places: list[Archive], program: Path) -> list[Package]:
    """Seal two parts of one session, each in a folder of its own."""
    session, found = uuid4(), list[Package]()
    for part, archive in enumerate(places, start=1):
        work = archive.begin("Rapat", archives.STARTED, archives.CONTEXT, uuid=session, part=part, offset_s=part - 1.0)
        shutil.copyfile(program, work.program)
        found.append(archive.seal(work, archives.FACTS))
    return found


@pytest.fixture
def more(places: list[Archive], tmp_path: Path) -> dict[str, str]:
    """Return the environment in which both folders are set."""
    first, second = (archive.root for archive in places)
    (tmp_path / "liput.toml").write_text(f'[archive]\npath = "{first}"\n[storage]\npaths = ["{second}"]')
    return {"LIPUT_CONFIG": str(tmp_path / "liput.toml")}


def test_both_parts_are_listed_found_shown_and_verified(
    parts: list[Package], more: dict[str, str], tmp_path: Path
) -> None:
    def liput(*words: str) -> object:
        done = command.liput(tmp_path, "archive", *words, "--json", more=more)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    one, other = parts
    listed = liput("list")
    assert isinstance(listed, list)
    assert [(each["id"], each["session"], each["part"]) for each in listed] == [
        (one.id, None, 1), (other.id, one.uuid, 2),
    ]  # fmt: skip
    for found in (liput("search", "rapat"), liput("verify", "--all")):
        assert isinstance(found, list)
        assert {each["id"] for each in found} == {one.id, other.id}
    reindexed = liput("reindex")
    assert isinstance(reindexed, dict)
    assert reindexed["packages"] == 2
    for key, package in ((one.uuid[:8], one), (one.id, one), (other.id, other), (other.uuid, other)):
        shown = liput("show", key)
        assert isinstance(shown, dict)
        assert shown["path"] == package.path


def test_the_beginning_of_a_name_does_not_hide_the_whole_name_in_another_folder(
    places: list[Archive], parts: list[Package], more: dict[str, str], tmp_path: Path
) -> None:
    """As where the parts were joined in the second folder, and the half of a mirror is in the first."""
    one, other = parts
    shutil.rmtree(other.folder)
    one.folder.rename(one.folder.with_name(f"{one.id}.copy2"))
    whole = places[1].root / "2026" / "11" / one.id
    shutil.copytree(one.folder.with_name(f"{one.id}.copy2"), whole)
    shown = json.loads(command.liput(tmp_path, "archive", "show", one.id, "--json", more=more).stdout)
    assert shown["path"] == str(whole)


# Reports


def test_the_report_is_made_again_and_the_package_stays_as_it_was(package: Package, liput: Archivist) -> None:
    def content() -> dict[str, bytes]:
        return {path: (package.folder / path).read_bytes() for path in fixity.walk(package.folder)[0]}

    before, page = content(), liput.home / "report.html"
    settings = liput.home / "report.toml"
    settings.write_text('[general]\nlanguage = "id"\n[report]\naddress = ["Jl. Contoh 1"]\nsigners = ["Dekan"]\n')
    more = {"LIPUT_CONFIG": str(settings)}
    liput("report", package.uuid[:8], "--html", page, "--language", "en", **more)
    assert (liput.status, liput.errors) == (0, "")
    text = page.read_text()
    assert all(words in text for words in ("Report on a video conference", "Jl. Contoh 1", "Dekan"))
    said = liput.answer("report", package.id)
    assert said == {"id": package.id, "html": None, "pdf": f"{package.id}.pdf"}, "without a file it is a PDF"
    made = liput.home / f"{package.id}.pdf"
    (printed,) = pypdf.PdfReader(io.BytesIO(made.read_bytes())).pages
    assert "Rapat Senat" in printed.extract_text()
    assert made.stat().st_mode & 0o077 == 0, "it names people"
    assert content() == before
    liput("report", package.id, "--html", page)
    assert (liput.status, "is there already" in liput.errors, page.read_text() == text) == (1, True, True)
    (package.folder / "manifest-sha256.txt").unlink()
    liput("report", package.id, "--html", liput.home / "x.html")
    assert (liput.status, "cannot be reported" in liput.errors) == (1, True)


def test_a_session_has_its_report_with_the_day_and_the_time_of_the_office_and_not_of_the_pc(room: Room) -> None:
    """The PC's zone is UTC; where the office is, it is another day."""
    zone = "Pacific/Kiritimati" if datetime.now(UTC).hour >= 11 else "Pacific/Pago_Pago"
    room.configure(f'[general]\nlanguage = "en"\n[office]\ntime_zone = "{zone}"\n[report]\nsigners = ["Dekan"]\n')
    assert room.record("--for", "1s").status == 0
    package = room.only_package()
    assert (package / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert (package / "data/thumbnails.jpg").stat().st_size > 1000
    today = datetime.now(ZoneInfo(zone))
    assert today.date() != datetime.now(UTC).date()
    assert package.name.startswith(f"{today:%Y-%m-%d}")
    page = (package / "report.html").read_text()
    assert page.count(f"{today.day} {today:%B} {today.year}") == 2, "the day of the session, and of the signature"
    events = (package / "metadata/events.jsonl").read_text().splitlines()
    assert {datetime.fromisoformat(json.loads(line)["at"]).utcoffset() for line in events} == {today.utcoffset()}
