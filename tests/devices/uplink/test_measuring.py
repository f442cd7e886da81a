"""Measuring with iperf3 and LibreSpeed servers on this PC's loopback: good ones, and ones that misbehave."""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sessions.receiver import HOST, free_port, listens
from devices.uplink import iperf3, librespeed, traffic
from devices.uplink.connecting import Cancelled, NetworkError, NetworkFault
from devices.uplink.connection import UplinkServer, parse_server
from devices.uplink.model import UplinkBudget, UplinkResult
from tests.net.opinions import iperf_server
from tests.net.speed_server import How, serving
from tests.support.servers import Behaviour, RawServer, TlsFront, says
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("it judges the speed of links", lane="links"), pytest.mark.server]

SHORT = UplinkBudget(streams=2, most_bytes=10**12, up_s=1.2, down_s=1.2, warm_up_s=0.2, idle_s=0.2)
LITTLE = UplinkBudget(most_bytes=30_000_000, idle_s=0.1)
LONG = UplinkBudget(streams=2, most_bytes=10**12, up_s=20, down_s=20, idle_s=0.1)
type Told = tuple[str, float, float | None]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("uplink")]
    assert left == []


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with iperf_server(tmp_path_factory.mktemp("iperf3")) as port:
        yield port


@pytest.fixture(scope="module")
def speed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("speed")) as server:
        yield server.address


@pytest.fixture(params=["iperf3", "librespeed"])
def address(request: pytest.FixtureRequest, port: int, speed: str) -> Iterator[str]:
    """Provide the address of either; iperf3 takes the next test afterwards."""
    if request.param == "librespeed":
        yield speed
        return
    yield f"iperf3://{HOST}:{port}"
    wait_for(lambda: listens(port), what="the server, which goes on")  # between two tests it opens its port anew
    wait_for(lambda: is_free(port), what="the server")


def run(
    address: str, budget: UplinkBudget = LITTLE, stop: threading.Event | None = None
) -> tuple[UplinkResult, list[Told]]:
    told: list[Told] = []
    measure = iperf3.measure if address.startswith("iperf3") else librespeed.measure
    return measure(parse_server(address), budget, stop or threading.Event(), lambda *said: told.append(said)), told


def why_not(address: str, budget: UplinkBudget = LITTLE) -> tuple[NetworkFault, str]:
    with pytest.raises(NetworkError) as caught:
        run(address, budget)
    return caught.value.trouble, caught.value.detail


def is_free(port: int) -> bool:
    words = ["iperf3", "--client", HOST, "--port", str(port), "--bytes", "1K"]
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0


def test_both_ways_and_the_latencies_are_measured(address: str) -> None:
    found, told = run(address, SHORT)
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


def test_iperf3_calls_nothing_of_a_test_an_error(tmp_path: Path) -> None:
    with iperf_server(tmp_path) as port:
        for budget in (UplinkBudget(most_bytes=10**12, up_s=0.2, down_s=0.2, idle_s=0.1), LITTLE):
            run(f"iperf3://{HOST}:{port}", budget)
        wait_for(lambda: is_free(port), what="the server")
        said = (tmp_path / "output").read_text().splitlines()
    # A probe that a busy PC has sent too late has no cookie.
    assert [line for line in said if "error" in line and "receive cookie" not in line] == []


def moves_no_more_than_it_may(address: str, budget: UplinkBudget) -> None:
    found, _ = run(address, budget)
    assert found.is_capped
    assert found.down
    assert 0.9 * budget.most_bytes < found.moved_bytes < 1.1 * budget.most_bytes


@pytest.mark.parametrize(
    "budget",
    [UplinkBudget(streams=2, most_bytes=200_000_000, idle_s=0.1), UplinkBudget(most_bytes=1_000_000, streams=8)],
)
def test_it_moves_no_more_than_it_may(address: str, budget: UplinkBudget) -> None:
    moves_no_more_than_it_may(address, budget)


@pytest.mark.parametrize("how", [How.CLOSES, How.EARLY])
def test_servers_answer_posts_as_they_like(tmp_path: Path, how: How) -> None:
    with serving(tmp_path, how) as server:
        moves_no_more_than_it_may(server.address, LITTLE)


def test_a_measurement_that_is_stopped_ends_at_once(address: str) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()  # in the midst of the way up
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(address, LONG, stop)
    assert time.monotonic() - began < 10


def test_one_that_is_stopped_before_it_sends_leaves_the_server_free(port: int) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Cancelled):
        run(f"iperf3://{HOST}:{port}", UplinkBudget(most_bytes=10**12, idle_s=20.0), stop)
    wait_for(lambda: is_free(port), what="the server")


def test_a_post_does_not_wait_for_the_answer_to_the_one_before() -> None:
    """Over a long way a connection would stand still meanwhile."""
    stop = threading.Event()
    seen: list[bytes] = []

    def never_answers_a_post(connection: socket.socket, over: threading.Event) -> None:
        connection.settimeout(0.5)
        before = b""
        try:
            while more := connection.recv(1 << 20):
                if b"POST /backend/empty.php" in before[-30:] + more:
                    seen.append(more)
                    stop.set()
                before = more
        except TimeoutError:  # it was asked for something, and sent nothing
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    budget = UplinkBudget(most_bytes=10**9, up_s=20.0, streams=1, idle_s=0.1)
    with RawServer(never_answers_a_post) as server, pytest.raises(Cancelled):
        run(f"http://{HOST}:{server.port}/backend", budget, stop)
    assert seen


