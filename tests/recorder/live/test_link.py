import contextlib
import socket

from recorder.live.link import LinkState, Rate, TcpLink, tcp_sockets
from tests.support.waiting import wait_for


def test_the_rate_is_what_came_since_the_last_look() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert rate.at(1000) is None
    now[0] = 0.5
    assert rate.at(126_000) == 2_000_000
    now[0] = 0.51
    assert rate.at(127_000) == 2_000_000, "too short to tell"
    now[0] = 1.0
    assert rate.at(126_000) == 0


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
        wait_for(lambda: link.state().unsent_bytes == 0)
        state = link.state()
        assert state.rtt_ms is not None
        assert 0 < state.rtt_ms < 1000
        wait_for(lambda: link.state().delivered_bps is not None)
        client.setblocking(False)
        _fill(client)
        assert link.state().unsent_bytes > 100_000, "the other side reads nothing"
        client.close()
        server.close()
        assert link.state() == TcpLink(None).state() == LinkState()


def _fill(connection: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(100_000))
