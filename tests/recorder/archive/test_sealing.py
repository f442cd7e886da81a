"""A sealed package: valid to others, described truly, complete before it is seen, with what features add to it."""

import errno
import hashlib
import io
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pypdf
import pytest
from PIL import Image

from config.errors import ArchiveError, LiputError, StorageError
from devices.health.log_line import PC, LogKind, LogLevel
from devices.health.log_writer import DROPPED_LINES, HealthLog
from recorder.archive import sealing
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.report.material import SHEET_FILE
from recorder.features.report.page import report_of_changed
from recorder.features.slides import chapters
from recorder.model.marks import Mark
from recorder.model.names import one_line, utf8_safe
from recorder.package import bag, fixity
from recorder.package.documents import DUBLIN_CORE_TERMS
from recorder.package.metadata import (
    AudioTrack,
    Consent,
    DerivedRecord,
    Package,
    PackageState,
    Recording,
    RecordingFacts,
    Records,
    ReportOptions,
    SealOptions,
    SlideOptions,
    SlidesView,
    VideoTrack,
)
from recorder.package.work_folder import DERIVED_FILE, METADATA_FILES, WorkFolder
from tests.support import archives
from tests.support.archives import CAMERA, RECORDING_SCHEMA, STARTED
from tests.support.errors import because
from tests.support.simulated import SimulatedClock
from tests.support.slides import DECK, deck, record, still

pytestmark = pytest.mark.computing


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Package:
    """Provide a package that nobody changes."""
    return archives.seal_one(archives.archive_at(tmp_path_factory.mktemp("sealed") / "arsip"), program)


def validate(package: Package) -> None:
    """Let others judge: the bagit library, and jsonschema with the shipped schema."""
    archives.validate_bag(package.folder)
    schema = json.loads(RECORDING_SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((package.folder / "metadata" / "recording.json").read_bytes())
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())
    ET.parse(package.folder / "metadata" / "dublincore.xml")


def test_a_package_is_valid_and_where_its_date_says(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "STEPS", ())  # a feature may add files to each package
    package = archives.seal_one(archive, program)
    validate(package)
    assert archive.verify(package, decode=True) == []
    assert package.folder.parent == archive.root / "2026" / "11"
    assert package.id == package.folder.name
    assert package.id.endswith(f"_{package.uuid[:8]}")
    assert list((archive.root / ".incoming").iterdir()) == []
    assert sorted(fixity.walk(package.folder)[0]) == [
        "BACA-SAYA.txt", "README.txt", "bag-info.txt", "bagit.txt", "data/media/program.mp4", "data/poster.jpg",
        "manifest-sha256.txt", "metadata/devices.json", "metadata/dublincore.xml", "metadata/events.jsonl",
        "metadata/premis.jsonl", "metadata/recording.json", "tagmanifest-sha256.txt",
    ]  # fmt: skip


def test_the_description_is_true(package: Package, program: Path) -> None:
    recording = package.recording
    assert recording
    assert (recording.title, recording.started_at) == ("Rapat Senat", archives.STARTED)
    assert recording.started_at.utcoffset() == timedelta(hours=7)
    assert recording.ended_at == archives.FACTS.ended_at
    assert (recording.frames, recording.dropped, recording.repeated) == (archives.FRAMES, 1, 2)
    assert recording.duration_s == pytest.approx(2, abs=0.05)
    assert recording.degraded == ("source-lost: podium",)
    assert (recording.office, recording.room, recording.profile) == ("Biro PKIH", "Aula", "360p25")
    assert recording.destinations == ("youtube",)
    assert recording.software["liput"]
    (media,) = recording.media
    assert (media.file, media.bytes, media.problem) == ("data/media/program.mp4", program.stat().st_size, None)
    video, audio = media.tracks
    assert isinstance(video, VideoTrack)
    assert (video.codec, video.width, video.height, video.rate) == ("h264", 320, 180, "25/1")
    assert (video.frames, video.pixel_format) == (archives.FRAMES, "yuv420p")
    assert video.duration_s == pytest.approx(2, abs=0.001)
    assert video.bit_rate > 0
    assert isinstance(audio, AudioTrack)
    assert (audio.codec, audio.sample_rate, audio.channels, audio.layout) == ("aac", 48000, 1, "mono")


