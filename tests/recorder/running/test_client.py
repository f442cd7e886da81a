"""Talking to a recorder: one that hangs keeps nobody waiting for longer than they wanted to wait."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import av
import pytest

from capture.media.preview import decode_jpeg
from config.errors import LiputError, MediaError, SessionError
from devices.host.clock import SystemClock
from recorder.control.preview_server import PreviewServer
from recorder.model.status import SessionState, SessionStatus
from recorder.running import access
from recorder.running.access import BACKLOG
from recorder.running.client import (
    ANSWER_S,
    PATIENCE_S,
    PreviewClient,
    RecorderLost,
    fetch_preview,
    find_running,
    running_recorders,
    send_command,
)
from recorder.running.protocol import PreviewCommand, StatusCommand
from recorder.running.runtime_directory import RecorderFolder
from tests.recorder.control.test_previews import picture
from tests.support.scripted_session import ServedRecorder, hanging, taken
from tests.support.waiting import wait_for


@pytest.mark.parametrize("clients", [0, BACKLOG + 1])
def test_one_that_hangs_is_given_up_in_time_however_many_wait_for_it(clients: int) -> None:
    with hanging(clients=clients) as (folder, _):
        began = time.monotonic()
        with pytest.raises(RecorderLost):
            send_command(folder, StatusCommand(), 0.5)
        assert time.monotonic() - began < ANSWER_S / 2


@pytest.mark.parametrize("timeout_s", [0.0, 0.4e-6, 0.9999999])
def test_any_time_is_a_time_to_wait(timeout_s: float) -> None:
    """The kernel takes whole seconds and less than a million microseconds, and none at all for ever."""
    with hanging(clients=BACKLOG + 1) as (folder, _):
        began = time.monotonic()
        with pytest.raises(RecorderLost, match="cannot be reached: Resource temporarily unavailable"):
            send_command(folder, StatusCommand(), timeout_s)
        assert time.monotonic() - began < ANSWER_S / 2


def test_one_that_is_named_is_found_and_no_other_is_asked() -> None:
    """One that hangs would hold up for seconds whoever starts or ends another."""
    asked: list[str] = []

    def counted(status: SessionStatus) -> SessionStatus:
        asked.append("Dua")
        return status

    with ServedRecorder("Satu") as one, ServedRecorder("Dua", counted):
        found = find_running(one.info.id)
        assert found
        assert (found.info.title, found.status is not None, asked) == ("Satu", True, [])
        assert find_running(one.info.id[:-1]) is None, "only its whole id means it"
        assert (len(running_recorders()), asked) == (2, ["Dua"])


def test_those_that_hang_are_waited_for_together_and_asked_nothing_more_meanwhile() -> None:
    with ExitStack() as stack:
        hung = [stack.enter_context(hanging(f"Macet {number}"))[1] for number in range(4)]
        well = stack.enter_context(ServedRecorder("Rapat"))
        for most_s in (3 * PATIENCE_S, PATIENCE_S, PATIENCE_S):
            began = time.monotonic()
            assert [one.state for one in running_recorders()] == [None] * 4 + [SessionState.LIVE]
            assert find_running(well.info.id)
            assert time.monotonic() - began < most_s
        assert [taken(listener) for listener in hung] == [1] * 4


def test_one_that_has_hung_is_asked_again_once_it_answers() -> None:
    answers = threading.Event()

    def late(status: SessionStatus) -> SessionStatus:
        answers.wait(60)
        return status

    with ServedRecorder("Macet", late):
        assert [found.status for found in running_recorders()] == [None]
        answers.set()
        wait_for(lambda: [found.state for found in running_recorders()] == [SessionState.LIVE])


# One picture of what a recorder has open, through its real preview socket.


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
