"""Measuring with a LibreSpeed server that behaves, or does not, on this PC's loopback."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sessions.receiver import HOST
from devices.uplink.connecting import Cancelled, NetworkError, NetworkFault
from devices.uplink.connection import UplinkServer, parse_server
from devices.uplink.librespeed import measure
from devices.uplink.model import UplinkBudget, UplinkResult
from tests.net.speed_server import How, serving
from tests.support.servers import Behaviour, RawServer, TlsFront, says

pytestmark = [pytest.mark.alone("it judges the speed of links", lane="links"), pytest.mark.server]

LITTLE = UplinkBudget(most_bytes=30_000_000, up_s=3.0, down_s=3.0, warm_up_s=0.5, idle_s=0.2)
LONG = UplinkBudget(most_bytes=10**12, up_s=60, down_s=60)
type Told = tuple[str, float, float | None]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("uplink")]
    assert left == []


def run(
    address: str, budget: UplinkBudget = LITTLE, stop: threading.Event | None = None
) -> tuple[UplinkResult, list[Told]]:
    told: list[Told] = []
    return measure(parse_server(address), budget, stop or threading.Event(), lambda *said: told.append(said)), told


def why_not(address: str, budget: UplinkBudget = LITTLE) -> tuple[NetworkFault, str]:
    with pytest.raises(NetworkError) as caught:
        run(address, budget)
    return caught.value.trouble, caught.value.detail


@pytest.mark.parametrize("how", [How.WELL, How.CLOSES, How.EARLY])
def test_both_ways_are_measured_within_the_data_that_it_may_take(tmp_path: Path, how: How) -> None:
    with serving(tmp_path, how) as server:
        found, told = run(server.address)
    assert found.is_capped
    assert 0.9 * LITTLE.most_bytes < found.moved_bytes < 1.1 * LITTLE.most_bytes
    assert found.up.median_bps > 50e6
    assert found.down
    assert found.down.median_bps > 50e6
    assert found.idle
    assert 0 < found.idle.rtt_s < 0.1
    assert [phase for phase, *_ in (told[0], told[1], told[-1])] == ["reach", "idle", "down"]
    assert [share for _, share, _ in told] == sorted(share for _, share, _ in told)


def test_little_is_hardly_exceeded_however_much_comes_at_once(tmp_path: Path) -> None:
    least = UplinkBudget(most_bytes=1_000_000, streams=8, idle_s=0.1)
    with serving(tmp_path) as server:
        found, _ = run(server.address, least)
    assert found.is_capped
    assert 0.9 * least.most_bytes < found.moved_bytes < 1.05 * least.most_bytes


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


def test_over_tls_it_is_the_same_where_the_certificate_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "speed") as server:
        tls = TlsFront(tmp_path / "tls", server.port)
        try:
            address = f"https://localhost:{tls.port}/backend"
            assert why_not(address) == (NetworkFault.INTERCEPTED, "localhost")
            monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
            found, _ = run(address)
        finally:
            tls.stop()
    assert 0.9 * LITTLE.most_bytes < found.moved_bytes < 1.1 * LITTLE.most_bytes
    assert found.up.median_bps > 20e6


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (How.REDIRECTS, (NetworkFault.PORTAL, "login.hotel.test")),
        (How.PAGE, (NetworkFault.PORTAL, "")),
        (How.WRONG, (NetworkFault.FOREIGN, "404")),
        (How.REFUSES, (NetworkFault.SERVER_ERROR, "413")),
    ],
)
def test_a_server_that_is_not_what_it_should_be_is_told(
    tmp_path: Path, how: How, expected: tuple[NetworkFault, str]
) -> None:
    with serving(tmp_path, how) as server:
        assert why_not(server.address) == expected


@pytest.mark.parametrize("how", [How.STALLS, How.STALLS_GIVING])
def test_a_server_that_stops_midway_is_told_soon(tmp_path: Path, how: How) -> None:
    with serving(tmp_path, how) as server:
        began = time.monotonic()
        assert why_not(server.address, LONG if how is How.STALLS else LITTLE)[0] == NetworkFault.STALLS
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("behave", "trouble"),
    [
        (says(b"", then_waits=False), NetworkFault.CLOSED),
        (says(b"220 smtp.test ESMTP\r\n"), NetworkFault.FOREIGN),
        (says(b"HTTP/1.1 no\r\n\r\n"), NetworkFault.FOREIGN),
    ],
)
def test_what_is_no_http_is_told(behave: Behaviour, trouble: NetworkFault) -> None:
    with RawServer(behave) as server:
        assert why_not(f"http://{HOST}:{server.port}")[0] == trouble


def test_a_server_that_goes_away_midway_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        threading.Timer(1.0, server.close).start()
        trouble, _ = why_not(server.address, LONG)
        assert trouble == NetworkFault.CLOSED


def test_a_measurement_ends_at_once_when_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    stop = threading.Event()
    with serving(tmp_path) as server:
        threading.Timer(2.5, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            run(server.address, LONG, stop)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("https://speed.kampus.ac.id/backend/", UplinkServer("https", "speed.kampus.ac.id", 443, "/backend")),
        ("http://[::1]:8080", UplinkServer("http", "::1", 8080)),
        ("iperf3://iperf.kampus.ac.id", UplinkServer("iperf3", "iperf.kampus.ac.id", 5201)),
    ],
)
def test_an_address_is_taken_apart(address: str, server: UplinkServer) -> None:
    assert parse_server(address) == server


def test_a_server_is_shown_with_its_port_where_that_is_unusual() -> None:
    assert parse_server("https://speed.test").where == "speed.test"
    assert parse_server("http://[::1]:8080").where == "[::1]:8080"
