"""The PDF: whole, archivable, made by a process that can do no harm; and what a report is made of."""

import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pypdf
import pytest
from PIL import Image

from config.errors import LiputError
from recorder.features.report import material as of_package
from recorder.features.report import printing
from recorder.features.report.material import read_levels, read_material
from recorder.features.report.page import report_page
from recorder.features.report.printing import print_pdf
from recorder.package.bag import MANIFEST_FILE
from recorder.package.media import probe_media
from recorder.package.metadata import MediaFile
from recorder.package.work_folder import RECORDING_FILE
from tests.support.reports import LONG_TITLE, WISHES, material

pytestmark = pytest.mark.computing


def printed(page: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(print_pdf(page)))


def test_an_ordinary_session_is_one_page_of_pdf_a_whatever_its_title() -> None:
    found = printed(report_page(material("X" * 300), WISHES, "id"))
    (page,) = found.pages
    text = page.extract_text()
    assert "Liput 0.1.0" in text, "at its foot, what it was made by"
    assert text.count("NIP.") == 2, "whoever signs finds the place for it"
    assert "X" * 300 in "".join(text.split())
    root: Any = found.trailer["/Root"]
    assert 'pdfaid:part="3"' in root["/Metadata"].get_object().get_data().decode()
    assert root["/OutputIntents"]
    assert "/JavaScript" not in root.get("/Names", {})
    resources: Any = page["/Resources"]
    for font in resources["/Font"].values():
        below = font.get_object()["/DescendantFonts"][0]
        described = below.get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(described), "it holds its fonts"


def test_a_session_full_of_faults_goes_on_with_its_name_above() -> None:
    pages = printed(report_page(material(LONG_TITLE, is_faulty=True), WISHES, "id")).pages
    first, second = (page.extract_text() for page in pages)
    assert "2026-11-24_0900_seminar-nasional-arsip-digital_3f2a91c0" in second
    assert "NIP." in second
    assert "NIP." not in first


