import contextlib
import socket
from collections.abc import Iterator

import pytest

from recorder.live.link import TcpLink, tcp_sockets
from recorder.live.protocol import Sent
from tests.support.waiting import wait_for


def test_the_rate_is_what_came_since_the_last_look() -> None:
    now = [0.0]
    link = TcpLink(None, lambda: now[0])
    assert link.delivered_bps(1000) is None
    now[0] = 0.5
    assert link.delivered_bps(126_000) == 2_000_000
    now[0] = 0.51
    assert link.delivered_bps(127_000) == 2_000_000, "too short to tell"
    now[0] = 1.0
    assert link.delivered_bps(126_000) == 0


def test_a_tcp_connection_is_found_and_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
        found = tcp_sockets()
        numbers = {one.detach() for one in found}
        assert {client.fileno(), server.fileno()} <= numbers
        assert other.fileno() not in numbers
        link = TcpLink(client)
        client.sendall(bytes(50_000))
        wait_for(lambda: link.sent(1.0).unsent_bytes == 0)
        state = link.sent(1.0)
        assert state.rtt_ms is not None
        assert 0 < state.rtt_ms < 1000
        wait_for(lambda: link.sent(1.0).delivered_bps is not None)
        client.setblocking(False)
        _fill(client)
        assert link.sent(1.0).unsent_bytes > 100_000, "the other side reads nothing"
        client.close()
        server.close()
        assert link.sent(1.0) == TcpLink(None).sent(1.0) == Sent(1.0)


def _fill(connection: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(100_000))


class Peer:
    """A connection on loopback whose other end reads when it is told to."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.near = socket.create_connection(server.getsockname())
            self.far, _ = server.accept()
        self.now_s = 0.0
        self.link = TcpLink(self.near, lambda: self.now_s)

    def send(self, *, is_read: bool, count: int = 8192) -> float:
        """Send some in the next second, and return for how long nothing has been read."""
        self.near.sendall(bytes(count))
        wait_for(lambda: self.link.sent(1.0).unsent_bytes == 0)
        if is_read:
            while count:
                count -= len(self.far.recv(count))
        self.now_s += 1
        return self.link.sent(1.0).unread_s

    def read_all(self) -> None:
        """Read what has come, as a server does that lives again."""
        self.far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.far.recv(1 << 20):
                pass
        self.far.setblocking(True)

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def test_a_server_that_reads_is_never_taken_for_one_that_hangs(peer: Peer) -> None:
    assert {peer.send(is_read=True) for _ in range(40)} == {0.0}


def test_a_server_that_hangs_is_seen_while_its_kernel_still_takes_everything(peer: Peer) -> None:
    for _ in range(20):
        peer.send(is_read=True)
    unread = [peer.send(is_read=False, count=4096) for _ in range(12)]
    assert unread[-1] > 0
    assert unread[-1] - unread[-2] == 1.0
    peer.read_all()
    for _ in range(10):
        peer.send(is_read=True)
    assert peer.send(is_read=True) == 0.0


def test_a_server_that_reads_slowly_is_not_taken_for_one_that_hangs() -> None:
    now = [0.0]
    link = TcpLink(None, lambda: now[0])
    room, held, acknowledged, worst = 2_000_000, 0, 0, 0.0
    for _ in range(600):  # 75 s: it is given 500 kB a second, as far as there is room, and reads 200 kB
        now[0] += 0.125
        given = min(62_500, room - held)
        acknowledged += given
        held = max(0, held + given - 25_000)
        worst = max(worst, link.unread_s(acknowledged, room - held))
    assert worst < 2
