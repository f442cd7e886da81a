"""What the kernel tells of a connection over a link that loses packets."""

import json
import subprocess
import sys

import pytest

from tests.net.lab import Lab

pytestmark = pytest.mark.alone("it judges the speed of links", lane="links")

SENDS = """
import json, socket, sys, time
from devices.uplink.tcp_info import tcp_info

found = []
with socket.create_connection((sys.argv[1], 9)) as one:
    one.setblocking(False)
    left = 1_000_000
    while not found or found[-1][0] < 1_000_000:
        try:
            left -= one.send(bytes(min(left, 10_000))) if left else 0
        except BlockingIOError:
            pass
        info = tcp_info(one)
        found.append((info.acknowledged_bytes - 1, info.delivered_bytes - 1))
        time.sleep(0.002)
print(json.dumps(found))
"""
READS = """
import socket, sys

with socket.create_server((sys.argv[1], 9)) as listener:
    print("ready", flush=True)
    one, _ = listener.accept()
    while one.recv(100_000):
        pass
"""

GIVES = """
import socket, sys

with socket.create_server((sys.argv[1], 9)) as listener:
    print("ready", flush=True)
    one, _ = listener.accept()
    one.sendall(bytes(1_000_000))
    one.shutdown(socket.SHUT_WR)
    one.recv(1)
"""
TAKES = """
import json, socket, sys, time
from devices.uplink.tcp_info import tcp_info
from devices.uplink.traffic import NOTHING_RECEIVED, bytes_behind_gap

found, whole = [], NOTHING_RECEIVED
with socket.create_connection((sys.argv[1], 9)) as one:
    one.settimeout(0.002)
    more = b" "
    while more:
        try:
            more = one.recv(100_000)
        except TimeoutError:
            pass
        info = tcp_info(one)
        whole = whole if info.unordered_segments else info
        found.append((info.received_bytes, bytes_behind_gap(whole, info)))
print(json.dumps(found))
"""


def over_a_link_that_loses_packets(there: str, here: str) -> list[list[int]]:
    """Return what one program says while it talks to the other."""
    with Lab(1) as lab:
        lab.both(rate=8e6, delay_s=0.05, loss=0.02)
        words = [sys.executable, "-P", "-c", there, lab.server.address]
        other = subprocess.Popen([*lab.server.enter, *words], stdout=subprocess.PIPE)
        assert other.stdout
        assert other.stdout.readline()
        words = [sys.executable, "-P", "-c", here, lab.server.address]
        said = subprocess.run([*lab.pc.enter, *words], capture_output=True, check=True, timeout=60).stdout
        other.communicate()
    found: list[list[int]] = json.loads(said)
    return found


def test_what_arrives_behind_a_gap_is_delivered() -> None:
    found = over_a_link_that_loses_packets(READS, SENDS)
    gaps = [delivered - acknowledged for acknowledged, delivered in found]
    assert min(gaps) == 0
    assert max(gaps) > 10_000, "one lost packet hides what came after it"
    assert found[-1] == [1_000_000, 1_000_000]


def test_what_comes_behind_a_gap_has_come() -> None:
    found = over_a_link_that_loses_packets(GIVES, TAKES)
    gaps = [behind for _, behind in found]
    assert max(gaps) > 10_000, "one lost packet hides what came after it"
    assert found[-1][0] in (1_000_000, 1_000_001)  # the end counts as a byte
    assert gaps[-1] < 20_000, "and it is all there at the end; what came twice counts"
