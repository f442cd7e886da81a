"""The state of a file is read from its boxes, whatever a crash has made of its end."""

import os
from pathlib import Path

import pytest

from recorder.recovery.layout import Kind, View, look
from tests.support import media
from tests.support.cut_short import Left


def test_what_a_kill_leaves_is_fragmented_and_what_a_close_leaves_is_not(left: Left) -> None:
    killed = look(left.killed)
    assert killed.kind is Kind.FRAGMENTED
    assert len(killed.fragments) > 8
    assert all(first < last for first, last in killed.fragments)
    assert look(left.closed).kind is Kind.ORDINARY


def test_a_fragment_counts_once_it_is_whole(left: Left, tmp_path: Path) -> None:
    content, whole = left.killed.read_bytes(), look(left.killed).fragments
    cut = tmp_path / "cut.mp4"
    for end, expected in (
        (whole[-1][1] - 1, 1),
        (whole[-1][0] + 3, 1),
        (whole[0][1], len(whole) - 1),
        (whole[0][0], None),
    ):
        cut.write_bytes(content[:end])
        found = look(cut)
        if expected is None:
            assert (found.kind, found.fragments) == (Kind.EMPTY, ())
        else:
            assert (found.kind, found.fragments) == (Kind.FRAGMENTED, whole[: len(whole) - expected])


def test_zeros_at_the_end_are_no_fragment(left: Left, tmp_path: Path) -> None:
    """What a power cut leaves of a file that has grown and whose content has not come onto the disk."""
    path = tmp_path / "zeros.mp4"
    path.write_bytes(left.killed.read_bytes()[: look(left.killed).whole_bytes] + bytes(5000))
    assert look(path).fragments == look(left.killed).fragments


def test_a_patched_head_without_an_index_is_torn(left: Left, tmp_path: Path) -> None:
    """Reproduced from a closed file: everything is there but the moov that was appended last."""
    content = left.closed.read_bytes()
    path = tmp_path / "torn.mp4"
    for end in (content.rindex(b"moov") - 4, content.rindex(b"moov") + 100, content.rindex(b"moov") - 3000):
        path.write_bytes(content[:end])
        assert look(path).kind is Kind.TORN


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.mp4", b"", Kind.EMPTY),
        ("a.mkv", b"", Kind.EMPTY),
        ("a.mp4", bytes(100), Kind.UNKNOWN),
        ("a.mp4", b"#EXTM3U\nfile:///etc/passwd\n", Kind.UNKNOWN),
        ("a.mkv", b"not Matroska" * 100, Kind.UNKNOWN),
        ("a.txt", b"words", Kind.UNKNOWN),
        ("a.mp4", (16).to_bytes(4) + b"ftypisom" + bytes(4), Kind.EMPTY),
    ],
)
def test_other_files(tmp_path: Path, name: str, content: bytes, kind: Kind) -> None:
    (tmp_path / name).write_bytes(content)
    assert look(tmp_path / name).kind is kind


def test_matroska_is_open_until_it_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "mjpeg",
        "-cluster_time_limit", "200", path,
    )  # fmt: skip
    assert look(path).kind is Kind.ORDINARY
    live = tmp_path / "live.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "mjpeg", "-f", "matroska",
        "-live", "1", live,
    )  # fmt: skip
    assert look(live).kind is Kind.OPEN


def test_a_view_ends_where_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    content = os.urandom(300)
    path.write_bytes(content)
    with View(path, 250) as view:
        assert view.seek(0, os.SEEK_END) == 250
        assert view.seek(-50, os.SEEK_CUR) == view.tell() == 200
        assert view.read() == content[200:250]
        assert view.read(10) == b""
        view.seek(240)
        assert view.read(100) == content[240:250]
