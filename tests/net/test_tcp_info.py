"""What the kernel tells of a connection over a link that loses packets."""

import json
import subprocess
import sys

from tests.net.lab import Lab

SENDS = """
import json, socket, sys, time
from devices.tcp_info import tcp_info

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


def test_what_arrives_behind_a_gap_is_delivered() -> None:
    with Lab(1) as lab:
        lab.both(rate=8e6, delay_s=0.05, loss=0.02)
        words = [sys.executable, "-P", "-c", READS, lab.server.address]
        reader = subprocess.Popen([*lab.server.enter, *words], stdout=subprocess.PIPE)
        assert reader.stdout
        assert reader.stdout.readline()
        words = [sys.executable, "-P", "-c", SENDS, lab.server.address]
        said = subprocess.run([*lab.pc.enter, *words], capture_output=True, check=True, timeout=60).stdout
        reader.communicate()
    found = json.loads(said)
    gaps = [delivered - acknowledged for acknowledged, delivered in found]
    assert min(gaps) == 0
    assert max(gaps) > 10_000, "one lost packet hides what came after it"
    assert found[-1] == [1_000_000, 1_000_000]
