"""What a sealing makes of a recording: chapters, overviews, a report; and that none of it can spoil the sealing."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pypdf
import pytest
from PIL import Image

from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.report.material import SHEET_FILE
from recorder.features.report.page import report_of_changed
from recorder.features.slides import chapters
from recorder.model.marks import Mark
from recorder.package import fixity
from recorder.package.metadata import (
    DerivedRecord,
    Package,
    Recording,
    ReportOptions,
    SealOptions,
    SlideOptions,
    SlidesView,
)
from recorder.package.work_folder import DERIVED_FILE, METADATA_FILES, WorkFolder
from tests.support import archives
from tests.support.slides import DECK, deck, record, still

pytestmark = pytest.mark.computing

WISHES = SealOptions(
    slides=SlideOptions(
        inputs=("slides",), layout="single", views={"single": SlidesView()}, languages=("ind", "eng"), text_s=60
    ),
    report=ReportOptions(signers=("Staf Humas",)),
)
QUICK = SealOptions(
    slides=SlideOptions(layout="single", views={"single": SlidesView()}),
    report=ReportOptions(pdf=False, signers=("Staf Humas",)),
)
"""Where neither the PDF nor what is read is looked at."""
FACTS = msgspec.structs.replace(archives.FACTS, marks=(Mark(at=archives.STARTED, media_s=14.5, text="Sambutan"),))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides of 12 s each, with sound."""
    pictures = [picture for number in (1, 2) for picture in still(deck(number), 12)]
    return record(tmp_path_factory.mktemp("talk") / "program.mp4", pictures, sound=True)


@contextmanager
def recorded(archive: Archive, program: Path, wishes: SealOptions | None = WISHES) -> Iterator[WorkFolder]:
    context = msgspec.structs.replace(archives.CONTEXT, wishes=wishes)
    with archives.recorded(archive, program, context=context) as work:
        yield work


def sealed(archive: Archive, program: Path, wishes: SealOptions | None = WISHES) -> Package:
    with recorded(archive, program, wishes) as work:
        return archive.seal(work, FACTS)


def derived(package: Package) -> DerivedRecord:
    return msgspec.json.decode((package.folder / DERIVED_FILE).read_bytes(), type=DerivedRecord)


def test_a_talk_is_sealed_with_all_that_can_be_made_of_it(archive: Archive, talk: Path) -> None:
    package = sealed(archive, talk)
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    assert (package.folder / "data/media/program.mp4").read_bytes() == talk.read_bytes()
    recording = package.recording
    assert recording
    assert [(chapter.source, chapter.title) for chapter in recording.chapters] == [
        ("slide", DECK[0][0]),
        ("slide", DECK[1][0]),
        ("mark", "Sambutan"),
    ]
    assert DECK[0][1][0] in recording.chapters[0].text
    for chapter in recording.chapters[:2]:
        assert chapter.thumbnail
        with Image.open(package.folder / chapter.thumbnail) as picture:
            picture.load()
    with Image.open(package.folder / SHEET_FILE) as picture:
        assert picture.width == 5 * 328 + 8
        assert picture.height > 3 * 200
    assert derived(package) == DerivedRecord(slides=2, slides_read=2, report=WISHES.report)
    page = (package.folder / "report.html").read_text()
    assert DECK[1][0] in page
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="level"' in page
    assert "%PDF-" in (package.folder / "report.pdf").read_bytes()[:5].decode()
    text = pypdf.PdfReader(io.BytesIO((package.folder / "report.pdf").read_bytes())).pages[0].extract_text()
    manifest = (package.folder / "manifest-sha256.txt").read_text()
    digest = next(line.split()[0] for line in manifest.splitlines() if line.endswith("program.mp4"))
    assert digest in text
    tags = (package.folder / "tagmanifest-sha256.txt").read_text()
    assert all(f"  {name}\n" in tags for name in ("report.html", "report.pdf", DERIVED_FILE, "metadata/levels.json"))


def test_what_sealing_writes_into_the_metadata_is_known(archive: Archive, talk: Path) -> None:
    """Recovery leaves out what is of an earlier attempt: a name that it does not know would become a stray file."""
    written = [path for path in fixity.walk(sealed(archive, talk, QUICK).folder)[0] if path.startswith("metadata/")]
    assert len(written) > 6
    assert set(written) <= METADATA_FILES


def test_without_wishes_only_marks_are_chapters(archive: Archive, talk: Path) -> None:
    package = sealed(archive, talk, None)
    assert package.recording
    assert [chapter.title for chapter in package.recording.chapters] == ["Sambutan"]
    assert not (package.folder / "report.html").exists()
    assert not (package.folder / "data/slides").exists()


