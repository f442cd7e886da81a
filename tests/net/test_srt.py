"""SRT through links that lose packets or are too slow: what comes out at the other end can be looked at."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from statistics import mean

import pytest

from tests.net.lab import Lab
from tests.support.srt_peer import SrtPeer
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("it judges the speed of links", lane="links"), pytest.mark.server]

PORT = 9000


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def peer(lab: Lab, tmp_path: Path) -> Iterator[SrtPeer]:
    peer = SrtPeer(tmp_path / "relay.ts", PORT, "listener", place=lab.server)
    peer.start()
    yield peer
    peer.stop(SIGKILL)


def stream(lab: Lab, bit_rate: int, latency_ms: int, seconds: float) -> list[list[float]]:
    """Stream for some time; return what the destination told now and then (tests.support.srt_peer)."""
    sender = subprocess.Popen(
        [*lab.pc.enter, sys.executable, "-m", "tests.support.srt_peer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sender.stdin
    assert sender.stdout
    sender.stdin.write(f"srt://{lab.server.address}:{PORT}?latency={latency_ms} {bit_rate}\n")
    sender.stdin.flush()
    told = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told.append(json.loads(sender.stdout.readline()))
    sender.stdin.close()
    told += [json.loads(line) for line in sender.stdout]
    sender.stdout.close()
    sender.wait()
    return told


def damaged(file: Path, after_s: float = 0.0) -> tuple[int, int]:
    """Return how many lines the ffmpeg command complains in about the pictures of `file`, and how many there are."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", str(after_s), "-i", str(file), "-map", "0:v", "-progress", "-", "-f", "null",
         "/dev/null"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    frames = [line for line in done.stdout.splitlines() if line.startswith("frame=")]
    return len(done.stderr.splitlines()), int(frames[-1].removeprefix("frame="))


def test_what_is_lost_on_a_long_way_is_mended(lab: Lab, peer: SrtPeer) -> None:
    lab.both(delay_s=0.075)
    lab.link(up={"loss": 0.03})
    stream(lab, 2_000_000, 800, 5)
    wait_for(lambda: not peer.is_running())
    complaints, frames = damaged(peer.file)
    assert frames > 60
    assert complaints <= frames / 50  # measured: none, on a busy machine too


def test_a_link_that_is_too_slow_is_not_flooded(lab: Lab, peer: SrtPeer) -> None:
    lab.both(delay_s=0.075)
    lab.link(up={"rate": 2e6})
    told = stream(lab, 3_000_000, 500, 20)  # real time: the rate follows the link
    wait_for(lambda: not peer.is_running())
    complaints, frames = damaged(peer.file, after_s=8)
    assert frames > 60
    assert complaints < frames / 4, "viewers see ruins of pictures"  # 18 to 32 of 205, two a damaged picture
    assert mean(bps for second, *_, bps in told if second > 8) > 1.4e6, "it is used"  # 1.8; 0.95 where it was not
    assert {reason for _, reason, *_ in told} <= {None, "too-slow"}, "it stayed live"
    assert max(backlog_s for _, _, _, backlog_s, *_ in told) < 7.5
