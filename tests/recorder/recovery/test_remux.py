"""A killed recording becomes an ordinary MP4 that plays what it played before, to the frame and the sample."""

import errno
import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError, MediaError, PackageDamaged
from recorder.archive.archive import read_recording
from recorder.archive.exporting import package_files
from recorder.disk.durable import DurableFiles, temporary_of
from recorder.model.marks import Mark
from recorder.package.metadata import Chapter, Package, Recording
from recorder.recovery.remux import MediaPiece, chapter_marks, inspect_media, open_piece, repair_media, write_mp4
from tests.support import archives, media
from tests.support.archives import STARTED
from tests.support.damage import MEDIA
from tests.support.leftovers import Left, fragments


def test_what_a_kill_leaves_is_open_and_what_a_close_leaves_is_not(left: Left) -> None:
    killed = inspect_media(left.killed)
    assert killed.is_open
    assert killed.whole_bytes == fragments(left.killed)[-1][1]
    closed = inspect_media(left.closed)
    assert (closed.is_open, closed.whole_bytes) == (False, closed.bytes)


def test_a_fragment_counts_once_it_is_whole(left: Left, tmp_path: Path) -> None:
    content, whole = left.killed.read_bytes(), fragments(left.killed)
    assert len(whole) > 8
    cut = tmp_path / "cut.mp4"
    for end, expected in (
        (whole[-1][1] - 1, whole[-2][1]),
        (whole[-1][0] + 3, whole[-2][1]),
        (whole[0][1], whole[0][1]),
    ):
        cut.write_bytes(content[:end])
        assert (inspect_media(cut).is_open, inspect_media(cut).whole_bytes) == (True, expected)
    cut.write_bytes(content[: whole[0][0]])
    assert not inspect_media(cut).is_open


def test_only_what_is_whole_is_read(left: Left, tmp_path: Path) -> None:
    """Whatever is in the folder's name: the options of FFmpeg's protocol stand before it."""
    path = tmp_path / "a,end,9,,:b" / "zeros.mp4"
    path.parent.mkdir()
    path.write_bytes(left.killed.read_bytes()[: inspect_media(left.killed).whole_bytes] + b"\1" * 5000)
    with open_piece(inspect_media(path)) as container, open_piece(inspect_media(left.killed)) as whole:
        assert sum(packet.size for packet in container.demux()) == sum(packet.size for packet in whole.demux())


def test_zeros_at_the_end_are_no_fragment(left: Left, tmp_path: Path) -> None:
    """What a power cut leaves of a file that has grown and whose content has not come onto the disk."""
    path = tmp_path / "zeros.mp4"
    path.write_bytes(left.killed.read_bytes()[: inspect_media(left.killed).whole_bytes] + bytes(5000))
    assert inspect_media(path).whole_bytes == inspect_media(left.killed).whole_bytes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mp4", b""),
        ("a.mkv", b""),
        ("a.mp4", bytes(100)),
        ("a.mp4", b"#EXTM3U\nfile:///etc/passwd\n"),
        ("a.mkv", b"not Matroska" * 100),
        ("a.txt", b"words"),
        ("a.mp4", (16).to_bytes(4) + b"ftypisom" + bytes(4)),
    ],
)
def test_other_files_are_not_open(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert inspect_media(path) == MediaPiece(path, len(content), len(content), is_open=False)


def test_matroska_is_open_until_it_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "mjpeg",
        "-cluster_time_limit", "200", path,
    )  # fmt: skip
    assert not inspect_media(path).is_open
    live = tmp_path / "live.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "mjpeg", "-f", "matroska",
        "-live", "1", live,
    )  # fmt: skip
    assert inspect_media(live).is_open


@pytest.fixture
def killed(left: Left, tmp_path: Path) -> Path:
    path = tmp_path / "program.mp4"
    shutil.copyfile(left.killed, path)
    return path


@pytest.fixture
def unclosed(tmp_path: Path) -> Path:
    """Return a Matroska file that was never closed."""
    path = tmp_path / "podium.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=3", "-c:v", "mjpeg", "-f", "matroska",
         "-live", "1", str(path)], check=True, timeout=60,
    )  # fmt: skip
    return path


def timed(path: Path, kind: str) -> list[str]:
    """Return when each frame is shown, and a hash of each, as the ffmpeg command decodes it."""
    return media.run(
        "ffmpeg", "-v", "error", "-i", path, "-map", f"0:{kind}:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"
    ).splitlines()[-200:]


def test_what_plays_is_the_same_to_the_frame_and_the_sample(killed: Path, left: Left) -> None:
    repair_media(killed, DurableFiles())
    assert not inspect_media(killed).is_open
    media.decodes_cleanly(killed)
    for kind in "va":
        assert timed(killed, kind) == timed(left.killed, kind)
        assert media.decoded(killed, kind) == media.decoded(left.killed, kind)
    assert media.decoded(killed, "a").start_s == 0, "the encoder's run-in stays before 0"
    assert not temporary_of(killed).exists()


def test_an_incomplete_last_fragment_is_dropped(killed: Path, left: Left) -> None:
    os.truncate(killed, fragments(killed)[-1][1] - 100)
    repair_media(killed, DurableFiles())
    media.decodes_cleanly(killed)
    assert media.decoded(killed, "v").frames < media.decoded(left.killed, "v").frames


