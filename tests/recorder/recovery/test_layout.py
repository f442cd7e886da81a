"""The state of a file is read from its boxes, whatever a crash has made of its end."""

from pathlib import Path

import pytest

from recorder.recovery.copying import Piece, look, opened
from tests.support import media
from tests.support.cut_short import Left, fragments


def test_what_a_kill_leaves_is_open_and_what_a_close_leaves_is_not(left: Left) -> None:
    killed = look(left.killed)
    assert killed.is_open
    assert killed.whole_bytes == fragments(left.killed)[-1][1]
    closed = look(left.closed)
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
        assert (look(cut).is_open, look(cut).whole_bytes) == (True, expected)
    cut.write_bytes(content[: whole[0][0]])
    assert not look(cut).is_open


def test_only_what_is_whole_is_read(left: Left, tmp_path: Path) -> None:
    """Whatever is in the folder's name: the options of FFmpeg's protocol stand before it."""
    path = tmp_path / "a,end,9,,:b" / "zeros.mp4"
    path.parent.mkdir()
    path.write_bytes(left.killed.read_bytes()[: look(left.killed).whole_bytes] + b"\1" * 5000)
    with opened(look(path)) as container, opened(look(left.killed)) as whole:
        assert sum(packet.size for packet in container.demux()) == sum(packet.size for packet in whole.demux())


def test_zeros_at_the_end_are_no_fragment(left: Left, tmp_path: Path) -> None:
    """What a power cut leaves of a file that has grown and whose content has not come onto the disk."""
    path = tmp_path / "zeros.mp4"
    path.write_bytes(left.killed.read_bytes()[: look(left.killed).whole_bytes] + bytes(5000))
    assert look(path).whole_bytes == look(left.killed).whole_bytes


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
    assert look(path) == Piece(path, len(content), len(content), is_open=False)


def test_matroska_is_open_until_it_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "mjpeg",
        "-cluster_time_limit", "200", path,
    )  # fmt: skip
    assert not look(path).is_open
    live = tmp_path / "live.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "mjpeg", "-f", "matroska",
        "-live", "1", live,
    )  # fmt: skip
    assert look(live).is_open
