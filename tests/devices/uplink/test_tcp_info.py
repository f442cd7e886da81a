"""What the kernel tells of a connection."""

import os
import socket

import pytest

from devices.uplink.tcp_info import owner_of_peer, tcp_info
from tests.support.waiting import wait_for


def test_what_has_arrived_is_acknowledged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        before = tcp_info(client)
        server, _ = listener.accept()
        with server:
            client.sendall(bytes(50_000))
            wait_for(lambda: (tcp_info(client).acknowledged_bytes or 0) - (before.acknowledged_bytes or 0) == 50_000)
            after = tcp_info(client)
            assert after.sent_bytes == 50_000
            assert after.again_bytes == 0
            assert after.rtt_s is not None
            assert 0 < after.rtt_s < 1
            assert after.window_bytes


def test_a_connection_that_is_closed_tells_nothing() -> None:
    one = socket.socket()
    one.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        tcp_info(one)


@pytest.mark.parametrize(("listens", "asks"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")])
def test_whose_the_other_end_is(listens: str, asks: str) -> None:
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    with socket.create_server((listens, 0), family=family, dualstack_ipv6=listens == "::") as listener:
        with socket.create_connection((asks, listener.getsockname()[1])), listener.accept()[0] as taken:
            assert owner_of_peer(taken) == os.geteuid()
        assert owner_of_peer(taken) is None, "it is closed"
