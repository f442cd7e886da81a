"""`liput archive edit`, `add`, `search`, `export`, `open` and the rest, as people and scripts use them."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.disk.package_locks import package_lock
from recorder.package.metadata import Package
from tests.support import archives, command, shelves
from tests.support.damage import MEDIA


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)


class Archivist:
    """Runs `liput archive` on one archive."""

    def __init__(self, home: Path, root: Path) -> None:
        self.home = home
        self._root = root
        self.status = 0
        self.errors = ""

    def __call__(self, name: str, *words: str | Path, desktop: str = "", path: str = "") -> str:
        """Return what a command prints; its exit status and what it says on standard error are kept."""
        more = {"DISPLAY": desktop, "WAYLAND_DISPLAY": ""} | ({"PATH": path} if path else {})
        state = {"LIPUT_STATE": str(self.home / "state")}
        done = command.liput(self.home, "archive", name, *words, "--archive", self._root, more=more | state)
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


@pytest.mark.parametrize("words", [[], ["--consent", "maybe"], ["--letter-date", "kemarin"], ["--nonsense", "x"]])
def test_edit_without_anything_to_correct_is_wrong_usage(package: Package, liput: Archivist, words: list[str]) -> None:
    assert liput("edit", package.id, *words) == ""
    assert liput.status == 2


def test_edit_of_a_package_that_is_read_is_refused(package: Package, liput: Archivist) -> None:
    with package_lock(package.folder, alone=False):
        assert liput("edit", package.id, "--title", "Wisuda") == ""
    assert (liput.status, "being read" in liput.errors) == (1, True)


def test_verify_of_everything_goes_on_past_a_package_that_is_being_corrected(
    archive: Archive, package: Package, program: Path, liput: Archivist
) -> None:
    other = archives.seal_one(archive, program, "Wisuda")
    with package_lock(package.folder, alone=True):
        verdicts = liput.answer("verify", "--all")
        assert isinstance(verdicts, list)
        assert {verdict["id"]: verdict["ok"] for verdict in verdicts} == {package.id: False, other.id: True}
        assert liput.status == 1
        liput("verify", package.id)
        assert (liput.status, "being changed" in liput.errors) == (1, True)


def test_edit_of_what_is_not_sealed_says_how_to_seal_it(archive: Archive, program: Path, liput: Archivist) -> None:
    with archives.recorded(archive, program) as work:
        for words in (("edit", "--title", "x"), ("add", liput.home / "x"), ("export", liput.home)):
            liput(str(words[0]), work.name, *words[1:])
            assert liput.status == 1
            assert f"liput archive seal {work.name}" in liput.errors


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


def test_show_has_what_was_corrected_and_added(package: Package, liput: Archivist, tmp_path: Path) -> None:
    (tmp_path / "hadir.pdf").write_bytes(b"%PDF-")
    liput("add", package.id, tmp_path / "hadir.pdf")
    liput("edit", package.id, "--classification", "HM.01", "--retention-active", "2 tahun", "--consent", "refused",
          "--letter-number", "B/12", "--letter-date", "2026-11-02", "--event", "Sidang", "--place", "Aula")  # fmt: skip
    lines = [line.split(maxsplit=1) for line in liput("show", package.id).splitlines()]
    for label, value in (("Letter", "B/12, 2026-11-02"), ("Event", "Sidang, Aula"), ("Classification", "HM.01"),
                         ("Retention", "active 2 tahun"), ("Consent", "refused"),
                         ("Added", "data/tambahan/hadir.pdf: hadir.pdf, 5 B")):  # fmt: skip
        assert [label, value] in lines


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


def test_what_is_found_cannot_take_the_terminal_over(archive: Archive, program: Path, liput: Archivist) -> None:
    archives.seal_one(archive, program, "Rapat\x1b[31m Senat")
    assert "\x1b" not in liput("search", "rapat")


def test_reindex_reads_everything(archive: Archive, liput: Archivist) -> None:
    for number in range(3):
        shelves.put(archive.root, shelves.describe(number))
    assert liput("reindex") == f"3 packages of {archive.root}\n"
    answer = liput.answer("reindex")
    assert isinstance(answer, dict)
    assert answer["packages"] == 3
    assert Path(answer["index"]).is_file()


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
    assert answer == {"id": package.id, "file": str(tmp_path / "kutipan.zip"), "redacted": True,
                      "bytes": (tmp_path / "kutipan.zip").stat().st_size}  # fmt: skip
    liput("export", package.id, tmp_path / "rapat.mp4", "--mp4")
    assert (liput.status, (tmp_path / "rapat.mp4").stat().st_size > 10_000) == (0, True)
    liput("export", package.id, tmp_path / "gone" / "x.zip")
    assert (liput.status, liput.errors.count("\n")) == (1, 2)


def test_export_of_a_damaged_package_is_refused(package: Package, liput: Archivist, tmp_path: Path) -> None:
    (package.folder / MEDIA).unlink()
    for more in ((), ("--redact",), ("--mp4",)):
        liput("export", package.id, tmp_path / "x", *more)
        assert liput.status == 1
        assert f"{MEDIA} is missing" in liput.errors
    assert not (tmp_path / "x").exists()


def test_open_prints_the_path(package: Package, liput: Archivist) -> None:
    assert liput("open", package.id) == f"{package.folder / MEDIA}\n"
    assert liput("open", package.id, "--folder") == f"{package.path}\n"
    film = {"id": package.id, "path": str(package.folder / MEDIA)}
    assert liput.answer("open", package.id) == film
    (package.folder / MEDIA).unlink()
    (package.folder / MEDIA).symlink_to("/etc/hostname")
    assert liput("open", package.id) == ""
    assert (liput.status, "no recording that can be opened" in liput.errors) == (1, True)


def test_open_opens_it_on_a_desktop(package: Package, liput: Archivist, tmp_path: Path) -> None:
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    os.mkfifo(tmp_path / "opened")
    opener.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
    opener.chmod(0o755)
    path = f"{opener.parent}:{os.environ['PATH']}"
    assert liput("open", package.id, desktop=":0", path=path) == f"{package.folder / MEDIA}\n"
    assert (tmp_path / "opened").read_text() == f"{package.folder / MEDIA}\n"