def test_the_recording_and_all_that_the_session_had_are_kept(package: Package, program: Path) -> None:
    assert (package.folder / "data" / "media" / "program.mp4").read_bytes() == program.read_bytes()
    listed = bag.read_manifest((package.folder / bag.MANIFEST_FILE).read_bytes())
    assert listed["data/media/program.mp4"] == hashlib.sha256(program.read_bytes()).hexdigest()
    devices = json.loads((package.folder / "metadata" / "devices.json").read_bytes())
    assert [device["id"] for device in devices] == [archives.CAMERA.id]
    assert (package.folder / "metadata" / "events.jsonl").read_text() == '{"type":"event","kind":"started"}\n'
    info = archives.validate_bag(package.folder)
    assert info.items() >= {
        ("Source-Organization", "Biro PKIH"), ("External-Description", "Rapat Senat"),
        ("External-Identifier", package.uuid), ("Bagging-Date", SimulatedClock().now().date().isoformat()),
    }  # fmt: skip
    assert (package.folder / "bagit.txt").read_text() == "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


def test_the_poster_is_a_picture_that_is_not_black(package: Package) -> None:
    """The first half second is black, and the first tenth lies in it."""
    picture = package.folder / "data" / "poster.jpg"
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", picture, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == b""
    assert len(done.stdout) == 320 * 180 * 3
    grey = done.stdout[:3]  # the first bar of SMPTE colour bars: 75 % white
    assert all(abs(value - 191) <= 6 for value in grey), grey


def terms_of(package: Package) -> dict[str, str | None]:
    root = ET.parse(package.folder / "metadata" / "dublincore.xml").getroot()
    return {element.tag.removeprefix(f"{{{DUBLIN_CORE_TERMS}}}"): element.text for element in root}


def test_dublin_core_says_the_same(package: Package) -> None:
    terms = terms_of(package)
    assert (terms["extent"] or "").startswith("PT0H0M2.")
    assert terms.items() >= {
        ("title", "Rapat Senat"), ("identifier", f"urn:uuid:{package.uuid}"), ("created", "2026-11-24T09:00:00+07:00"),
        ("spatial", "Aula"), ("type", "MovingImage"),
    }  # fmt: skip


@pytest.mark.parametrize("title", ["../../../etc/passwd", "Wisuda 🎓\nbaris \x1b[31m{uuid}", "", "\udcff ﷽"])
def test_odd_titles_make_valid_packages(archive: Archive, program: Path, title: str) -> None:
    package = archives.seal_one(archive, program, title)
    validate(package)
    assert archive.verify(package) == []
    assert package.title == utf8_safe(title)
    assert archives.validate_bag(package.folder).get("External-Description", "") == one_line(title)
    assert (package.folder / "README.txt").read_text().startswith(one_line(title))


def test_everything_is_on_the_disk_before_the_rename(tmp_path: Path, program: Path) -> None:
    steps: list[tuple[str, Path]] = []
    archive = archives.archive_at(tmp_path / "arsip", DurableFiles(lambda step, path: steps.append((step, path))))
    with archives.recorded(archive, program) as work:
        steps.clear()
        package = archive.seal(work, archives.FACTS)
    renamed = steps.index(("rename", package.folder))
    synced = {path for step, path in steps[:renamed] if step == "sync"}
    synced |= {path.with_name(path.name.removeprefix(".").removesuffix(".part")) for path in synced}
    held = {work.path / path.relative_to(package.folder) for path in package.folder.rglob("*")}
    assert held <= synced
    unlinked = steps.index(("unlink", work.path / "begun.json"))
    assert steps[unlinked + 1] == ("sync", work.path)
    assert all(package.folder.is_relative_to(path) for _, path in steps[unlinked + 2 : renamed])
    assert steps[renamed + 1 :] == [("sync", package.folder.parent), ("sync", work.path.parent)]


