"""What this PC's kernel knows of its network."""

import socket

from devices.uplink import iperf3
from devices.uplink.network import interface_to


def test_the_interface_of_an_address_is_known_and_what_it_has_moved() -> None:
    assert interface_to("127.0.0.1") == "lo"
    assert interface_to("::1") in ("lo", None)  # None: this PC has no IPv6
    assert interface_to("no address") is None
    before = iperf3._moved_by("lo")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        with other:
            one.sendall(bytes(50_000))
            assert len(other.recv(50_000, socket.MSG_WAITALL)) == 50_000
    assert iperf3._moved_by("lo") - before >= 50_000
    assert iperf3._moved_by(None) >= iperf3._moved_by("gone")
