"""The film alone: an MP4 that any player opens, with its chapters, the packets those of the package."""

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError, PackageDamaged
from recorder.archive import catalog
from recorder.archive.exporting import contents
from recorder.model.marks import Mark
from recorder.package.manifest import Chapter, Package, Recording
from recorder.recovery.handover import starts, write_mp4
from tests.support import archives, media
from tests.support.damage import MEDIA

MARKS = tuple(Mark(at=archives.STARTED + timedelta(seconds=s), media_s=s, text=text)
              for s, text in ((0.5, "Pembukaan"), (1.5, "Tanya jawab")))  # fmt: skip
CHAPTERS = (
    Chapter(start_s=0.5, title="Pembukaan", source="mark"),
    Chapter(start_s=1.0, title="Anggaran 2027", source="slide"),
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("arsip")
    return archives.seal_one(archives.archive_at(folder), archives.make_program(folder / "program.mp4"))


def described(package: Package) -> Recording:
    return msgspec.structs.replace(catalog.read_recording(package.folder), marks=MARKS, chapters=CHAPTERS)


def probe(path: Path) -> dict[str, object]:
    command = ["ffprobe", "-v", "error", "-show_chapters", "-show_format", "-of", "json", str(path)]
    answer: dict[str, object] = json.loads(subprocess.check_output(command, timeout=60))
    return answer


def packets(path: Path) -> bytes:
    """Return track, time and checksum of every packet, as ffprobe finds them."""
    entries = ["-show_data_hash", "SHA256", "-show_entries", "packet=stream_index,pts_time,data_hash"]
    return subprocess.check_output(["ffprobe", "-v", "error", *entries, "-of", "csv", str(path)], timeout=60)


def test_it_plays_with_chapters_and_title(package: Package, tmp_path: Path) -> None:
    target = tmp_path / "rapat.mp4"
    calls: list[tuple[int, int]] = []
    write_mp4(contents(package.folder), described(package), target, lambda *told: calls.append(told))
    media.decodes_cleanly(target)
    assert media.decoded(target, "v").frames == archives.FRAMES
    assert packets(target) == packets(package.folder / MEDIA)
    found = probe(target)
    chapters = [(float(one["start_time"]), one["tags"]["title"]) for one in found["chapters"]]  # type: ignore[attr-defined]
    assert chapters == [(0.0, "Rapat Senat"), (0.5, "Pembukaan"), (1.0, "Anggaran 2027"), (1.5, "Tanya jawab")]
    assert found["format"]["tags"]["title"] == "Rapat Senat"  # type: ignore[index]
    assert calls == sorted(calls)
    assert list(tmp_path.iterdir()) == [target]


def test_a_mark_that_is_a_chapter_is_one(package: Package) -> None:
    assert [mark.text for mark in starts(described(package))] == ["Pembukaan", "Anggaran 2027", "Tanya jawab"]


def test_nothing_is_overwritten(package: Package, tmp_path: Path) -> None:
    (tmp_path / "rapat.mp4").write_bytes(b"lain")
    with pytest.raises(ArchiveError, match="is there already"):
        write_mp4(contents(package.folder), described(package), tmp_path / "rapat.mp4")
    assert (tmp_path / "rapat.mp4").read_bytes() == b"lain"


def test_media_that_have_changed_are_not_handed_over(package: Package, tmp_path: Path) -> None:
    whole = [replace(one, digest="0" * 64) for one in contents(package.folder)]
    with pytest.raises(PackageDamaged, match=rf"{package.id} is damaged: .* is changed") as caught:
        write_mp4(whole, described(package), tmp_path / "rapat.mp4")
    assert f"liput archive verify {package.id} " in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_two_programs_are_not_one_film(package: Package, tmp_path: Path) -> None:
    recording = described(package)
    second = msgspec.structs.replace(recording.media[0], file="data/media/program-2.mp4")
    whole = contents(package.folder)
    both = [*whole, *(replace(one, path=second.file) for one in whole if one.path == MEDIA)]
    with pytest.raises(ArchiveError, match="has 2 programs"):
        write_mp4(both, msgspec.structs.replace(recording, media=(*recording.media, second)), tmp_path / "rapat.mp4")
