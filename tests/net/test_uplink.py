"""Faults of an uplink, and one that is too narrow or too long, as checks find them and as SRT uses them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from devices.uplink.model import UplinkBudget
from tests.net.lab import Lab
from tests.net.looked import look, measured
from tests.net.speed_server import How, serving
from tests.net.uplink_faults import FAULTS, room, settings
from tests.support.rtmp_server import NginxRtmp
from tests.support.srt_peer import SrtPeer
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("it judges the speed of links", lane="links"), pytest.mark.server, pytest.mark.slow]

SRT_PORT = 9000


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_by_its_own_reason_within_ten_seconds(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    settings(tmp_path, fault.url)
    with room(tmp_path) as place:
        fault.make(place)
        found, took_s = look(place.lab, "internet", tmp_path)
    assert found["internet: campus"]["code"] == fault.told, found
    assert took_s < 10


# A measurement lasts as many seconds of the link as the product asks for


def test_a_narrow_link_with_a_long_queue_is_told_with_the_profile_that_fits(lab: Lab, tmp_path: Path) -> None:
    lab.both(rate=4e6, delay_s=0.01, queue_s=0.4)
    # What fills a queue whatever it costs is what most servers and PCs have.
    way = ["ip", "route", "replace", lab.server.address, "dev", "wan", "congctl", "cubic"]
    subprocess.run([*lab.pc.enter, *way], check=True)
    with serving(tmp_path / "speed", How.WELL, lab.server) as server:
        settings(tmp_path, f"rtmp://{lab.server.address}/live", f'[check]\nserver = "{server.address}"\n')
        found, took_s = look(lab, "uplink", tmp_path)
    uplink, latency = found["uplink"], found["uplink: latency"]
    assert (uplink["code"], uplink["verdict"], uplink["measured"]["fits"]) == ("too-slow", "failure", "480p15")
    assert 3.4e6 < uplink["measured"]["up_bps"] < 4.2e6
    assert latency["code"] == "bufferbloat", latency
    assert 0.018 < latency["measured"]["idle_s"] < 0.04
    assert took_s < 18


def test_what_waits_behind_a_lost_packet_has_been_carried(lab: Lab, tmp_path: Path) -> None:
    """A long way whose queue runs over now and then: what is acknowledged in one piece comes in jumps."""
    lab.both(rate=2e6, delay_s=0.075)
    with serving(tmp_path / "speed", How.WELL, lab.server) as server:
        found, _ = measured(lab, server.address, UplinkBudget(most_bytes=10**10, idle_s=0.5, down_s=1.0))
    assert 1.8e6 < found.uplink.up.p10_bps <= found.uplink.up.median_bps < 2e6
    assert 1.85e6 < found.uplink.up.mean_bps < 2e6


def test_a_test_stream_that_does_not_get_through_is_told(lab: Lab, tmp_path: Path) -> None:
    lab.link(up={"rate": 4e5})
    with NginxRtmp(tmp_path / "nginx", lab.server) as server:
        text = '[check]\nuplink = "ingest"\n[video]\nprofile = "480p15"\n'
        settings(tmp_path, f"rtmp://{lab.server.address}:{server.port}/live", text)
        found, _ = look(lab, "uplink", tmp_path)
    result = found["uplink: campus"]
    assert result["code"] == "not-carried", result
    assert result["measured"]["delivered_bps"] < 5e5


# SRT


def stream(lab: Lab, seconds: float) -> list[list[float]]:
    """Stream for some time; return what the destination told now and then (tests.support.srt_peer)."""
    words = [*lab.pc.enter, sys.executable, "-m", "tests.support.srt_peer"]
    sender = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sender.stdin
    assert sender.stdout
    sender.stdin.write(f"srt://{lab.server.address}:{SRT_PORT}?latency=500 3000000\n")
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


def damaged(file: Path, after_s: float) -> tuple[int, int]:
    """Return how many lines the ffmpeg command complains in about the pictures of `file`, and how many there are."""
    words = ["ffmpeg", "-v", "error", "-ss", str(after_s), "-i", str(file), "-map", "0:v", "-progress", "-"]
    done = subprocess.run([*words, "-f", "null", "/dev/null"], capture_output=True, text=True)
    frames = [line for line in done.stdout.splitlines() if line.startswith("frame=")]
    return len(done.stderr.splitlines()), int(frames[-1].removeprefix("frame="))


@pytest.fixture
def peer(lab: Lab, tmp_path: Path) -> Iterator[SrtPeer]:
    peer = SrtPeer(tmp_path / "relay.ts", SRT_PORT, "listener", place=lab.server)
    peer.start()
    yield peer
    peer.stop(SIGKILL)


def test_srt_does_not_flood_a_link_that_is_too_slow(lab: Lab, peer: SrtPeer) -> None:
    lab.both(delay_s=0.075)
    lab.link(up={"rate": 2e6})
    told = stream(lab, 20)  # real time: the rate follows the link
    wait_for(lambda: not peer.is_running())
    complaints, frames = damaged(peer.file, after_s=8)
    assert frames > 60
    assert complaints < frames / 4, "viewers see ruins of pictures"  # 18 to 32 of 205, two a damaged picture
    assert {reason for _, reason, *_ in told} <= {None, "too-slow"}, "it stayed live"
    assert max(backlog_s for _, _, _, backlog_s, *_ in told) < 7.5