def test_a_kill_between_a_picture_and_those_shown_before_it(killed: Path, tmp_path: Path) -> None:
    """Whatever the last fragment holds: the index, what plays, and what was left agree about the end."""
    for number, (_, end) in enumerate(fragments(killed)[-6:]):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(killed.read_bytes()[:end])
        before = timed(path, "v")
        repair_media(path, DurableFiles())
        assert timed(path, "v") == before
        last = int(before[-1].split(",")[2])
        described = media.run(
            "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=duration", "-of", "csv=p=0", path
        )
        assert float(described.strip().strip(",")) == pytest.approx((last + 1) / 30, abs=0.001)


def test_the_time_of_the_last_write_stays(killed: Path) -> None:
    os.utime(killed, (1_700_000_000, 1_700_000_123))
    repair_media(killed, DurableFiles())
    assert killed.stat().st_mtime == 1_700_000_123


def test_a_second_repair_changes_nothing(killed: Path) -> None:
    repair_media(killed, DurableFiles())
    content = killed.read_bytes()
    repair_media(killed, DurableFiles())
    assert killed.read_bytes() == content


def test_a_closed_recording_is_left_alone(left: Left) -> None:
    content = left.closed.read_bytes()
    repair_media(left.closed, DurableFiles())
    assert left.closed.read_bytes() == content


def test_marks_become_chapters(killed: Path) -> None:
    mark = Mark(at=STARTED, media_s=2.5, text="Sambutan rektor é")
    repair_media(killed, DurableFiles(), marks=[mark], title="Rapat Senat")
    listed = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", killed))["chapters"]
    assert [(float(each["start_time"]), each["tags"]["title"]) for each in listed] == [
        (0.0, "Rapat Senat"), (2.5, "Sambutan rektor é"),
    ]  # fmt: skip
    assert float(listed[-1]["end_time"]) == pytest.approx(media.decoded(killed, "v").end_s, abs=0.05)


def test_a_copy_that_is_not_the_same_does_not_replace_the_original(unclosed: Path) -> None:
    """As on a disk that loses what it was given: a byte of a picture is another one when it is read back."""

    def spoil(step: str, path: Path) -> None:
        if step == "verify":
            spoiled = bytearray(temporary_of(path).read_bytes())
            spoiled[len(spoiled) // 2] ^= 1
            temporary_of(path).write_bytes(spoiled)

    content = unclosed.read_bytes()
    with pytest.raises(MediaError, match="differs from its original"):
        repair_media(unclosed, DurableFiles(spoil))
    assert unclosed.read_bytes() == content
    assert not temporary_of(unclosed).exists()


def test_a_full_disk_costs_nothing(killed: Path, unclosed: Path) -> None:
    def fail(step: str, path: Path) -> None:
        if step == "sync":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    for path in (killed, unclosed):
        content, whole_bytes, written = path.read_bytes(), inspect_media(path).whole_bytes, path.stat().st_mtime_ns
        with pytest.raises(OSError, match="No space"):
            repair_media(path, DurableFiles(fail))
        assert path.read_bytes() == content[:whole_bytes]
        assert path.stat().st_mtime_ns == written
        assert not temporary_of(path).exists()


def test_progress_counts_what_is_written_and_what_is_read_back(killed: Path) -> None:
    counts: list[int] = []
    repair_media(killed, DurableFiles(), advance=counts.append)
    assert sum(counts) == pytest.approx(2 * killed.stat().st_size, rel=0.15)
    assert len(counts) > 5


def test_matroska_that_was_not_closed_gets_its_length(unclosed: Path) -> None:
    repair_media(unclosed, DurableFiles())
    assert not inspect_media(unclosed).is_open
    assert media.decoded(unclosed, "v").frames == 30
    media.decodes_cleanly(unclosed)


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
    return msgspec.structs.replace(read_recording(package.folder), marks=MARKS, chapters=CHAPTERS)


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
    write_mp4(package_files(package.folder), described(package), target, lambda *told: calls.append(told))
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
    assert [mark.text for mark in chapter_marks(described(package))] == ["Pembukaan", "Anggaran 2027", "Tanya jawab"]


def test_nothing_is_overwritten(package: Package, tmp_path: Path) -> None:
    (tmp_path / "rapat.mp4").write_bytes(b"lain")
    with pytest.raises(ArchiveError, match="is there already"):
        write_mp4(package_files(package.folder), described(package), tmp_path / "rapat.mp4")
    assert (tmp_path / "rapat.mp4").read_bytes() == b"lain"


def test_media_that_have_changed_are_not_handed_over(package: Package, tmp_path: Path) -> None:
    whole = [replace(one, digest="0" * 64) for one in package_files(package.folder)]
    with pytest.raises(PackageDamaged, match=rf"{package.id} is damaged: .* is changed") as caught:
        write_mp4(whole, described(package), tmp_path / "rapat.mp4")
    assert f"liput archive verify {package.id} " in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_two_programs_are_not_one_film(package: Package, tmp_path: Path) -> None:
    recording = described(package)
    second = msgspec.structs.replace(recording.media[0], file="data/media/program-2.mp4")
    whole = package_files(package.folder)
    both = [*whole, *(replace(one, path=second.file) for one in whole if one.path == MEDIA)]
    with pytest.raises(ArchiveError, match="has 2 programs"):
        write_mp4(both, msgspec.structs.replace(recording, media=(*recording.media, second)), tmp_path / "rapat.mp4")
