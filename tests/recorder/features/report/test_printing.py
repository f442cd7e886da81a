"""The PDF: whole, archivable, on one page where it can be, and made by a process that can do no harm."""

import io
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pypdf
import pytest

from config.errors import LiputError
from recorder.features.report import printing
from recorder.features.report.page import report_page
from recorder.features.report.printing import print_pdf
from tests.support.reports import LONG_TITLE, WISHES, material

pytestmark = pytest.mark.computing

ROOT = Path(__file__).parents[4]


@cache
def printed(*, title: str = "Seminar Nasional", language: str = "id", is_faulty: bool = False) -> pypdf.PdfReader:
    page = report_page(material(title, is_faulty=is_faulty), WISHES, language)
    return pypdf.PdfReader(io.BytesIO(print_pdf(page)))


@pytest.mark.parametrize(
    ("title", "language"),
    [("Seminar Nasional", "id"), (LONG_TITLE, "en"), ("X" * 300, "id")],
    ids=["short", "long", "one word"],
)
def test_an_ordinary_session_is_one_page_whatever_its_title(title: str, language: str) -> None:
    (page,) = printed(title=title, language=language).pages
    text = page.extract_text()
    assert "Liput 0.1.0" in text, "at its foot, what it was made by"
    assert text.count("NIP.") == 2, "whoever signs finds the place for it"
    assert "".join(title.split()) in "".join(text.split())


def test_a_session_full_of_faults_goes_on_with_its_name_above() -> None:
    pages = printed(title=LONG_TITLE, is_faulty=True).pages
    assert len(pages) == 2
    first, second = (page.extract_text() for page in pages)
    assert "2026-11-24_0900_seminar-nasional-arsip-digital_3f2a91c0" in second
    assert "NIP." in second
    assert "NIP." not in first


def test_it_is_pdf_a_with_its_fonts_in_it() -> None:
    found = printed()
    root: Any = found.trailer["/Root"]
    metadata = root["/Metadata"].get_object().get_data().decode()
    assert 'pdfaid:part="3"' in metadata
    assert root["/OutputIntents"]
    fonts = [font for page in found.pages for font in _fonts(page)]
    assert fonts
    assert all("/FontFile2" in font or "/FontFile3" in font or "/FontFile" in font for font in fonts)
    assert "/JavaScript" not in root.get("/Names", {})


def _fonts(page: pypdf.PageObject) -> list[Any]:
    found: list[Any] = []
    resources: Any = page["/Resources"]
    for font in resources["/Font"].values():
        below = font.get_object()["/DescendantFonts"][0]
        found.append(below.get_object()["/FontDescriptor"].get_object())
    return found


def test_nothing_but_what_is_in_the_page_is_opened(tmp_path: Path) -> None:
    """A page that asks for a file, or for a server, is printed without."""
    secret = tmp_path / "secret.css"
    secret.write_text("body::after { content: 'geheim' }")
    page = f'<html><head><link rel=stylesheet href="{secret.as_uri()}"></head><body>ada<img src="http://127.0.0.1:9/x">'
    text = pypdf.PdfReader(io.BytesIO(print_pdf(page.encode()))).pages[0].extract_text()
    assert "ada" in text
    assert "geheim" not in text


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "LIMIT_S", 0.05)
    with pytest.raises(LiputError, match="took longer"):
        print_pdf(b"<p>ada</p>")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("raise OSError('cannot load library libpango-1.0-0')", "OSError: cannot load library libpango"),
        ("bytearray(2 << 30)", "MemoryError"),
        ("os.kill(os.getpid(), 9)", "its process ended with -9"),
        ("os.write(1, b'%PDF-half'); os._exit(1)", "its process ended with 1"),
        ("os._exit(0)", "its process ended with 0"),
    ],
    ids=["no library", "too much memory", "killed", "ended half way", "said nothing"],
)
def test_one_that_does_not_come_to_its_end_makes_no_pdf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, reason: str
) -> None:
    (tmp_path / "weasyprint.py").write_text(f"import os; {what}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LiputError, match=f"no PDF could be made: {reason}"):
        print_pdf(b"<p>ada</p>")


def test_where_there_is_no_font_it_is_told_which_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    with pytest.raises(LiputError, match="no PDF could be made: there is no font; the package fonts-liberation has"):
        print_pdf(b"<p>ada</p>")


def test_it_ends_at_once_and_takes_no_library_away_from_a_thread_of_its() -> None:
    code = "import atexit; atexit.register(print, 'ENDING'); from recorder.features.report.printing import main; main()"
    page = b"<!doctype html><html lang=id><title>Laporan</title><p>Rapat Senat"
    done = subprocess.run([sys.executable, "-c", code], input=page, capture_output=True, cwd=ROOT, check=True)
    assert done.stdout.startswith(b"%PDF-")
    assert done.stdout.rstrip().endswith(b"%%EOF"), "all of it, and nothing of an orderly end"
