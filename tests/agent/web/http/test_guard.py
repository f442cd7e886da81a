"""Who gets in: every way that is none, tried on a real server, with requests as no library would send them."""

import contextlib
import http.client
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest

from agent.web.http import limits
from agent.web.server import read_page_address
from config.settings.serving import WebSettings
from tests.support import web
from tests.support.web import Page

pytestmark = pytest.mark.server
TICKETS = "/api/v1/tickets"


@pytest.fixture
def page() -> Iterator[Page]:
    with web.serving() as served:
        yield served


def bearer(page: Page) -> str:
    return f"Authorization: Bearer {page.token}"


def cookie(page: Page) -> str:
    """Return the cookie of a browser that was let in, as it would send it."""
    url = page.post(TICKETS).json["url"]
    let_in = page.ask("GET", url.removeprefix(page.origin), token=None)
    assert let_in.status == 303
    assert let_in.headers["location"] == "/"
    return let_in.headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1:1",
        "127.0.0.1",
        "127.0.0.1:{port}.evil.example",
        "",
        "localhost@evil:{port}",
    ],
)
def test_a_name_that_is_not_this_pcs_is_refused(page: Page, host: str) -> None:
    assert page.status_of("GET", "/healthz", f"Host: {host.format(port=page.port)}", bearer(page)) == 421


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_its_own_names_are_not(page: Page, host: str) -> None:
    assert page.status_of("GET", "/healthz", f"Host: {host.format(port=page.port)}") == 200


def test_one_that_listens_everywhere_is_reached_by_ipv4_too() -> None:
    """The kernel then calls an address of IPv4 by one of IPv6."""
    with web.serving(WebSettings(host="::", port=0)) as page:
        place = read_page_address()
        assert place
        assert place.url == f"http://[::1]:{page.port}/"
        with urllib.request.urlopen(f"{place.url}healthz", timeout=60) as answer:
            assert answer.status == 200
        other = "127.0.0.2"  # it stands for one of the network
        for host, status in ((other, 200), ("127.0.0.3", 421), ("[::]", 421), (f"[::ffff:{other}]", 421)):
            with contextlib.closing(http.client.HTTPConnection(other, page.port, timeout=60)) as connection:
                connection.request("GET", "/healthz", headers={"Host": f"{host}:{page.port}"})
                assert connection.getresponse().status == status, host


def test_two_names_are_refused(page: Page) -> None:
    assert page.status_of("GET", "/healthz", f"Host: {page.host}", "Host: evil.example") in {400, 421}


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://{host}",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
        "http://{host}.evil.example",
        "",
    ],
)
def test_a_page_from_elsewhere_is_refused_with_the_token_too(page: Page, origin: str) -> None:
    origin = origin.format(host=page.host, port=page.port)
    assert page.status_of("GET", "/openapi.json", f"Host: {page.host}", f"Origin: {origin}", bearer(page)) == 403
    assert web.wish(page, Origin=origin, Authorization=f"Bearer {page.token}") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_what_another_site_fetches_is_refused(page: Page, site: str) -> None:
    lines = (f"Host: {page.host}", f"Sec-Fetch-Site: {site}", bearer(page))
    assert page.status_of("POST", TICKETS, *lines, "Content-Length: 0") == 403
    navigates = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert page.status_of("GET", "/open", *lines, *navigates) == 200, "somebody may follow a link to a page"
    assert page.status_of("GET", "/open", *lines, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe") == 403
    assert page.status_of("GET", "/api/v1/state", *lines, *navigates) == 403, "of the API there are no pages"


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic {token}", "Bearer {token}x", "bearer {other}"])
def test_without_the_token_nothing_is_told_and_nothing_done(page: Page, given: str) -> None:
    other = page.token[:-1] + ("A" if page.token[-1] != "A" else "B")
    lines = [f"Host: {page.host}"]
    if given:
        lines.append(f"Authorization: {given.format(token=page.token, other=other)}")
    for method, path in (
        ("POST", TICKETS),
        ("GET", "/api/v1/nowhere"),
        ("GET", "/"),
        ("GET", "/open/x"),
        ("GET", "/metrics"),
    ):
        assert page.status_of(method, path, *lines, "Content-Length: 0") == 401
    assert web.wish(page) == 401


def test_what_is_refused_says_why_and_what_to_do(page: Page) -> None:
    refused = page.ask("POST", TICKETS, token=None)
    assert refused.json["type"] == "error"
    assert "liput" in refused.json["hint"]
    shown = page.ask("GET", "/", token=None)
    assert (shown.status, shown.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b"Jalankan <code>liput</code>" in shown.body
    assert b"Run <code>liput</code>" in shown.body


def test_every_answer_has_the_headers_that_bind_a_browser(page: Page) -> None:
    for answer in (page.get("/healthz"), page.get("/nowhere"), page.ask("GET", "/", token=None), page.post(TICKETS)):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_a_ticket_opens_once_and_only_with_the_token_is_there_one(page: Page) -> None:
    url = page.post(TICKETS).json["url"]
    assert page.token not in url
    path = url.removeprefix(page.origin)
    first = page.ask("GET", path, token=None)
    assert first.status == 303
    flags = first.headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "samesite=strict", "path=/"))
    assert page.token not in flags
    assert page.ask("GET", path, token=None).status == 401
    assert page.ask("GET", "/open?ticket=", token=None).status == 401
    lines = (f"Host: {page.host}", f"Cookie: {cookie(page)}", f"Origin: {page.origin}", "Content-Length: 0")
    for more in ((), ("Authorization: Basic eDp4",), ("Authorization: Bearer",)):
        assert page.status_of("POST", TICKETS, *lines, *more) == 403, "a page gets no tickets for others"