def test_nothing_but_what_is_in_the_page_is_opened(tmp_path: Path) -> None:
    """A page that asks for a file, or for a server, is printed without."""
    secret = tmp_path / "secret.css"
    secret.write_text("body::after { content: 'geheim' }")
    page = f'<html><head><link rel=stylesheet href="{secret.as_uri()}"></head><body>ada<img src="http://127.0.0.1:9/x">'
    text = printed(page.encode()).pages[0].extract_text()
    assert "ada" in text
    assert "geheim" not in text


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "LIMIT_S", 0.05)
    with pytest.raises(LiputError, match="took longer"):
        print_pdf(b"<p>ada</p>")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("bytearray(2 << 30)", "MemoryError"),
        ("os.kill(os.getpid(), 9)", "its process ended with -9"),
        ("os.write(1, b'%PDF-half'); os._exit(1)", "its process ended with 1"),
    ],
    ids=["too much memory", "killed", "ended half way"],
)
def test_one_that_fails_makes_no_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, reason: str) -> None:
    (tmp_path / "weasyprint.py").write_text(f"import os; {what}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LiputError, match=f"no PDF could be made: {reason}"):
        print_pdf(b"<p>ada</p>")


def test_where_there_is_no_font_it_is_told_which_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    with pytest.raises(LiputError, match="no PDF could be made: there is no font; the package fonts-liberation has"):
        print_pdf(b"<p>ada</p>")


# What a report is made of, from a package


def write_package(folder: Path, duration_s: float, *files: MediaFile) -> None:
    recording = msgspec.structs.replace(material().recording, duration_s=duration_s, media=files)
    (folder / "metadata").mkdir(parents=True)
    (folder / RECORDING_FILE).write_bytes(msgspec.json.encode(recording))
    (folder / MANIFEST_FILE).write_bytes(b"")


def twice(media: Path, folder: Path) -> list[MediaFile]:
    """Return a program of `media` of 20 s, 10 s of which nothing is left, and `media` again."""
    files = []
    for name, offset_s in (("program.mp4", 0.0), ("program-2.mp4", 30.0)):
        shutil.copyfile(media, folder / name)
        files.append(msgspec.structs.replace(probe_media(folder / name, name), offset_s=offset_s))
    return files


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make 20 s of pictures and a tone at -20 dBFS RMS of which the second half is silent."""
    path = tmp_path_factory.mktemp("film") / "program.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=1:d=20",
         "-f", "lavfi", "-i", "sine=440:r=48000:d=20", "-af", "volume=-2dB,volume=0:enable='gte(t,10)'",
         "-c:a", "aac", "-c:v", "libx264", "-preset", "ultrafast", "-g", "2", str(path)],
        check=True,
    )  # fmt: skip
    return path


def test_pictures_come_from_all_of_the_program(tmp_path: Path, film: Path) -> None:
    """One in each seventh of the 50 s, none in between."""
    write_package(tmp_path, 50.0, *twice(film, tmp_path))
    found = read_material(tmp_path, "x")
    assert [time for time, _ in found.pictures] == ["0:00:02", "0:00:10", "0:00:16", "0:00:32", "0:00:38", "0:00:46"]


@pytest.mark.parametrize("how", ["link", "pipe", "elsewhere"])
def test_nothing_that_a_package_only_leads_to_is_shown(tmp_path: Path, film: Path, how: str) -> None:
    """What came from elsewhere may name, or link to, a film or a picture of whoever makes its report."""
    folder, secret = tmp_path / "paket", tmp_path / "program.mp4"
    shutil.copyfile(film, secret)
    Image.new("RGB", (64, 64)).save(tmp_path / "poster.jpg")
    name = "../program.mp4" if how == "elsewhere" else "program.mp4"
    write_package(folder, 20.0, msgspec.structs.replace(probe_media(secret, "program.mp4"), file=name))
    (folder / "data").mkdir()
    for name, leads_to in (("program.mp4", secret), ("data/poster.jpg", tmp_path / "poster.jpg")):
        (folder / name).symlink_to(leads_to) if how == "link" else os.mkfifo(folder / name)
    found = read_material(folder, "x")
    assert (found.poster, found.pictures) == (None, ())


# The level of real sound over its time


@pytest.mark.parametrize("most", [360, 15])
def test_the_levels_are_those_of_the_sound(film: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(of_package, "PLOT_POINTS", most)
    told: list[float] = []
    levels = read_levels(film.parent, [probe_media(film, "program.mp4")], told.append)
    assert levels
    points = len(levels.rms_dbfs)
    assert points == len(levels.peak_dbfs) == len(told) == min(20, most)
    assert levels.step_s * points == pytest.approx(20, abs=0.5)
    loud, silent = levels.rms_dbfs[1 : points // 2 - 1], levels.rms_dbfs[points // 2 + 2 : -1]
    assert all(level == pytest.approx(-23, abs=0.7) for level in loud)  # ffmpeg's sine is -18 dBFS at its peak
    assert all(level < -80 for level in silent)
    assert levels.peak_dbfs[2] == pytest.approx(-20, abs=1.5)  # as AAC gives it back


def test_without_sound_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "program.mp4"
    path.write_bytes(b"not media" * 100)
    assert read_levels(tmp_path, [probe_media(path, "program.mp4")]) is None
    assert read_levels(tmp_path, []) is None


def test_a_program_of_two_files_is_heard_to_its_end(tmp_path: Path, film: Path) -> None:
    levels = read_levels(tmp_path, twice(film, tmp_path)[::-1])
    assert levels
    assert levels.step_s * len(levels.rms_dbfs) == pytest.approx(50, abs=0.5)
    assert [[level > -30 for level in levels.rms_dbfs[at_s : at_s + 7]] for at_s in (1, 12, 21, 31, 42)] == [
        [is_loud] * 7 for is_loud in (True, False, False, True, False)
    ]
