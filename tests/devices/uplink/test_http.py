"""Heads of answers, whole bodies, and who it is that answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.sessions.receiver import HOST
from devices.uplink.connecting import Deadline, NetworkError, NetworkFault
from devices.uplink.connection import UplinkConnection
from devices.uplink.http import LONGEST_HEAD, HttpResponse, PipelinedResponses, portal_of


def answer(*lines: str, body: bytes = b"", status: str = "HTTP/1.1 200 OK") -> HttpResponse:
    parsed = HttpResponse()
    parsed.feed("\r\n".join((status, *lines, "", "")).encode() + body)
    return parsed


@pytest.mark.parametrize(
    ("one", "is_whole", "keeps_open"),
    [
        (answer("content-length: 3", body=b"ab"), False, True),
        (answer("content-length: 3", body=b"abc"), True, True),
        (answer("Content-Length: 0", "Connection: Close"), True, False),
        (answer("Transfer-Encoding: chunked", body=b"0\r\n\r\n"), True, True),
        (answer("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"), False, True),
        (answer(body=b"until it hangs up"), False, False),
    ],
)
def test_a_connection_is_used_again_if_a_body_ends(one: HttpResponse, is_whole: bool, keeps_open: bool) -> None:
    assert (one.is_whole, one.keeps_open) == (is_whole, keeps_open)


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as here:
        there, _ = server.accept()
        with there:
            yield here, there


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("at_once", [1, 1000])
def test_answers_to_requests_behind_each_other_are_told_apart_however_they_come(at_once: int) -> None:
    with connected() as (here, there):
        answers, patience = PipelinedResponses(UplinkConnection(here)), Deadline.of(5, threading.Event())
        said = OK + CHUNKED + OK + LAST
        for start in range(0, len(said), at_once):
            there.sendall(said[start : start + at_once])
            assert answers.keeps_open
            answers.look()
        answers.wait_for(4, patience)
        assert not answers.keeps_open
        there.close()
        with pytest.raises(NetworkError, check=lambda error: error.trouble == NetworkFault.CLOSED):
            answers.wait_for(5, patience)


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (OK + b"HTTP/1.1 413 Too Large\r\nContent-Length: 9000\r\n\r\n", NetworkFault.SERVER_ERROR),
        (OK + b"220 mail.test ESMTP\r\n", NetworkFault.FOREIGN),
    ],
)
def test_an_answer_that_is_an_error_or_none_is_told_before_it_is_whole(said: bytes, trouble: NetworkFault) -> None:
    with connected() as (here, there):
        there.sendall(said)
        with pytest.raises(NetworkError, check=lambda error: error.trouble == trouble):
            PipelinedResponses(UplinkConnection(here)).wait_for(2, Deadline.of(5, threading.Event()))


def test_a_head_may_come_with_much_of_its_body() -> None:
    assert len(answer("Content-Length: 500000", body=bytes(LONGEST_HEAD + 1)).body) == LONGEST_HEAD + 1


@pytest.mark.parametrize(
    "text", [b"HTTP/1.1 two\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * LONGEST_HEAD]
)
def test_what_is_no_head_is_refused(text: bytes) -> None:
    with pytest.raises(NetworkError, check=lambda error: error.trouble == NetworkFault.FOREIGN):
        HttpResponse().feed(text)


@pytest.mark.parametrize(
    ("host", "to", "who"),
    [
        ("speed.kampus.ac.id", "http://login.hotel.test/x", "login.hotel.test"),
        ("speed.kampus.ac.id", "http://login.lain.ac.id/", "login.lain.ac.id"),
        ("speed.kampus.ac.id", "http://www.kampus.ac.id/", None),
        ("speed.kampus.example", "/login", None),
        ("10.0.0.7", "http://10.0.0.1/", "10.0.0.1"),
        ("speed.kampus.example", "http://[broken", None),
    ],
)
def test_who_sends_people_to_another_host_is_somebody_else(host: str, to: str, who: str | None) -> None:
    assert portal_of(answer(f"Location: {to}", status="HTTP/1.1 302 Found"), host) == who
    assert portal_of(answer(status="HTTP/1.1 511 Network Authentication Required"), host) == "511"
    assert portal_of(answer(), host) is None
