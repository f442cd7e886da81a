"""The preview socket by real sockets: who looks gets pictures, nobody else costs anything."""

import random
import select
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import av
import pytest

from capture.media.preview import decode_jpeg
from config.errors import LiputError, SessionError
from devices.host.clock import NANOSECONDS, Clock, SystemClock
from recorder.control import preview_server
from recorder.control.preview_server import MOST_VIEWERS, PreviewServer
from recorder.running import access
from recorder.running.client import PreviewClient, RecorderLost, fetch_preview
from recorder.running.protocol import PreviewCommand, RecorderRefused
from recorder.running.runtime_directory import RecorderFolder
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


def picture(level: int, width: int = 640, height: int = 360) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, sample in zip(frame.planes, (level, 128, 128), strict=True):
        plane.update(bytes([sample]) * plane.buffer_size)
    frame.colorspace = 1
    return frame


def size(client: PreviewClient) -> tuple[int, int]:
    jpeg = client.picture(60.0)
    assert jpeg
    shown = decode_jpeg(jpeg)
    return shown.width, shown.height


class Source:
    """Offers pictures as a session does, on a thread of its own, until it is closed."""

    def __init__(self, server: PreviewServer) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.offered = self.taken = 0
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.01):
            self.taken += self._server.offer("program", picture(180))
            self.taken += self._server.offer("podium", picture(100, 320, 240))
            self.offered += 1

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def recorder(tmp_path: Path) -> RecorderFolder:
    return RecorderFolder(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
def server(recorder: RecorderFolder, clock: Clock) -> Iterator[PreviewServer]:
    server = PreviewServer(recorder.preview, ["program", "podium"], clock)
    server.start()
    yield server
    server.close()
    server.close()


@pytest.fixture
def source(server: PreviewServer) -> Iterator[Source]:
    with closing(Source(server)) as source:
        yield source


@pytest.mark.usefixtures("source")
def test_who_looks_gets_pictures_of_the_size_it_wants(recorder: RecorderFolder) -> None:
    wanted = [("program", 320, (320, 180)), ("podium", 1280, (320, 240)), ("program", 64, (64, 36))]
    with ExitStack() as stack:
        clients = [stack.enter_context(PreviewClient(recorder)) for _ in wanted]
        for client, (name, width, _) in zip(clients, wanted, strict=True):
            client.look(PreviewCommand(source=name, fps=5, width=width))
        for _ in range(3):
            assert [size(client) for client in clients] == [shown for _, _, shown in wanted]
        clients[0].look(PreviewCommand(source="podium", fps=5, width=160))
        assert size(clients[0]) == (160, 120), "it takes the place of the first request"


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [(PreviewCommand(source="mimbar"), 'there is no source "mimbar"'), (PreviewCommand(fps=50), "no preview")],
)
def test_what_cannot_be_shown_is_said_and_may_be_asked_better(
    recorder: RecorderFolder, wrong: PreviewCommand, message: str
) -> None:
    with PreviewClient(recorder) as client:
        with pytest.raises(RecorderRefused, match=message):
            client.look(wrong)
        client.look(PreviewCommand(source="program", fps=5))
        assert size(client) == (320, 180)


def test_a_single_picture_comes_as_it_is_there_and_then_nothing_is_done(
    recorder: RecorderFolder, source: Source
) -> None:
    shown = decode_jpeg(fetch_preview(recorder, "program", 60.0))
    assert (shown.width, shown.height, shown.format.name) == (640, 360, "yuv420p")
    assert shown.to_ndarray()[100, 100] == pytest.approx(180, abs=2)

    def takes_nothing() -> bool:
        taken, offered = source.taken, source.offered
        wait_for(lambda: source.offered > offered + 30)
        return source.taken == taken

    wait_for(takes_nothing)


def test_a_viewer_that_hangs_skips_pictures_and_is_let_go(
    recorder: RecorderFolder, server: PreviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_server, "PATIENCE_S", 0.5)
    monkeypatch.setattr(preview_server, "IDLE_S", 0.1)  # how soon it is looked for, if nothing happens
    large = picture(100, 1280, 720)
    large.planes[0].update(random.Random(5).randbytes(large.planes[0].buffer_size))  # no JPEG makes that small
    with PreviewClient(recorder) as good, access.connect_to(recorder.preview, 10.0) as hangs:
        good.look(PreviewCommand(source="program", fps=5))
        hangs.sendall(b'{"source": "podium", "fps": 5, "width": 1280}\n')
        wait_for(lambda: server.offer("podium", large))  # more than its socket holds
        wait_for(lambda: server.offer("program", picture(20)))
        assert size(good) == (320, 180)
        looked = select.poll()
        looked.register(hangs, select.POLLRDHUP)
        assert looked.poll(60_000), "it is let go"
        wait_for(lambda: server.offer("program", picture(40)))
        assert size(good) == (320, 180)


@pytest.mark.usefixtures("source")
def test_viewers_are_bounded(recorder: RecorderFolder) -> None:
    look = PreviewCommand(source="program", fps=5)
    with ExitStack() as stack:
        first, *others = (stack.enter_context(PreviewClient(recorder)) for _ in range(MOST_VIEWERS))
        for client in (first, *others):
            client.look(look)
        with PreviewClient(recorder) as refused, pytest.raises(LiputError, match="look at the previews already"):
            refused.look(look)
        assert [size(client) for client in others] == [(320, 180)] * len(others)
        first.close()

        def is_free() -> bool:
            try:
                fetch_preview(recorder, "program", 10.0)
            except LiputError:
                return False
            return True

        wait_for(is_free)


@pytest.mark.parametrize("clock", [SimulatedClock()])
def test_pictures_are_taken_no_faster_than_anybody_wants_them(
    recorder: RecorderFolder, server: PreviewServer, clock: SimulatedClock
) -> None:
    with PreviewClient(recorder) as client:
        client.look(PreviewCommand(source="program", fps=2, width=64))
        wait_for(lambda: server.offer("program", picture(50)))
        assert not server.offer("podium", picture(50)), "nobody looks at that"
        wanted = 0
        for _ in range(300):  # 10 s at 30 pictures a second
            wanted += server.offer("program", picture(50))
            clock.advance_to(clock.now_ns() + NANOSECONDS // 30)
        assert 19 <= wanted <= 22


def test_one_that_shows_nothing_is_waited_for_no_longer_than_asked(
    recorder: RecorderFolder, server: PreviewServer
) -> None:
    with pytest.raises(SessionError, match="shows no picture of podium"):
        fetch_preview(recorder, "podium", 0.3)
    server.close()
    with pytest.raises(SessionError, match="shows no picture of podium"):
        fetch_preview(recorder, "podium", 0.3)


def test_one_that_hangs_is_lost_in_time(recorder: RecorderFolder) -> None:
    with closing(access.listen_at(recorder.preview)), PreviewClient(recorder) as client:
        with pytest.raises(RecorderLost, match="does not answer"):
            client.look(PreviewCommand(), 0.2)
        assert client.picture(0.0) is None
