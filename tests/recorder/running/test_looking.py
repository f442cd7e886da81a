"""One picture of what a recorder has open, through its real preview socket."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
import pytest

from capture.media.preview import decode_jpeg
from config.errors import LiputError, MediaError, SessionError
from devices.host.clock import SystemClock
from recorder.control.preview_server import PreviewServer
from recorder.running import access
from recorder.running.client import PreviewClient, RecorderLost, fetch_preview
from recorder.running.protocol import PreviewCommand
from recorder.running.runtime_directory import RecorderFolder
from tests.recorder.control.test_previews import picture


@contextmanager
def showing(folder: Path, *pictures: av.VideoFrame) -> Iterator[RecorderFolder]:
    """Provide a recorder's folder with a preview socket, where `podium` shows these pictures again and again."""
    recorder, over = RecorderFolder(folder), threading.Event()
    server = PreviewServer(recorder.preview, ["podium"], SystemClock())

    def offer() -> None:
        while not over.wait(0.02):
            for each in pictures:
                server.offer("podium", each)

    thread = threading.Thread(target=offer)
    server.start()
    thread.start()
    try:
        yield recorder
    finally:
        over.set()
        thread.join()
        server.close()


def test_a_picture_comes_as_it_is_there(tmp_path: Path) -> None:
    with showing(tmp_path, picture(180)) as recorder:
        shown = decode_jpeg(fetch_preview(recorder, "podium", 10.0))
    assert (shown.width, shown.height, shown.format.name) == (640, 360, "yuv420p")
    assert shown.to_ndarray()[100, 100] == pytest.approx(180, abs=2)


def test_a_source_that_the_recorder_does_not_know_is_refused_by_its_words(tmp_path: Path) -> None:
    with showing(tmp_path) as recorder, pytest.raises(LiputError, match='there is no source "slides"'):
        fetch_preview(recorder, "slides", 10.0)


def test_one_that_shows_nothing_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    with showing(tmp_path) as recorder, pytest.raises(SessionError, match="shows no picture of podium"):
        fetch_preview(recorder, "podium", 0.3)


def test_a_recorder_that_is_gone_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="shows no picture of podium"):
        fetch_preview(RecorderFolder(tmp_path), "podium", 0.3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xd9"])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(MediaError):
        decode_jpeg(content)


def test_one_that_hangs_is_lost_in_time(tmp_path: Path) -> None:
    recorder = RecorderFolder(tmp_path)
    with closing(access.listen_at(recorder.preview)), PreviewClient(recorder) as client:
        with pytest.raises(RecorderLost, match="does not answer"):
            client.look(PreviewCommand(), 0.2)
        assert client.picture(0.0) is None
