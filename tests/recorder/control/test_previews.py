"""The preview socket by real sockets: who looks gets pictures, nobody else costs anything."""

import contextlib
import io
import json
import random
import select
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from devices.host.clock import NANOSECONDS, Clock, SystemClock
from recorder.control import preview_server
from recorder.control.preview_server import MOST_VIEWERS, PreviewServer
from recorder.running import access
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


def picture(level: int, width: int = 640, height: int = 360) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, sample in zip(frame.planes, (level, 128, 128), strict=True):
        plane.update(bytes([sample]) * plane.buffer_size)
    frame.colorspace = 1
    return frame


class Looking:
    """A client of the preview socket."""

    def __init__(self, path: Path, **look: object) -> None:
        self._socket = access.connect_to(path, 10.0)
        self._file = self._socket.makefile("rb")
        if look:
            self.answer = self.ask(**look)

    def ask(self, **look: object) -> dict[str, object]:
        self._socket.sendall(json.dumps(look).encode() + b"\n")
        return self.line()

    def line(self) -> dict[str, object]:
        line: dict[str, object] = json.loads(self._file.readline())
        return line

    def picture(self) -> Image.Image:
        (length,) = struct.unpack(">I", self._file.read(4))
        return Image.open(io.BytesIO(self._file.read(length)))

    def at_end(self) -> bool:
        with contextlib.suppress(ConnectionResetError):
            return self._file.read(1) == b""
        return True

    def is_let_go(self) -> bool:
        looked = select.poll()
        looked.register(self._socket, select.POLLRDHUP)
        return bool(looked.poll(0))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


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
            self.taken += self._server.offer("program", picture(16 + self.offered % 200))
            self.taken += self._server.offer("podium", picture(100, 320, 240))
            self.offered += 1

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "preview.sock"


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
def server(path: Path, clock: Clock) -> Iterator[PreviewServer]:
    server = PreviewServer(path, ["program", "podium"], clock)
    server.start()
    yield server
    server.close()
    server.close()


@pytest.fixture
def source(server: PreviewServer) -> Iterator[Source]:
    source = Source(server)
    yield source
    source.close()


def test_who_looks_gets_pictures_of_the_size_it_wants(path: Path, source: Source) -> None:
    program, podium, small = (
        Looking(path, source="program", fps=5, width=320),
        Looking(path, source="podium", fps=5, width=1280),
        Looking(path, source="program", fps=5, width=64, id="kecil"),
    )
    assert program.answer == {"type": "reply", "id": None, "ok": True}
    assert small.answer["id"] == "kecil"
    for _ in range(3):
        assert program.picture().size == (320, 180)
        assert podium.picture().size == (320, 240)
        assert small.picture().size == (64, 36)
    for one in (program, podium, small):
        one.close()


def test_another_request_on_the_same_connection_takes_the_place_of_the_first(path: Path, source: Source) -> None:
    one = Looking(path, source="program", fps=5, width=320)
    assert one.picture().size == (320, 180)
    one._socket.sendall(b'{"source": "podium", "width": 160, "fps": 5}\n')
    sizes: list[tuple[int, int]] = []
    while not sizes or sizes[-1] != (160, 120):
        start = one._file.peek(1)[:1]
        if start == b"{":
            assert one.line()["ok"]
        else:
            sizes.append(one.picture().size)
    assert set(sizes) <= {(320, 180), (160, 120)}
    one.close()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"source": "mimbar"}, 'there is no source "mimbar"'), ({"fps": 50}, "no preview"),
        ({"width": 5000}, "no preview"), ({"fps": "2"}, "no preview"), ({"size": 3}, "no preview"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said_and_may_be_asked_better(
    path: Path, source: Source, request_: dict[str, object], message: str
) -> None:
    one = Looking(path)
    refused = one.ask(**request_)
    assert message in refused["error"]["message"]  # type: ignore[index] # JSON
    assert one.ask(source="program", fps=5)["ok"]
    assert one.picture().size == (320, 180)
    one.close()


def test_garbage_ends_that_viewer_alone(path: Path, source: Source) -> None:
    good = Looking(path, source="program", fps=5)
    garbage = Looking(path)
    with contextlib.suppress(OSError):
        garbage._socket.sendall(b"x" * 100_000)
    assert garbage.at_end()
    assert good.picture().size == (320, 180)
    good.close()
    garbage.close()


def test_nobody_looks_and_nothing_is_done(path: Path, source: Source) -> None:
    one = Looking(path, source="program", fps=5)
    one.picture()
    one.close()

    def takes_nothing() -> bool:
        taken, offered = source.taken, source.offered
        wait_for(lambda: source.offered > offered + 60)
        return source.taken == taken

    wait_for(takes_nothing)


def noise(width: int, height: int) -> av.VideoFrame:
    """Return a picture that no JPEG makes small."""
    frame = picture(100, width, height)
    frame.planes[0].update(random.Random(5).randbytes(frame.planes[0].buffer_size))
    return frame


def test_a_viewer_that_hangs_skips_pictures_and_is_let_go(
    path: Path, server: PreviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_server, "PATIENCE_S", 0.5)
    good, hangs = Looking(path, source="program", fps=5), Looking(path, source="podium", fps=5, width=1280)
    large = noise(1280, 720)
    wait_for(lambda: server.offer("podium", large))  # more than its socket holds
    wait_for(lambda: server.offer("program", picture(20)))
    assert good.picture().size == (320, 180)
    wait_for(hangs.is_let_go)
    wait_for(lambda: server.offer("program", picture(40)))
    assert good.picture().size == (320, 180)
    good.close()
    hangs.close()


def test_viewers_are_bounded(path: Path, source: Source) -> None:
    looking = [Looking(path, source="program", fps=5) for _ in range(MOST_VIEWERS)]
    refused = Looking(path)
    assert "look at the previews already" in str(refused.line()["message"])
    assert refused.at_end()
    assert all(one.picture().size == (320, 180) for one in looking)
    looking[0].close()

    def is_free() -> bool:
        one = Looking(path)
        looking.append(one)
        with contextlib.suppress(OSError):  # it was refused, and hung up on, before it could ask
            return bool(one.ask(source="program", fps=5).get("ok"))
        return False

    wait_for(is_free)
    assert looking[-1].picture().size == (320, 180)
    for one in (*looking[1:], refused):
        one.close()


@pytest.mark.parametrize("clock", [SimulatedClock()])
def test_pictures_are_taken_no_faster_than_anybody_wants_them(
    path: Path, server: PreviewServer, clock: SimulatedClock
) -> None:
    one = Looking(path, source="program", fps=2, width=64)
    wait_for(lambda: server.offer("program", picture(50)))
    assert not server.offer("podium", picture(50)), "nobody looks at that"
    wanted = 0
    for _ in range(300):  # 10 s at 30 pictures a second
        wanted += server.offer("program", picture(50))
        clock.advance_to(clock.now_ns() + NANOSECONDS // 30)
    assert 19 <= wanted <= 22
    one.close()


def test_a_picture_that_cannot_be_shrunk_costs_the_session_nothing(
    path: Path, server: PreviewServer, capfd: pytest.CaptureFixture[str]
) -> None:
    one = Looking(path, source="program", fps=5)
    written: list[str] = []

    def is_told() -> bool:
        assert not server.offer("program", None)  # type: ignore[arg-type] # which no session does
        written.append(capfd.readouterr().err)
        return "AttributeError" in written[-1]

    wait_for(is_told)
    one.close()