def test_tls_needs_a_right_certificate(tmp_path: Path, speed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = TlsFront(tmp_path / "tls", parse_server(speed).port)
    try:
        address = f"https://localhost:{tls.port}/backend"
        assert why_not(address) == (NetworkFault.INTERCEPTED, "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
        moves_no_more_than_it_may(address, UplinkBudget(most_bytes=5_000_000, streams=2, idle_s=0.1))
    finally:
        tls.stop()


# Servers that misbehave

AGREES = bytes([9])
RUNS = bytes([10, 1, 2])
ERROR = bytes([0xFE])
REFUSED = NetworkFault.SERVER_ERROR
PORTAL = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.test/login\r\nContent-Length: 0\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n<!DOCTYPE html><title>Log in</title>"


@pytest.mark.parametrize(
    ("scheme", "behave", "trouble"),
    [
        ("iperf3", says(b""), NetworkFault.SILENT),
        ("iperf3", says(b"HTTP/1.1 400 Bad Request\r\n\r\n", then_waits=False), NetworkFault.FOREIGN),
        ("iperf3", says(AGREES), NetworkFault.STALLS),
        ("iperf3", says(AGREES, then_waits=False), NetworkFault.CLOSED),
        ("http", says(b"", then_waits=False), NetworkFault.CLOSED),
        ("http", says(b"220 smtp.test ESMTP\r\n"), NetworkFault.FOREIGN),
        ("http", says(PAGE), NetworkFault.PORTAL),
    ],
)
def test_what_does_not_answer_as_it_should_is_told(
    scheme: str, behave: Behaviour, trouble: NetworkFault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iperf3, "REACH_S", 2.5)
    with RawServer(behave) as server:
        assert why_not(f"{scheme}://{HOST}:{server.port}")[0] == trouble


@pytest.mark.parametrize(
    ("scheme", "words", "trouble", "detail"),
    [
        ("iperf3", ERROR + struct.pack(">i", 142), REFUSED, "this server asks for a name and a password"),
        ("iperf3", ERROR + struct.pack(">i", 7), REFUSED, "iperf3 7"),
        ("iperf3", ERROR, REFUSED, ""),
        ("iperf3", RUNS + bytes([11]), REFUSED, "the measurement was stopped"),
        ("iperf3", RUNS + ERROR + struct.pack(">ii", 27, 0), REFUSED, "more data a second than this server takes"),
        ("http", PORTAL, NetworkFault.PORTAL, "login.hotel.test"),
        ("http", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NetworkFault.FOREIGN, "404"),
    ],
)
def test_a_server_that_refuses_says_why_also_midway(
    scheme: str, words: bytes, trouble: NetworkFault, detail: str
) -> None:
    with RawServer(says(words if scheme == "http" else AGREES + words)) as server:
        assert why_not(f"{scheme}://{HOST}:{server.port}") == (trouble, detail)


def test_a_server_that_takes_no_such_post_or_is_not_there_is_told(tmp_path: Path) -> None:
    assert why_not(f"iperf3://{HOST}:{free_port()}")[0] == NetworkFault.REFUSED
    with serving(tmp_path, How.REFUSES) as server:
        assert why_not(server.address) == (NetworkFault.SERVER_ERROR, "413")


def test_a_server_that_measures_for_somebody_else_is_busy(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(iperf_server(tmp_path))
        other = stack.enter_context(
            subprocess.Popen(
                ["iperf3", "--client", HOST, "--port", str(port), "--time", "30", "--bitrate", "1M", "--json-stream"],
                stdout=subprocess.PIPE,
            )
        )
        stack.callback(other.kill)
        assert other.stdout
        assert b'"start"' in other.stdout.readline(), "it has begun"
        assert why_not(f"iperf3://{HOST}:{port}")[0] == NetworkFault.BUSY
        assert other.poll() is None, "who was there first is not disturbed"


@pytest.mark.parametrize("how", [How.STALLS, How.STALLS_GIVING])
def test_a_server_that_stops_midway_is_told_soon(tmp_path: Path, how: How, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "STALL_S", 1.0)
    with serving(tmp_path, how) as server:
        began = time.monotonic()
        assert why_not(server.address, LONG if how is How.STALLS else LITTLE)[0] == NetworkFault.STALLS
        assert time.monotonic() - began < 10


def test_a_server_that_goes_away_midway_is_told(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path))
        threading.Timer(0.5, stack.close).start()
        assert why_not(server.address, LONG)[0] == NetworkFault.CLOSED


@pytest.mark.parametrize(
    ("address", "server", "where"),
    [
        ("https://kampus.ac.id/backend/", UplinkServer("https", "kampus.ac.id", 443, "/backend"), "kampus.ac.id"),
        ("http://[::1]:8080", UplinkServer("http", "::1", 8080), "[::1]:8080"),
        ("iperf3://iperf.kampus.ac.id", UplinkServer("iperf3", "iperf.kampus.ac.id", 5201), "iperf.kampus.ac.id"),
    ],
)
def test_an_address_is_taken_apart_and_shown(address: str, server: UplinkServer, where: str) -> None:
    assert parse_server(address) == server
    assert server.where == where
