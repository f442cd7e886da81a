"""Papers are told by their content, bounded, and refused with a reason."""

import os
from pathlib import Path

import pytest

from config.errors import DossierError
from recorder.features.dossier.papers import read_paper
from tests.support.dossiers import LARGEST, PDF, picture


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("surat.pdf", PDF, "application/pdf"),
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
        (b"", "neither a PDF nor"),
        (b"Kepada Yth. Wakil Rektor III", "neither a PDF nor"),
        (b"<html><script>", "neither a PDF nor"),
        (b"PK\x03\x04surat.docx", "neither a PDF nor"),
        (picture("GIF"), "neither a PDF nor"),
        (PDF[:-7], "a PDF that is cut off"),
        (picture("JPEG")[:400], "a damaged picture"),
        (picture("PNG")[:60], "a damaged picture"),
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
