"""Measuring with a real iperf3 server on this PC's loopback, and with ones that do not behave."""

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.sessions.receiver import HOST, free_port, listens
from devices.uplink.connecting import Cancelled, NetworkError, NetworkFault
from devices.uplink.connection import UplinkServer
from devices.uplink.iperf3 import measure
from devices.uplink.model import UplinkBudget, UplinkResult
from tests.net.opinions import iperf_server
from tests.support.servers import Behaviour, Listening, RawServer, says
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

COOKIE_BYTES = 37
AGREES = bytes([9])
WANTS_STREAMS = bytes([10])
RUNS = bytes([1, 2])

type Act = Callable[["ScriptedIperf3", socket.socket], None]


class ScriptedIperf3(Listening):
    """The server, inside a `with`; `asked` is which tests it was asked for.

    `act` is called with the connection that agrees on a test, once it runs.
    """

    def __init__(self, act: Act) -> None:
        self._act = act
        self.asked: list[dict[str, Any]] = []
        self.streams: list[socket.socket] = []
        self._has_stream = threading.Semaphore(0)
        self._cookies: set[bytes] = set()
        self.listen()

    def serve_one(self, connection: socket.socket) -> None:
        cookie = connection.recv(COOKIE_BYTES, socket.MSG_WAITALL)
        if cookie in self._cookies:
            self._serve_stream(connection)
        elif cookie:
            self._cookies.add(cookie)
            self._serve_test(connection)

    def _serve_test(self, connection: socket.socket) -> None:
        connection.sendall(AGREES)
        self.asked.append(said(connection))
        connection.sendall(WANTS_STREAMS)
        for _ in range(self.asked[-1]["parallel"]):
            assert self._has_stream.acquire(timeout=5)
        connection.sendall(RUNS)
        self._act(self, connection)

    def _serve_stream(self, connection: socket.socket) -> None:
        self.streams.append(connection)
        self._has_stream.release()
        while connection.recv(1 << 20):
            pass
        self._over.wait(60)


def said(connection: socket.socket) -> dict[str, Any]:
    """Return the JSON that comes next."""
    (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
    content: dict[str, Any] = json.loads(connection.recv(length, socket.MSG_WAITALL))
    return content


def says_then_hangs_up(words: bytes) -> Act:
    """Return one that says something in the midst of a test, and ends all its connections."""

    def act(server: ScriptedIperf3, control: socket.socket) -> None:
        time.sleep(0.7)  # the test runs
        control.sendall(words)
        for stream in server.streams:
            stream.shutdown(socket.SHUT_RDWR)

    return act


SHORT = UplinkBudget(most_bytes=10**12, up_s=2.0, down_s=2.0, warm_up_s=0.5, idle_s=0.3)
LITTLE = UplinkBudget(streams=2, most_bytes=2_000_000_000, up_s=20.0, down_s=20.0, warm_up_s=0.5, idle_s=0.2)
"""Less than what loopback moves in a second or two."""
ERROR = bytes([0xFE])
type Told = tuple[str, float, float | None]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("uplink")]
    assert left == []


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with iperf_server(tmp_path) as port:
        yield port


def run(port: int, budget: UplinkBudget, stop: threading.Event | None = None) -> tuple[UplinkResult, list[Told]]:
    told: list[Told] = []
    return measure(
        UplinkServer("iperf3", HOST, port), budget, stop or threading.Event(), lambda *said: told.append(said)
    ), told


def why_not(port: int, budget: UplinkBudget = SHORT) -> tuple[NetworkFault, str]:
    with pytest.raises(NetworkError) as caught:
        run(port, budget)
    return caught.value.trouble, caught.value.detail


def is_free(port: int) -> bool:
    """Return whether a server takes the next test."""
    words = ["iperf3", "--client", HOST, "--port", str(port), "--bytes", "1K"]
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0


def complaints(folder: Path) -> list[str]:
    """Return what a server calls an error of a test; not of a probe that a busy PC has sent too late."""
    lines = (folder / "output").read_text().splitlines()
    return [line for line in lines if "error" in line and "receive cookie" not in line]


def test_both_ways_and_the_latencies_are_measured(port: int, tmp_path: Path) -> None:
    found, told = run(port, SHORT)
    assert not found.is_capped
    assert found.up.median_bps > 50e6
    assert found.down
    assert found.down.median_bps > 50e6
    for latency in (found.idle, found.loaded, found.loaded_down):
        assert latency
        assert 0 < latency.rtt_s < 0.5
    assert found.again_share is not None
    assert [told[0][0], told[1][0], told[-1][0]] == ["reach", "idle", "down"]
    assert [share for _, share, _ in told] == sorted(share for _, share, _ in told)
    wait_for(lambda: is_free(port), what="the server")
    assert complaints(tmp_path) == []


