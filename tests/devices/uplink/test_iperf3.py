"""Measuring with a real iperf3 server on this PC's loopback."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.receiver import HOST, free_port, listens
from devices.uplink import iperf3
from devices.uplink.measuring import measure
from devices.uplink.model import Budget, Step, Uplink
from devices.uplink.server import Server
from devices.uplink.trouble import NetworkTrouble, Stopped, Trouble
from tests.net.iperf import iperf_server
from tests.support.raw_server import RawServer, says
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

SHORT = Budget(most_bytes=10**12, up_s=2.0, down_s=2.0, warm_up_s=0.5)
LITTLE = Budget(streams=2, most_bytes=2_000_000_000, up_s=20.0, down_s=20.0, warm_up_s=0.5)
"""Less than what loopback moves in a second or two."""


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert [child for child in psutil.Process().children() if child.name() == "iperf3"] == []


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with iperf_server(tmp_path) as port:
        yield port


def run(port: int, budget: Budget, stop: threading.Event | None = None) -> tuple[Uplink, list[Step]]:
    told: list[Step] = []
    return measure(Server("iperf3", HOST, port), budget, stop or threading.Event(), told.append), told


def why_not(port: int) -> Trouble:
    with pytest.raises(NetworkTrouble) as caught:
        run(port, SHORT)
    return caught.value.trouble


def test_both_ways_and_the_latencies_are_measured_in_time(port: int) -> None:
    found, told = run(port, SHORT)
    assert not found.is_capped
    assert found.up.median_bps > 50e6
    assert found.down
    assert found.down.median_bps > 50e6
    assert found.idle
    assert found.loaded
    assert 0 < found.idle.rtt_s < 0.1
    assert 0 < found.loaded.rtt_s < 0.5
    assert [told[0].phase, told[-1].phase] == ["reach", "down"]


def test_it_moves_no_more_than_it_may(port: int) -> None:
    found, _ = run(port, LITTLE)
    assert found.is_capped
    assert found.down
    assert 0.8 * LITTLE.most_bytes < found.moved_bytes < 1.3 * LITTLE.most_bytes


def test_nobody_who_listens_refuses() -> None:
    assert why_not(free_port()) == Trouble.REFUSED


def test_a_server_that_measures_for_somebody_else_is_busy(port: int) -> None:
    other = subprocess.Popen(
        ["iperf3", "--client", HOST, "--port", str(port), "--time", "30", "--bitrate", "1M", "--json-stream"],
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout
        assert other.stdout.readline(), "it has begun"
        assert why_not(port) == Trouble.BUSY
    finally:
        other.kill()
        other.communicate()


def test_something_that_says_nothing_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.uplink.iperf3.REACH_S", 1.0)
    with RawServer(says(b"")) as server:
        assert why_not(server.port) in (Trouble.SILENT, Trouble.STALLS)


def test_a_program_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert why_not(free_port()) == Trouble.NO_PROGRAM


def test_a_measurement_ends_at_once_when_nobody_waits_for_it_any_more(port: int) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        run(port, Budget(most_bytes=10**12), stop)
    assert time.monotonic() - began < 8
    assert listens(port), "the server goes on"


def test_the_last_step_of_a_run_that_was_told_to_end_does_not_count() -> None:
    def step(bps: float, seconds: float = 0.5, *, omitted: bool = False) -> iperf3._Interval:
        return iperf3._Interval(iperf3._Sum(seconds, 0, bps, omitted))

    steps = (step(1e6, omitted=True), step(2e6), step(2.2e6), step(1.8e6), step(0.0, 1.4))
    told = iperf3._Report(steps, error="interrupt - the client has terminated")
    assert iperf3._arrived(told).median_bps == 2e6
    assert iperf3._arrived(iperf3._Report(steps)).median_bps == 1.5e6


MEASURES = """
import sys, threading
from devices.uplink.iperf3 import measure
from devices.uplink.model import Budget
from devices.uplink.server import Server

budget = Budget(most_bytes=10**12, up_s=60.0)
measure(Server("iperf3", "127.0.0.1", int(sys.argv[1])), budget, threading.Event(), lambda step: None)
"""


def test_the_program_ends_with_a_check_that_is_killed(port: int) -> None:
    killed = psutil.Popen([sys.executable, "-P", "-c", MEASURES, str(port)])
    programs: list[psutil.Process] = []

    def measures() -> bool:
        programs[:] = [child for child in killed.children() if "--time" in child.cmdline()]
        return bool(programs)

    wait_for(measures)
    killed.kill()
    killed.wait()
    gone, alive = psutil.wait_procs(programs, 5)
    assert (len(gone), alive) == (1, [])