def test_an_empty_recording_is_not_sealed(archive: Archive) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    work.program.touch()
    with pytest.raises(ArchiveError, match="holds no recording"):
        archive.seal(work, archives.FACTS)
    assert work.path.is_dir()
    archive.discard(work)


def test_nothing_in_the_archive_is_overwritten(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        target = archive.root / "2026" / "11" / work.name
        target.mkdir(parents=True)
        with pytest.raises(ArchiveError, match="is there already"):
            archive.seal(work, archives.FACTS)
        assert work.program.read_bytes() == program.read_bytes()
        target.rmdir()
        assert archive.verify(archive.seal(work)) == []


def test_a_disk_that_fills_up_while_sealing_costs_an_attempt_only(tmp_path: Path, program: Path) -> None:
    full = True
    disk = archives.fails(errno.ENOSPC, lambda _, path: full and path.name == bag.TAG_MANIFEST_FILE)
    archive = archives.archive_at(tmp_path / "arsip", disk)
    with archives.recorded(archive, program) as work:
        with pytest.raises(StorageError, check=because("full")):
            archive.seal(work, archives.FACTS)
        assert work.program.read_bytes() == program.read_bytes()
        full = False
        package = archive.seal(work, msgspec.structs.replace(archives.FACTS, dropped=7))
    validate(package)
    assert package.recording
    assert package.recording.dropped == 7, "the newest facts count"
    assert len(events_of(package.folder)) == 4, "none is there twice"


def test_a_recording_left_by_a_killed_recorder_is_sealed_from_what_it_tells(archive: Archive, program: Path) -> None:
    consent = Consent(state="given", note="moderator", noted_at=STARTED)
    records = Records(classification="HM.01.02", security="biasa", retention_active="2 tahun",
                      retention_inactive="3 tahun", disposition="permanen")  # fmt: skip
    context = msgspec.structs.replace(archives.CONTEXT, records=records, consent=consent)
    with archives.recorded(archive, program, context=context) as work:
        whole = work.events.read_bytes()
        work.events.write_bytes(whole + b'{"type":"eve')
        work.release()
        (unfinished,) = archive.list()
        assert unfinished.state is PackageState.UNFINISHED
        package = archive.seal(archive.reopen(unfinished.folder))
    validate(package)
    recording = package.recording
    assert recording
    assert (recording.degraded, recording.dropped, recording.repeated) == (("interrupted",), None, None)
    assert recording.ended_at - recording.started_at == timedelta(seconds=recording.duration_s)
    assert (recording.room, recording.destinations) == ("Aula", ("youtube",))
    assert (package.folder / "metadata" / "events.jsonl").read_bytes() == whole
    assert (recording.records, recording.consent) == (records, consent)
    info = archives.validate_bag(package.folder)
    assert {label: value for label, value in info.items() if label.startswith(("Records-", "Speakers-"))} == {
        "Records-Classification": "HM.01.02", "Records-Security": "biasa", "Records-Retention-Active": "2 tahun",
        "Records-Retention-Inactive": "3 tahun", "Records-Disposition": "permanen", "Speakers-Consent": "given",
    }  # fmt: skip
    assert terms_of(package).items() >= {("subject", "HM.01.02"), ("accessRights", "biasa")}


def test_a_clock_that_was_set_back_meanwhile_ends_nothing_before_it_began(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        package = archive.seal(work, RecordingFacts(ended_at=archives.STARTED - timedelta(hours=3)))
    assert package.recording
    lasted = package.recording.ended_at - package.recording.started_at
    assert lasted == timedelta(seconds=package.recording.duration_s)


def test_a_recording_reads_as_it_was_written(package: Package) -> None:
    content = (package.folder / "metadata" / "recording.json").read_bytes()
    assert msgspec.json.decode(content, type=Recording) == package.recording
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(content.replace(b'"version": 1', b'"version": 2'), type=Recording)
    assert "Records-" not in (package.folder / bag.INFO_FILE).read_text(), "what nobody said is not there"


def events_of(folder: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in (folder / "metadata" / "premis.jsonl").read_bytes().splitlines()]


def test_whoever_finds_a_package_is_told_what_it_is(package: Package) -> None:
    listed = {path.relative_to(package.folder).as_posix() for path in package.folder.rglob("*") if path.is_file()}
    for name, words in (("BACA-SAYA.txt", ("rekaman", "MEMUTAR")), ("README.txt", ("recording", "TO PLAY IT"))):
        text = (package.folder / name).read_text()
        assert text.startswith("Rapat Senat\n")
        assert package.uuid in text
        assert all(word in text for word in words)
        described = set(re.findall(r"^  ([^\s:]+)  +\S", text, re.MULTILINE))
        assert described >= {"data/media/", "data/poster.jpg", "metadata/recording.json"}
        assert all(any(file.startswith(path) for file in listed) for path in described), "only what is there"
        covered = {file for file in listed if any(file.startswith(path) for path in described)}
        assert listed - covered == {"bagit.txt", "bag-info.txt", "BACA-SAYA.txt", "README.txt"}


@pytest.mark.parametrize("name", ["BACA-SAYA.txt", "README.txt"])
def test_the_way_to_check_without_liput_is_true(package: Package, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(package.folder, tmp_path / "paket")
    (command,) = re.findall(r"^  Linux: +(.+)$", (folder / name).read_text(), re.MULTILINE)
    subprocess.run(command, shell=True, check=True, cwd=folder, timeout=60)
    (folder / "data" / "poster.jpg").write_bytes(b"")
    assert subprocess.run(command, shell=True, check=False, cwd=folder, timeout=60).returncode


def test_events_of_its_life_are_in_the_words_of_premis(package: Package) -> None:
    events = events_of(package.folder)
    assert [event["eventType"] for event in events] == [
        "capture", "message digest calculation", "information package creation", "ingestion",
    ]  # fmt: skip
    assert (events[0]["eventOutcome"], events[0]["eventOutcomeDetail"]) == ("warning", "source-lost: podium")
    assert events[0]["eventDateTime"] == archives.FACTS.ended_at.isoformat()
    assert events[1]["linkingObject"] == ["data/media/program.mp4", "data/poster.jpg"]
    assert all(event["eventOutcome"] == "success" for event in events[1:])
    assert len({UUID(str(event["eventIdentifier"])) for event in events}) == 4
    for event in events:
        assert [agent["agentName"] for agent in event["linkingAgent"]] == ["Liput"]  # type: ignore[attr-defined]


def health_of(package: Package) -> list[dict[str, object]]:
    path = package.folder / "metadata" / "health.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


class At(SimulatedClock):
    """A clock that stands at a moment of the session."""

    def __init__(self, at_s: float) -> None:
        super().__init__()
        self._at = STARTED + timedelta(seconds=at_s)

    def now(self) -> datetime:
        return self._at


def log(*lines: tuple[float, str, LogLevel]) -> None:
    """Let the health log of this PC have lines, by their seconds from the session's beginning."""
    for at_s, device, level in lines:
        with HealthLog(clock=At(at_s), journal=None) as health:
            health(device, LogKind.DEGRADED, f"{device} at {at_s:g}", level=level)


def test_of_very_much_health_the_ends_are_kept(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.health.log_reader.MOST_SESSION_LINES", 4)
    log(*((0.1 * number, CAMERA.id, LogLevel.WARN) for number in range(9)))
    lines = health_of(archives.seal_one(archive, program))
    assert (lines[2]["kind"], lines[2]["detail"]) == (DROPPED_LINES, {"lines": 5})
    del lines[2]
    assert [line["reason"] for line in lines] == [f"{CAMERA.id} at {at}" for at in ("0", "0.1", "0.7", "0.8")]


def test_the_health_of_its_time_its_devices_and_its_pc_is_kept(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log((-1, CAMERA.id, LogLevel.WARN), (0.5, CAMERA.id, LogLevel.WARN), (1, "other", LogLevel.WARN),
        (1, PC, LogLevel.INFO), (1.5, CAMERA.id, LogLevel.DEBUG), (3, CAMERA.id, LogLevel.WARN))  # fmt: skip
    package = archives.seal_one(archive, program)
    assert [line["reason"] for line in health_of(package)] == [f"{CAMERA.id} at 0.5", f"{PC} at 1"]
    with archives.recorded(archive, program) as work, monkeypatch.context() as elsewhere:
        elsewhere.setattr(platform, "node", lambda: "another")
        assert health_of(archive.seal(work, archives.FACTS)) == []
    (tmp_path / "state").write_text("a file, where a folder should be")
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))
    package = archives.seal_one(archive, program)
    assert health_of(package) == []
    assert archive.verify(package) == []


WISHES = SealOptions(
    slides=SlideOptions(
        inputs=("slides",), layout="single", views={"single": SlidesView()}, languages=("ind", "eng"), text_s=600
    ),
    report=ReportOptions(signers=("Staf Humas",)),
)
QUICK = SealOptions(
    slides=SlideOptions(layout="single", views={"single": SlidesView()}),
    report=ReportOptions(pdf=False, signers=("Staf Humas",)),
)
"""Where neither the PDF nor what is read is looked at."""
TALK_FACTS = msgspec.structs.replace(archives.FACTS, marks=(Mark(at=archives.STARTED, media_s=14.5, text="Sambutan"),))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides of 12 s each, with sound."""
    pictures = [picture for number in (1, 2) for picture in still(deck(number), 12)]
    return record(tmp_path_factory.mktemp("talk") / "program.mp4", pictures, sound=True)


@contextmanager
def recorded_talk(archive: Archive, talk: Path, wishes: SealOptions | None = QUICK) -> Iterator[WorkFolder]:
    with archives.recorded(archive, talk, context=msgspec.structs.replace(archives.CONTEXT, wishes=wishes)) as work:
        yield work


def derived(package: Package) -> DerivedRecord:
    return msgspec.json.decode((package.folder / DERIVED_FILE).read_bytes(), type=DerivedRecord)


def test_a_talk_is_sealed_with_all_that_can_be_made_of_it(
    archive: Archive, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It runs idle, and waits for all other programs.
    monkeypatch.setattr("recorder.features.slides.chapters.SLIDE_DEADLINE_S", 240.0)
    calls: list[tuple[int, int]] = []
    with recorded_talk(archive, talk, WISHES) as work:
        package = archive.seal(work, TALK_FACTS, lambda *told: calls.append(told))
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    assert (package.folder / "data/media/program.mp4").read_bytes() == talk.read_bytes()
    recording = package.recording
    assert recording
    assert [(chapter.source, chapter.title) for chapter in recording.chapters] == [
        ("slide", DECK[0][0]), ("slide", DECK[1][0]), ("mark", "Sambutan"),
    ]  # fmt: skip
    assert DECK[0][1][0] in recording.chapters[0].text
    for picture in (SHEET_FILE, *(chapter.thumbnail for chapter in recording.chapters[:2])):
        assert picture
        with Image.open(package.folder / picture) as opened:
            opened.load()
    assert derived(package) == DerivedRecord(slides=2, slides_read=2, report=WISHES.report)
    page = (package.folder / "report.html").read_text()
    assert DECK[1][0] in page
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="level"' in page
    text = pypdf.PdfReader(io.BytesIO((package.folder / "report.pdf").read_bytes())).pages[0].extract_text()
    digest = bag.read_manifest((package.folder / bag.MANIFEST_FILE).read_bytes())["data/media/program.mp4"]
    assert digest in text
    tags = bag.read_manifest((package.folder / bag.TAG_MANIFEST_FILE).read_bytes())
    assert tags.keys() > {"report.html", "report.pdf", DERIVED_FILE, "metadata/levels.json"}
    # Recovery leaves out files of an earlier attempt: a name that it does not know would become a stray file.
    assert {path for path in tags if path.startswith("metadata/")} <= METADATA_FILES
    shares = [done / total for done, total in calls]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len({round(share, 1) for share in shares}) > 6, "there is something to see all along"


def test_without_wishes_only_marks_are_chapters(archive: Archive, talk: Path) -> None:
    with recorded_talk(archive, talk, None) as work:
        package = archive.seal(work, TALK_FACTS)
    assert package.recording
    assert [chapter.title for chapter in package.recording.chapters] == ["Sambutan"]
    assert not (package.folder / "report.html").exists()
    assert not (package.folder / "data/slides").exists()
    assert report_of_changed(package.folder, {}) == {}


def _broken(*_args: object, **_more: object) -> object:
    raise RuntimeError("a mistake of the program")


def test_whatever_cannot_be_made_is_noted_and_the_recording_is_sealed(
    archive: Archive, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pdf(_page: bytes) -> bytes:
        raise LiputError("there is no font")

    monkeypatch.setattr(chapters, "slide_jpeg", _broken)
    monkeypatch.setattr("recorder.features.report.material.thumbnails_sheet", _broken)
    monkeypatch.setattr("recorder.features.report.material.read_levels", _broken)
    monkeypatch.setattr("recorder.features.report.page.print_pdf", no_pdf)
    with recorded_talk(archive, talk, msgspec.structs.replace(QUICK, report=WISHES.report)) as work:
        package = archive.seal(work, TALK_FACTS)
    assert archive.verify(package) == []
    problems = derived(package).problems
    assert [problem.partition(":")[0] for problem in problems] == ["chapters", "thumbnails", "levels", "report.pdf"]
    assert ["a mistake of the program" in problem for problem in problems] == [True] * 3 + [False]
    assert not (package.folder / "data/slides").exists()
    assert (package.folder / "report.html").exists()


def test_what_an_earlier_attempt_found_is_not_looked_for_again(
    archive: Archive, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded_talk(archive, talk) as work:
        with monkeypatch.context() as patch:
            patch.setattr("recorder.archive.sealing.poster_of", _broken)
            with pytest.raises(RuntimeError):
                archive.seal(work, TALK_FACTS)
        found = msgspec.json.decode((work.path / "metadata/recording.json").read_bytes(), type=Recording)
        monkeypatch.setattr(chapters, "keyframes", _broken)
        package = archive.seal(work)
    assert package.recording
    assert package.recording.chapters == found.chapters
    assert len(found.chapters) == 3
    assert derived(package).problems == ()


def test_a_recording_that_cannot_be_read_is_kept_and_has_a_report_that_says_so(archive: Archive, talk: Path) -> None:
    with recorded_talk(archive, talk) as work:
        work.program.write_bytes(b"not media" * 1000)
        package = archive.seal(work, TALK_FACTS)
    validate(package)
    assert package.recording
    assert "media-unreadable" in package.recording.degraded
    assert package.recording.media[0].problem
    assert archive.verify(package) == []
    assert [problem.kind for problem in archive.verify(package, decode=True)] == ["undecodable"]
    assert derived(package).problems == ()
    assert "Tidak ada suara yang direkam" in (package.folder / "report.html").read_text()
