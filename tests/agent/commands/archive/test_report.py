"""`liput archive report`: the report made again, and the package as it was."""

import io
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pypdf
import pytest

from recorder.archive.archive import Archive
from recorder.package import fixity
from recorder.package.metadata import Package
from tests.support import archives, forked
from tests.support.room import Room

PROJECT = Path(__file__).parents[4]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program)


def report(archive: Archive, *arguments: object, settings: str = "") -> subprocess.CompletedProcess[str]:
    config = archive.root.parent / "liput.toml"
    config.write_text(settings)
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "LIPUT_CONFIG": str(config)}
    words = ["archive", "report", *map(str, arguments), "--archive", str(archive.root)]
    return forked.liput(words, archive.root.parent, variables, timeout=60)


def test_programs_are_told_where_it_is(archive: Archive, package: Package) -> None:
    page = archive.root.parent / "laporan.html"
    done = report(archive, package.id, "--html", page, "--json")
    assert json.loads(done.stdout) == {"id": package.id, "html": str(page), "pdf": None}
    done = report(archive, package.id, "--json")
    assert json.loads(done.stdout) == {"id": package.id, "html": None, "pdf": f"{package.id}.pdf"}


def test_the_report_is_made_again_and_the_package_stays_as_it_was(archive: Archive, package: Package) -> None:
    before = {path: (package.folder / path).read_bytes() for path in fixity.walk(package.folder)[0]}
    page, pdf = archive.root.parent / "laporan.html", archive.root.parent / "laporan.pdf"
    done = report(archive, package.uuid[:8], "--html", page, "--pdf", pdf)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(page), str(pdf)]
    assert "Laporan pelaksanaan video konferen" in page.read_text()
    (printed,) = pypdf.PdfReader(io.BytesIO(pdf.read_bytes())).pages
    assert "Rapat Senat" in printed.extract_text()
    assert {path: (package.folder / path).read_bytes() for path in fixity.walk(package.folder)[0]} == before


def test_language_and_head_are_those_asked_for(archive: Archive, package: Package) -> None:
    page = archive.root.parent / "report.html"
    settings = '[general]\nlanguage = "id"\n[report]\naddress = ["Jl. Contoh 1"]\nsigners = ["Dekan"]\n'
    assert report(archive, package.id, "--html", page, "--language", "en", settings=settings).returncode == 0
    text = page.read_text()
    assert "Report on a video conference" in text
    assert "Jl. Contoh 1" in text
    assert "Dekan" in text


def test_without_a_file_it_is_a_pdf_by_the_name_of_the_package(archive: Archive, package: Package) -> None:
    done = report(archive, package.id)
    assert done.returncode == 0
    made = archive.root.parent / f"{package.id}.pdf"
    assert made.read_bytes().startswith(b"%PDF-")
    assert made.stat().st_mode & 0o077 == 0, "it names people"


def test_nothing_is_overwritten(archive: Archive, package: Package) -> None:
    page = archive.root.parent / "laporan.html"
    page.write_text("mine")
    done = report(archive, package.id, "--html", page)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert page.read_text() == "mine"


def test_what_is_not_sealed_is_refused(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        done = report(archive, work.name, "--html", "x.html")
    assert done.returncode == 1
    assert "unfinished" in done.stderr


def test_a_damaged_package_is_told_in_one_line(archive: Archive, package: Package) -> None:
    (package.folder / "manifest-sha256.txt").unlink()
    done = report(archive, package.id, "--html", archive.root.parent / "x.html")
    assert done.returncode == 1
    assert "cannot be reported" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_has_the_day_and_the_time_of_the_office_and_not_of_the_pc(tmp_path: Path) -> None:
    """The PC's zone is UTC; where the office is, it is another day."""
    room = Room(tmp_path / "home")
    room.home.mkdir()
    zone = "Pacific/Kiritimati" if datetime.now(UTC).hour >= 11 else "Pacific/Pago_Pago"
    room.configure(f'[general]\nlanguage = "en"\n[office]\ntime_zone = "{zone}"\n[report]\nsigners = ["Dekan"]\n')
    done = room.record("--for", "1s")
    assert done.status == 0, done.errors
    (package,) = room.packages()
    today = datetime.now(ZoneInfo(zone))
    assert today.date() != datetime.now(UTC).date()
    assert package.name.startswith(f"{today:%Y-%m-%d}")
    page = (package / "report.html").read_text()
    assert page.count(f"{today.day} {today:%B} {today.year}") == 2, "the day of the session, and of the signature"
    events = (package / "metadata/events.jsonl").read_text().splitlines()
    assert {datetime.fromisoformat(json.loads(line)["at"]).utcoffset() for line in events} == {today.utcoffset()}


def test_a_report_says_that_a_source_was_not_recorded_apart(tmp_path: Path) -> None:
    """The synthetic source sends no coded pictures that could be copied: that is found with its first one."""
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure('[general]\nlanguage = "en"\n[report]\nsigners = ["Dekan"]\n')
    done = room.record("--isolate", "--for", "2s")
    kinds = [line["kind"] for line in done.of("event")]
    assert kinds.index("session-live") < kinds.index("isolated-failed")
    (package,) = room.packages()
    assert "Its own file failed" in (package / "report.html").read_text()


def test_a_session_that_is_recorded_has_its_report(tmp_path: Path) -> None:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    room.configure('[general]\noffice = "Biro Humas"\n\n[report]\nsigners = ["Dekan"]\n')
    done = room.record("--audio", "synthetic", "--for", "3s")
    assert done.status == 0, done.errors
    package = room.only_package()
    assert {path.name for path in package.iterdir()} >= {"report.html", "report.pdf"}
    assert (package / "data/thumbnails.jpg").stat().st_size > 1000
    assert "Biro Humas" in (package / "report.html").read_text()
    assert done.result["state"] == "sealed"
