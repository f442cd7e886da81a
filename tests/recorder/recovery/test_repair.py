"""A killed recording becomes an ordinary MP4 that plays what it played before, to the frame and the sample."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from config.errors import MediaError
from recorder.disk.durable import Disk, aside_of
from recorder.model.marks import Mark
from recorder.recovery.copying import look, repair
from tests.support import media
from tests.support.archives import STARTED
from tests.support.cut_short import Left, fragments


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
    assert repair(killed, Disk())
    assert not look(killed).is_open
    media.decodes_cleanly(killed)
    for kind in "va":
        assert timed(killed, kind) == timed(left.killed, kind)
        assert media.decoded(killed, kind) == media.decoded(left.killed, kind)
    assert media.decoded(killed, "a").start_s == 0, "the encoder's run-in stays before 0"
    assert not aside_of(killed).exists()


def test_an_incomplete_last_fragment_is_dropped(killed: Path, left: Left) -> None:
    os.truncate(killed, fragments(killed)[-1][1] - 100)
    assert repair(killed, Disk())
    media.decodes_cleanly(killed)
    assert media.decoded(killed, "v").frames < media.decoded(left.killed, "v").frames


def test_a_kill_between_a_picture_and_those_shown_before_it(killed: Path, tmp_path: Path) -> None:
    """Whatever the last fragment holds: the index, what plays, and what was left agree about the end."""
    for number, (_, end) in enumerate(fragments(killed)[-6:]):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(killed.read_bytes()[:end])
        before = timed(path, "v")
        assert repair(path, Disk())
        assert timed(path, "v") == before
        last = int(before[-1].split(",")[2])
        described = media.run(
            "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=duration", "-of", "csv=p=0", path
        )
        assert float(described.strip().strip(",")) == pytest.approx((last + 1) / 30, abs=0.001)


def test_the_time_of_the_last_write_stays(killed: Path) -> None:
    os.utime(killed, (1_700_000_000, 1_700_000_123))
    assert repair(killed, Disk())
    assert killed.stat().st_mtime == 1_700_000_123


def test_a_second_repair_changes_nothing(killed: Path) -> None:
    assert repair(killed, Disk())
    content = killed.read_bytes()
    assert not repair(killed, Disk())
    assert killed.read_bytes() == content


def test_a_closed_recording_is_left_alone(left: Left) -> None:
    content = left.closed.read_bytes()
    assert not repair(left.closed, Disk())
    assert left.closed.read_bytes() == content


def test_marks_become_chapters(killed: Path) -> None:
    mark = Mark(at=STARTED, media_s=2.5, text="Sambutan rektor é")
    assert repair(killed, Disk(), marks=[mark], title="Rapat Senat")
    listed = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", killed))["chapters"]
    assert [(float(each["start_time"]), each["tags"]["title"]) for each in listed] == [
        (0.0, "Rapat Senat"), (2.5, "Sambutan rektor é"),
    ]  # fmt: skip
    assert float(listed[-1]["end_time"]) == pytest.approx(media.decoded(killed, "v").end_s, abs=0.05)


def test_a_copy_that_is_not_the_same_does_not_replace_the_original(unclosed: Path) -> None:
    """As on a disk that loses what it was given: a byte of a picture is another one when it is read back."""

    def spoil(step: str, path: Path) -> None:
        if step == "verify":
            spoiled = bytearray(aside_of(path).read_bytes())
            spoiled[len(spoiled) // 2] ^= 1
            aside_of(path).write_bytes(spoiled)

    content = unclosed.read_bytes()
    with pytest.raises(MediaError, match="not what was copied"):
        repair(unclosed, Disk(spoil))
    assert unclosed.read_bytes() == content
    assert not aside_of(unclosed).exists()


def test_a_full_disk_costs_nothing(killed: Path, unclosed: Path) -> None:
    def fail(step: str, path: Path) -> None:
        if step == "sync":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    for path in (killed, unclosed):
        content, whole_bytes, written = path.read_bytes(), look(path).whole_bytes, path.stat().st_mtime_ns
        with pytest.raises(OSError, match="No space"):
            repair(path, Disk(fail))
        assert path.read_bytes() == content[:whole_bytes]
        assert path.stat().st_mtime_ns == written
        assert not aside_of(path).exists()


def test_progress_counts_what_is_written_and_what_is_read_back(killed: Path) -> None:
    counts: list[int] = []
    assert repair(killed, Disk(), advance=counts.append)
    assert sum(counts) == pytest.approx(2 * killed.stat().st_size, rel=0.15)
    assert len(counts) > 5


def test_matroska_that_was_not_closed_gets_its_length(unclosed: Path) -> None:
    assert repair(unclosed, Disk())
    assert not look(unclosed).is_open
    assert media.decoded(unclosed, "v").frames == 30
    media.decodes_cleanly(unclosed)
