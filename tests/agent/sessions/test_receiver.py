import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import agent.sessions.receiver
from agent.sessions.receiver import DemoReceiver
from config.errors import LiputError
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live.destination import LiveDestination
from tests.support.encoded import SmallEncoder
from tests.support.streams import Events, count, decode
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def no_server_left() -> Iterator[None]:
    before = set(psutil.Process().children())
    yield
    assert set(psutil.Process().children()) <= before


def stream_to(url: str, frames: int) -> None:
    encoder = SmallEncoder()
    destination = LiveDestination(
        StreamTarget("demo", secret_url(url)), encoder.templates, emit=Events(), clock=SystemClock()
    )
    destination.start()
    for _ in range(frames):
        for packet in encoder.next():
            destination.put(packet)
    wait_for(lambda: destination.status().state == "live")
    destination.stop()
    encoder.close()


@pytest.mark.parametrize("program", ["nginx", "ffmpeg"])
def test_keeps_what_was_streamed_to_it(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if program == "ffmpeg":
        monkeypatch.setattr(agent.sessions.receiver, "nginx_with_rtmp", lambda: None)
    with DemoReceiver(tmp_path / 'a "strange" folder') as receiver:
        assert receiver.name == program
        assert receiver.url
        stream_to(receiver.url, 60)
    received = receiver.received
    assert received is not None
    assert received.stat().st_size > 10_000
    decode(received)
    assert count(received)["video"] == 60


@pytest.mark.parametrize("program", ["nginx", "ffmpeg"])
def test_nothing_streamed_nothing_received(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if program == "ffmpeg":
        monkeypatch.setattr(agent.sessions.receiver, "nginx_with_rtmp", lambda: None)
    with DemoReceiver(tmp_path) as receiver:
        assert receiver.received is None
    assert receiver.received is None


def test_a_machine_without_a_server_has_no_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with DemoReceiver(tmp_path) as receiver:
        assert (receiver.name, receiver.url) == (None, None)
    assert receiver.received is None


def test_a_server_that_does_not_start_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\necho cannot start >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(agent.sessions.receiver, "nginx_with_rtmp", lambda: (str(broken), Path("module.so")))
    with pytest.raises(LiputError) as caught, DemoReceiver(tmp_path / "folder"):
        pass
    assert str(tmp_path / "folder" / "output") in caught.value.hint
    assert (tmp_path / "folder" / "output").read_text() == "cannot start\n"


def test_listening_is_seen_without_connecting() -> None:
    port = agent.sessions.receiver.free_port()
    assert not agent.sessions.receiver.listens(port)
    address = f"rtmp://127.0.0.1:{port}/x/y"
    server = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-listen", "1", "-i", address, "-f", "null", "-"])
    wait_for(lambda: agent.sessions.receiver.listens(port))
    assert server.poll() is None
    server.kill()
    server.wait()
