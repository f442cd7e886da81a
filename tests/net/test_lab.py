"""The link that proofs of live streams rely on does what it is told."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from agent.sessions.receiver import wait_until_listening
from tests.net.lab import Lab

pytestmark = pytest.mark.alone("it judges the speed of links", lane="links")

PORT = 5000
SINK = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    connection, _ = server.accept()
    while connection.recv(1 << 16):
        pass
    connection.close()
"""
CONNECT = """
import socket, sys, time
began = time.monotonic()
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30).close()
print(time.monotonic() - began)
"""
SEND = """
import socket, sys, time
began = time.monotonic()
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(bytes(int(sys.argv[3])))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
print(time.monotonic() - began)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        sink = subprocess.Popen([*lab.server.enter, sys.executable, "-c", SINK, lab.server.address, str(PORT)])
        assert wait_until_listening(PORT, sink, lab.server.address, lab.server.pid)
        yield lab
        sink.kill()
        sink.wait()


def measure(lab: Lab, program: str, *words: str) -> float:
    """Return the seconds that a small program took on the PC of the lab."""
    command = [*lab.pc.enter, sys.executable, "-c", program, lab.server.address, str(PORT), *words]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_a_connection_takes_as_long_as_the_way_there_and_back(lab: Lab) -> None:
    lab.both(delay_s=0.2)
    assert measure(lab, CONNECT) >= 0.4
    lab.both(delay_s=0.0)


def test_no_more_passes_than_the_rate(lab: Lab) -> None:
    before = lab.link(up={"rate": 2e6})["up"]
    took_s = measure(lab, SEND, "500000")
    passed = lab.link(up={"rate": 0})["up"]["bytes"] - before["bytes"]
    assert passed > 500_000
    # What stands in the queue passes without waiting; the rest is at the rate.
    assert took_s >= (passed * 8 - 2e6 * 0.3) / 2e6


def test_what_is_lost_is_about_as_much_as_asked_for(lab: Lab) -> None:
    before = lab.link(up={"loss": 0.1})["up"]
    measure(lab, SEND, "2000000")
    after = lab.link(up={"loss": 0})["up"]
    lost, passed = after["lost"] - before["lost"], after["packets"] - before["packets"]
    assert 0.03 < lost / (lost + passed) < 0.3


def test_nothing_passes_in_a_blackout_and_everything_after_it(lab: Lab) -> None:
    began = time.monotonic()
    lab.link(blackout_s=1.5)
    measure(lab, CONNECT)
    assert time.monotonic() - began >= 1.5


def test_the_ends_see_nobody_else(lab: Lab) -> None:
    command = [*lab.pc.enter, "ip", "-brief", "address"]
    links = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in links.splitlines()} == {"lo", "wan"}