def test_progress_goes_on_through_all_of_it(archive: Archive, talk: Path) -> None:
    calls: list[tuple[int, int]] = []
    with recorded(archive, talk, QUICK) as work:
        archive.seal(work, FACTS, lambda done, total: calls.append((done, total)))
    shares = [done / total for done, total in calls]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len({round(share, 1) for share in shares}) > 6, "there is something to see all along"


def _broken(*_args: object, **_more: object) -> object:
    raise RuntimeError("a mistake of the program")


def test_whatever_cannot_be_made_is_noted_and_the_recording_is_sealed(
    archive: Archive, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chapters, "slide_jpeg", _broken)
    monkeypatch.setattr("recorder.features.report.material.thumbnails_sheet", _broken)
    monkeypatch.setattr("recorder.features.report.material.read_levels", _broken)
    monkeypatch.setattr("recorder.features.report.page.report_page", _broken)
    package = sealed(archive, talk)
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    problems = derived(package).problems
    assert [problem.partition(":")[0] for problem in problems] == ["chapters", "thumbnails", "levels", "report"]
    assert all("a mistake of the program" in problem for problem in problems)
    assert not (package.folder / "data/slides").exists()


def test_without_a_pdf_there_is_the_page_and_the_reason(
    archive: Archive, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "weasyprint.py").write_text("raise OSError('cannot load library libpango-1.0-0')")
    monkeypatch.setenv("PYTHONPATH", str(fake))
    package = sealed(archive, talk)
    assert (package.folder / "report.html").exists()
    assert not (package.folder / "report.pdf").exists()
    (problem,) = derived(package).problems
    assert problem.startswith("report.pdf: no PDF could be made: OSError: cannot load library")
    assert archive.verify(package) == []


def test_a_disk_that_takes_no_pictures_takes_the_recording(
    tmp_path: Path, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.features.report.page.print_pdf", archives.no_pdf)

    def fail(step: str, path: Path) -> None:
        if step == "write" and path.suffix in {".jpg", ".pdf"} and path.name != "poster.jpg":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    archive = archives.archive_at(tmp_path / "arsip", DurableFiles(fail))
    package = sealed(archive, talk)
    assert archive.verify(package) == []
    archives.validate_bag(package.folder)
    assert [problem.partition(":")[0] for problem in derived(package).problems] == ["chapters", "thumbnails", "report"]


def test_what_an_earlier_attempt_found_is_not_looked_for_again(
    archive: Archive, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(archive, talk, QUICK) as work:
        with monkeypatch.context() as patch:
            patch.setattr("recorder.archive.sealing.poster_of", _broken)
            with pytest.raises(RuntimeError):
                archive.seal(work, FACTS)
        found = msgspec.json.decode((work.path / "metadata/recording.json").read_bytes(), type=Recording)
        monkeypatch.setattr(chapters, "keyframes", _broken)
        package = archive.seal(work)
    assert package.recording
    assert package.recording.chapters == found.chapters
    assert len(found.chapters) == 3
    assert derived(package).problems == ()


def test_a_recording_without_pictures_or_sound_is_sealed(archive: Archive, talk: Path) -> None:
    with recorded(archive, talk, QUICK) as work:
        work.program.write_bytes(b"not media" * 1000)
        package = archive.seal(work, FACTS)
    assert archive.verify(package) == []
    assert derived(package).problems == ()
    assert "Tidak ada suara yang direkam" in (package.folder / "report.html").read_text()


def test_a_changed_description_has_a_report_that_looks_the_same(archive: Archive, talk: Path) -> None:
    package = sealed(archive, talk)
    assert package.recording
    before = {path: (package.folder / path).read_bytes() for path in fixity.walk(package.folder)[0]}
    corrected = msgspec.structs.replace(package.recording, title="Judul yang benar")
    files = report_of_changed(package.folder, {"metadata/recording.json": msgspec.json.encode(corrected)})
    assert set(files) == {"report.html", "report.pdf"}
    assert files["report.html"] == before["report.html"].replace(b"Rapat Senat", b"Judul yang benar")
    text = pypdf.PdfReader(io.BytesIO(files["report.pdf"])).pages[0].extract_text()
    assert "Judul yang benar" in text
    assert {path: (package.folder / path).read_bytes() for path in fixity.walk(package.folder)[0]} == before


def test_a_package_without_a_report_gets_none(archive: Archive, talk: Path) -> None:
    package = sealed(archive, talk, None)
    assert package.recording
    assert report_of_changed(package.folder, {}) == {}
