"""`liput record` to an SRT server and a folder at once, from settings and the file of keys."""

from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from agent.sessions.receiver import HOST
from tests.support.command import check_lines
from tests.support.room import FPS, Room, frames
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.streams import count, decode
from tests.support.waiting import wait_for

WORD = "kata-sandi-panjang"


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[SrtPeer]:
    peer = SrtPeer(tmp_path / "relay.ts", free_udp_port(), "listener", f"passphrase={WORD}")
    peer.start()
    yield peer
    peer.stop(SIGKILL)


def test_a_session_goes_to_srt_and_to_a_folder(room: Room, peer: SrtPeer, tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    room.configure(
        f'[destinations.relay]\nurl = "srt://{HOST}:{peer.port}"\nlatency_s = "200ms"\n'
        f'[destinations.web]\nurl = "file://{web}"\n',
        keys=f'relay = {{ passphrase = "{WORD}", stream_id = "aula-utama" }}\n',
    )
    done = room.record("--for", "6s", "--stream", "relay", "--stream", "web")
    check_lines(done.lines)
    assert (done.status, done.result["degraded"]) == (0, [])
    assert frames(room.only_package()) == 6 * FPS
    wait_for(lambda: not peer.is_running(), what="the end that the peer was told of")
    for received in (peer.file, web / "live.m3u8"):
        decode(received)
        assert count(received)["video"] == 6 * FPS
    said = repr(done.lines) + done.errors + repr([path.read_bytes() for path in room.archive.rglob("*.json*")])
    assert WORD not in said
    assert "aula-utama" not in said