def test_it_moves_no_more_than_it_may(port: int, tmp_path: Path) -> None:
    found, _ = run(port, LITTLE)
    assert found.is_capped
    assert found.down
    assert 0.8 * LITTLE.most_bytes < found.moved_bytes < 1.1 * LITTLE.most_bytes
    wait_for(lambda: is_free(port), what="the server")
    assert complaints(tmp_path) == []


def test_nobody_who_listens_refuses() -> None:
    assert why_not(free_port())[0] == NetworkFault.REFUSED


def test_a_server_that_measures_for_somebody_else_is_busy(port: int) -> None:
    other = subprocess.Popen(
        ["iperf3", "--client", HOST, "--port", str(port), "--time", "30", "--bitrate", "1M", "--json-stream"],
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout
        assert other.stdout.readline(), "it has begun"
        assert why_not(port)[0] == NetworkFault.BUSY
        assert other.poll() is None, "who was there first is not disturbed"
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize(
    ("behave", "trouble"),
    [
        (says(b""), NetworkFault.SILENT),
        (says(b"", then_waits=False), NetworkFault.CLOSED),
        (says(b"220 smtp.test ESMTP\r\n"), NetworkFault.FOREIGN),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n", then_waits=False), NetworkFault.FOREIGN),
        (says(AGREES), NetworkFault.STALLS),
        (says(AGREES, then_waits=False), NetworkFault.CLOSED),
    ],
)
def test_what_does_not_answer_as_iperf3_is_told(
    behave: Behaviour, trouble: NetworkFault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.uplink.iperf3.REACH_S", 2.5)
    with RawServer(behave) as server:
        assert why_not(server.port)[0] == trouble


@pytest.mark.parametrize(
    ("number", "detail"), [(142, "this server asks for a name and a password"), (7, "iperf3 7"), (None, "")]
)
def test_a_server_that_refuses_the_test_is_told_with_its_reason(number: int | None, detail: str) -> None:
    words = AGREES + ERROR + (b"" if number is None else struct.pack(">i", number))
    with RawServer(says(words)) as server:
        assert why_not(server.port) == (NetworkFault.SERVER_ERROR, detail)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (bytes([11]), (NetworkFault.SERVER_ERROR, "the measurement was stopped")),
        (ERROR + struct.pack(">ii", 27, 0), (NetworkFault.SERVER_ERROR, "more data a second than this server takes")),
        (b"", (NetworkFault.CLOSED, "")),
    ],
)
def test_a_server_that_ends_midway_is_told(words: bytes, expected: tuple[NetworkFault, str]) -> None:
    with ScriptedIperf3(says_then_hangs_up(words)) as server:
        assert why_not(server.port, UplinkBudget(most_bytes=10**12, up_s=20.0, idle_s=0.2)) == expected


def test_what_is_asked_for_and_how_a_test_is_ended() -> None:
    ended: list[tuple[bytes, dict[str, object], bytes]] = []

    def listens_to_the_end(_server: ScriptedIperf3, control: socket.socket) -> None:
        ended.append((control.recv(1), said(control), control.recv(1)))
        raise OSError("enough")

    budget = UplinkBudget(streams=3, most_bytes=10**12, up_s=1.2, warm_up_s=0.2, idle_s=0.2)
    with ScriptedIperf3(listens_to_the_end) as server:
        assert why_not(server.port, budget)[0] == NetworkFault.STALLS, "this one gives nothing on the way down"
    up, down = server.asked
    assert up | {"client_version": ""} == {
        "tcp": True, "omit": 0, "time": 2, "num": 0, "blockcount": 0, "parallel": 3, "len": 131_072,
        "pacing_timer": 1000, "client_version": "",
    }  # fmt: skip
    assert (up.get("reverse"), down["reverse"]) == (None, True)
    assert [(first, last) for first, _, last in ended] == [(b"\x04", b"\x10")] * 2
    assert json.dumps(ended[0][1])


def test_a_measurement_ends_at_once_when_nobody_waits_for_it_any_more(port: int) -> None:
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(port, UplinkBudget(most_bytes=10**12, idle_s=0.2), stop)
    assert time.monotonic() - began < 4
    wait_for(lambda: listens(port), what="the server, which goes on")  # between two tests it opens its port anew
    wait_for(lambda: is_free(port), what="the server")


def test_one_that_is_stopped_before_it_sends_leaves_the_server_free(port: int) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(Cancelled):
        run(port, UplinkBudget(most_bytes=10**12, idle_s=20.0), stop)
    wait_for(lambda: is_free(port), what="the server")
