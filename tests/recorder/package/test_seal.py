"""A sealed package: valid to others, described truly, complete before it is seen."""

import errno
import hashlib
import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest

from config.errors import ArchiveError, StorageError
from recorder.archive import sealing
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.model.names import one_line, utf8_safe
from recorder.package import fixity
from recorder.package.documents import DUBLIN_CORE_TERMS
from recorder.package.metadata import AudioTrack, Package, PackageState, Recording, RecordingFacts, VideoTrack
from tests.recorder.package.test_begin import ODD_TITLES
from tests.support import archives
from tests.support.errors import because
from tests.support.schemas import RECORDING_SCHEMA
from tests.support.simulated import SimulatedClock


def validate(package: Package) -> None:
    """Let others judge: the bagit library, and jsonschema with the shipped schema."""
    archives.validate_bag(package.folder)
    schema = json.loads(RECORDING_SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((package.folder / "metadata" / "recording.json").read_bytes())
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())
    ET.parse(package.folder / "metadata" / "dublincore.xml")


def test_a_package_is_valid_to_others_and_to_us(archive: Archive, package: Package) -> None:
    validate(package)
    assert archive.verify(package, decode=True) == []


def test_a_package_is_where_its_date_says(archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "STEPS", ())  # a feature may add files to each package
    package = archives.seal_one(archive, program)
    assert package.folder.parent == archive.root / "2026" / "11"
    assert package.id == package.folder.name
    assert package.id.endswith(f"_{package.uuid[:8]}")
    assert list((archive.root / ".incoming").iterdir()) == []
    assert sorted(fixity.walk(package.folder)[0]) == [
        "BACA-SAYA.txt", "README.txt", "bag-info.txt", "bagit.txt", "data/media/program.mp4", "data/poster.jpg",
        "manifest-sha256.txt",
        "metadata/devices.json", "metadata/dublincore.xml", "metadata/events.jsonl", "metadata/premis.jsonl",
        "metadata/recording.json",
        "tagmanifest-sha256.txt",
    ]  # fmt: skip


def test_the_recording_arrives_bit_for_bit(package: Package, program: Path) -> None:
    assert (package.folder / "data" / "media" / "program.mp4").read_bytes() == program.read_bytes()
    manifest = (package.folder / "manifest-sha256.txt").read_text()
    assert f"{hashlib.sha256(program.read_bytes()).hexdigest()}  data/media/program.mp4\n" in manifest


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


def test_the_devices_and_events_of_the_session_are_kept(package: Package) -> None:
    devices = json.loads((package.folder / "metadata" / "devices.json").read_bytes())
    assert [device["id"] for device in devices] == [archives.CAMERA.id]
    assert (package.folder / "metadata" / "events.jsonl").read_text() == '{"type":"event","kind":"started"}\n'


def test_the_label_tells_what_the_package_is(package: Package) -> None:
    info = archives.validate_bag(package.folder)
    assert info["Source-Organization"] == "Biro PKIH"
    assert info["External-Description"] == "Rapat Senat"
    assert info["External-Identifier"] == package.uuid
    assert info["Bagging-Date"] == SimulatedClock().now().date().isoformat()
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


def test_dublin_core_says_the_same(package: Package) -> None:
    root = ET.parse(package.folder / "metadata" / "dublincore.xml").getroot()
    terms = {element.tag.removeprefix(f"{{{DUBLIN_CORE_TERMS}}}"): element.text for element in root}
    assert terms["title"] == "Rapat Senat"
    assert terms["identifier"] == f"urn:uuid:{package.uuid}"
    assert terms["created"] == "2026-11-24T09:00:00+07:00"
    assert terms["spatial"] == "Aula"
    assert terms["type"] == "MovingImage"
    assert (terms["extent"] or "").startswith("PT0H0M2.")


@pytest.mark.parametrize("title", ODD_TITLES)
def test_odd_titles_make_valid_packages(archive: Archive, program: Path, title: str) -> None:
    package = archives.seal_one(archive, program, title)
    validate(package)
    assert archive.verify(package) == []
    assert package.title == utf8_safe(title)
    info = archives.validate_bag(package.folder)
    assert info["External-Identifier"] == package.uuid
    assert info.get("External-Description", "") == one_line(title)


def test_progress_counts_every_byte_of_the_payload_once(archive: Archive, program: Path) -> None:
    calls: list[tuple[int, int]] = []
    with archives.recorded(archive, program) as work:
        package = archive.seal(work, archives.FACTS, lambda done, total: calls.append((done, total)))
    payload = program.stat().st_size + (package.folder / "data" / "poster.jpg").stat().st_size
    assert calls == sorted(calls)
    assert calls[-1] == (payload, payload)


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


def test_a_half_written_last_event_is_cut_off(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        whole = work.events.read_bytes()
        work.events.write_bytes(whole + b'{"type":"eve')
        package = archive.seal(work, archives.FACTS)
    assert (package.folder / "metadata" / "events.jsonl").read_bytes() == whole


def test_an_empty_recording_is_not_sealed(archive: Archive) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    work.program.touch()
    with pytest.raises(ArchiveError, match="holds no recording"):
        archive.seal(work, archives.FACTS)
    assert work.path.is_dir()
    archive.discard(work)


def test_a_recording_that_cannot_be_read_is_kept_and_says_so(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        work.program.write_bytes(b"not media" * 1000)
        package = archive.seal(work, archives.FACTS)
    validate(package)
    assert package.recording
    assert "media-unreadable" in package.recording.degraded
    assert package.recording.media[0].problem
    assert archive.verify(package) == []
    assert [problem.kind for problem in archive.verify(package, decode=True)] == ["undecodable"]


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

    def fail(_step: str, path: Path) -> None:
        if full and path.name == "manifest-sha256.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    archive = archives.archive_at(tmp_path / "arsip", DurableFiles(fail))
    with archives.recorded(archive, program) as work:
        with pytest.raises(StorageError, check=because("full")):
            archive.seal(work, archives.FACTS)
        assert work.program.read_bytes() == program.read_bytes()
        full = False
        package = archive.seal(work, msgspec.structs.replace(archives.FACTS, dropped=7))
    validate(package)
    assert package.recording
    assert package.recording.dropped == 7, "the newest facts count"


def test_a_recording_left_by_a_killed_recorder_is_sealed_from_what_it_tells(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        work.release()
        (unfinished,) = archive.list()
        assert unfinished.state is PackageState.UNFINISHED
        package = archive.seal(archive.reopen(unfinished.folder))
    validate(package)
    recording = package.recording
    assert recording
    assert recording.degraded == ("interrupted",)
    assert (recording.dropped, recording.repeated) == (None, None)
    assert recording.ended_at - recording.started_at == timedelta(seconds=recording.duration_s)
    assert (recording.room, recording.destinations) == ("Aula", ("youtube",))


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