def test_the_token_typed_into_the_form_opens_too(page: Page) -> None:
    kind = "application/x-www-form-urlencoded"
    right = page.ask("POST", "/open", f"token={page.token}".encode(), token=None, Content_Type=kind, Origin=page.origin)
    assert right.status == 303
    wrong = page.ask("POST", "/open", b"token=x", token=None, Content_Type=kind, Origin=page.origin)
    assert wrong.status == 401
    told = list(page.told)
    for unread in (b"a&b&c&d&e", b"&".join([f"token={page.token}".encode()] * 5), b"\xff=%ff"):
        assert page.ask("POST", "/open", unread, token=None, Content_Type=kind, Origin=page.origin).status == 401
    assert page.told == told, "nobody fills the log who is not let in"
    elsewhere = page.ask("POST", "/open", b"token=x", token=None, Content_Type=kind, Origin="http://evil.example")
    assert elsewhere.status == 403


def test_the_cookie_lets_a_browser_in_until_it_is_changed(page: Page) -> None:
    given = cookie(page)
    lines = (f"Host: {page.host}", f"Cookie: {given}")
    assert page.status_of("GET", "/api/v1/nowhere", *lines) == 404
    name, _, value = given.partition("=")
    ends, _, signature = value.partition(".")
    for changed in (f"{int(ends) + 1}.{signature}", f"{ends}.{signature[:-1]}", ends, "", "x.y", page.token):
        assert page.status_of("GET", "/api/v1/nowhere", f"Host: {page.host}", f"Cookie: {name}={changed}") == 401


@pytest.mark.parametrize(
    "foreign", ['{{"a":1}}', "flag;", "flag", 'a="b;', "[]=1; ;=", "x=\xe9", "{name}=x", "{name}=1.y; Path=/", "{name}"]
)
def test_cookies_of_other_servers_of_this_host_lock_nobody_out(page: Page, foreign: str) -> None:
    ours = cookie(page)
    theirs = foreign.format(name=ours.partition("=")[0])
    for lines in (
        (f"Cookie: {theirs}; {ours}",),
        (f"Cookie: {ours}; {theirs}",),
        (f"Cookie: {theirs}", f"Cookie: {ours}"),
    ):
        assert page.status_of("GET", "/api/v1/nowhere", f"Host: {page.host}", *lines) == 404, lines
    assert page.status_of("GET", "/api/v1/nowhere", f"Host: {page.host}", f"Cookie: {theirs}") == 401


def test_a_browser_that_does_not_say_whose_page_it_shows_changes_nothing(page: Page) -> None:
    lines = (f"Host: {page.host}", f"Cookie: {cookie(page)}", "Content-Length: 0")
    assert page.status_of("POST", "/api/v1/nowhere", *lines) == 403
    assert page.status_of("POST", "/api/v1/nowhere", *lines, f"Origin: {page.origin}") == 404
    assert web.wish(page, Cookie=cookie(page)) == 403


def test_what_is_too_long_is_refused(page: Page) -> None:
    lines = (f"Host: {page.host}", bearer(page), "Content-Type: application/json")
    assert page.status_of("POST", TICKETS, *lines, f"Content-Length: {limits.LONGEST_BODY + 1}") == 413
    head = "\r\n".join((f"POST {TICKETS} HTTP/1.1", *lines, "Transfer-Encoding: chunked", "", ""))
    piece = b"%x\r\n%s\r\n" % (30_000, b" " * 30_000)
    assert page.raw(head.encode() + 3 * piece + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")
    assert page.status_of("GET", "/healthz", f"Host: {page.host}", f"X-Long: {'x' * limits.LONGEST_HEAD}") == 431


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\0" * 100])
def test_what_is_no_request_is_answered_with_400_and_hung_up_on(page: Page, sent: bytes) -> None:
    assert page.raw(sent + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert page.get("/healthz").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /healthz HTTP/1.1\r\nHost: x",
        "POST /api/v1/tickets HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 999\r\n\r\n",
    ],
)
def test_a_request_that_never_ends_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr("agent.web.http.connections.HEADER_S", 0.5)
    with web.serving() as page:
        with socket.create_connection(("127.0.0.1", page.port), timeout=60) as connection:
            began = time.monotonic()
            connection.sendall(sent.format(host=page.host, token=page.token).encode())
            assert _drips_until_it_is_hung_up_on(connection), "each byte comes in time, and the request never ends"
            assert time.monotonic() - began < 15
        assert page.get("/healthz").body == b"ok\n"


def _drips_until_it_is_hung_up_on(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    for _ in range(100):
        try:
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            pass
        except OSError:
            return True
        try:
            connection.sendall(b"x")
        except OSError:
            return True
    return False


def test_a_new_connection_takes_the_place_of_the_oldest_that_showed_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 20)  # five of this PC without the token, and five with it
    with web.serving() as page, contextlib.ExitStack() as held:
        known = http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)
        held.callback(known.close)

        def asks() -> int:
            known.request("GET", "/api/v1/nowhere", headers={"Authorization": f"Bearer {page.token}"})
            answer = known.getresponse()
            answer.read()
            return answer.status

        assert asks() == 404
        place = ("127.0.0.1", page.port)
        first, *others = [held.enter_context(socket.create_connection(place, timeout=60)) for _ in range(5)]
        assert page.get("/healthz").status == 200
        assert first.recv(1) == b""
        assert asks() == 404, "who has shown it keeps the connection"
        for other in others:
            other.sendall(f"GET /healthz HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode())
            assert other.recv(12) == b"HTTP/1.1 200"
