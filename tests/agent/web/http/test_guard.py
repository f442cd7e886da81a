"""Who gets in, and how much room each client has: every way that is none, tried on a real server."""

import contextlib
import http.client
import itertools
import json
import os
import socket
import stat
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands.token import EXAMPLES
from agent.web.http import guard, limits
from agent.web.http.limits import REQUESTS_AT_ONCE, REQUESTS_PER_S, LimitedListener
from agent.web.http.token import COOKIE_S, MOST_TICKETS, TICKET_S, Auth, read_token
from agent.web.page import texts
from agent.web.server import read_page_address
from config.errors import SecretError, StateError
from config.settings.serving import WebSettings
from devices.host.throttle import TokenBuckets
from tests.support import command, web
from tests.support.silent import silent
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for
from tests.support.web import Page

pytestmark = pytest.mark.server
TICKETS = "/api/v1/tickets"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with web.serving() as served:
        yield served


def bearer(page: Page) -> str:
    return f"Authorization: Bearer {page.token}"


def cookie(page: Page) -> str:
    """Return the cookie of a browser that was let in, as it would send it."""
    url = page.post(TICKETS).json["url"]
    let_in = page.ask("GET", url.removeprefix(page.origin), token=None)
    assert (let_in.status, let_in.headers["location"]) == (303, "/")
    return let_in.headers["set-cookie"].partition(";")[0]


def test_only_this_pcs_own_names_are_answered(page: Page) -> None:
    ours, theirs = ("127.0.0.1", "LOCALHOST", "[::1]"), ("evil.example", "127.0.0.1.evil.example")
    names = [f"{name}:{page.port}" for name in (*ours, *theirs)]
    for name in (*names, "127.0.0.1", "127.0.0.1:1", ""):
        status = page.status_of("GET", "/healthz", f"Host: {name}", bearer(page))
        assert status == (200 if name in names[: len(ours)] else 421), name
    assert page.status_of("GET", "/healthz", f"Host: {page.host}", "Host: evil.example") in {400, 421}


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


@pytest.mark.parametrize("origin", ["null", "https://{host}", "http://localhost:{port}", "http://{host}.evil.example"])
def test_a_page_from_elsewhere_is_refused_with_the_token_too(page: Page, origin: str) -> None:
    origin = origin.format(host=page.host, port=page.port)
    assert page.status_of("GET", "/openapi.json", f"Host: {page.host}", f"Origin: {origin}", bearer(page)) == 403
    assert web.wish(page, Origin=origin, Authorization=f"Bearer {page.token}") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_fetches_is_refused(page: Page, site: str) -> None:
    lines = (f"Host: {page.host}", f"Sec-Fetch-Site: {site}", bearer(page))
    assert page.status_of("POST", TICKETS, *lines, "Content-Length: 0") == 403
    navigates = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert page.status_of("GET", "/open", *lines, *navigates) == 200, "somebody may follow a link to a page"
    assert page.status_of("GET", "/open", *lines, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe") == 403
    assert page.status_of("GET", "/api/v1/state", *lines, *navigates) == 403, "of the API there are no pages"


@pytest.mark.parametrize("given", ["", "Bearer x", "Basic {token}", "Bearer {token}x"])
def test_without_the_token_nothing_is_told_and_nothing_done(page: Page, given: str) -> None:
    lines = [f"Host: {page.host}", *([f"Authorization: {given.format(token=page.token)}"] if given else [])]
    for path in (TICKETS, "/api/v1/nowhere", "/", "/open/x", "/metrics"):
        method = "POST" if path == TICKETS else "GET"
        assert page.status_of(method, path, *lines, "Content-Length: 0") == 401
    assert web.wish(page) == 401


def test_what_is_refused_says_what_to_do_to_programs_and_to_people(page: Page) -> None:
    refused = page.ask("POST", TICKETS, token=None)
    assert refused.json["type"] == "error"
    assert "liput" in refused.json["hint"]
    shown = page.ask("GET", "/", token=None)
    assert (shown.status, shown.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b"Run <code>liput</code>" in shown.body


def test_every_answer_has_the_headers_that_bind_a_browser(page: Page) -> None:
    for answer in (page.get("/healthz"), page.get("/nowhere"), page.ask("GET", "/", token=None), page.post(TICKETS)):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_a_ticket_opens_once_and_only_with_the_token_is_there_one(page: Page) -> None:
    path = page.ticket().removeprefix(page.origin)
    first = page.ask("GET", path, token=None)
    assert first.status == 303
    flags = first.headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "samesite=strict", "path=/"))
    assert page.token not in path + flags
    assert page.ask("GET", path, token=None).status == 401
    assert page.ask("GET", "/open?ticket=", token=None).status == 401
    lines = (f"Host: {page.host}", f"Cookie: {cookie(page)}", f"Origin: {page.origin}", "Content-Length: 0")
    for more in ((), ("Authorization: Basic eDp4",), ("Authorization: Bearer",)):
        assert page.status_of("POST", TICKETS, *lines, *more) == 403, "a page gets no tickets for others"


def test_the_token_typed_into_the_form_opens_too(page: Page) -> None:
    told = list(page.told)
    right, kind = f"token={page.token}".encode(), "application/x-www-form-urlencoded"
    unreadable = (b"token=x", b"a&b&c&d&e", b"&".join([right] * 5), b"\xff=%ff")
    for form, status in ((right, 303), (right + b"%0A+", 303), *((form, 401) for form in unreadable)):
        answer = page.ask("POST", "/open", form, token=None, Content_Type=kind, Origin=page.origin)
        assert answer.status == status, form
    assert page.told == told, "nobody fills the log who is not let in"
    shown = page.ask("GET", "/archive", token=None)
    assert (shown.status, b'action="/open?to=/archive"' in shown.body) == (401, True)
    foreign = ("//evil.example", "https://evil.example", "/%5Cx")
    for asked, comes in (("/archive", "/archive"), *((address, "/") for address in foreign)):
        answer = page.ask("POST", f"/open?to={asked}", right, token=None, Content_Type=kind, Origin=page.origin)
        assert answer.headers["location"] == comes
    for address in ("/open", "/open?leave"):
        elsewhere = page.ask("POST", address, right, token=None, Content_Type=kind, Origin="http://evil.example")
        assert elsewhere.status == 403
    left = page.ask("POST", "/open?leave", b"", token=None, Content_Type=kind, Origin=page.origin)
    assert (left.status, left.headers["location"]) == (303, "/open")
    assert "max-age=0" in left.headers["set-cookie"].lower(), "the browser forgets its cookie"


def test_a_browser_that_goes_where_nothing_is_gets_a_page_and_a_program_an_error(page: Page) -> None:
    shown = page.get("/nowhere", Accept="text/html,*/*", Cookie="liput_language=en")
    assert (shown.status, texts.text("en", "missing.title") in shown.body.decode()) == (404, True)
    told = page.get("/api/v1/nowhere")
    assert (told.status, told.headers["content-type"], told.json["code"]) == (404, "application/problem+json", "failed")


def test_the_cookie_lets_a_browser_in_until_it_is_changed(page: Page) -> None:
    given = cookie(page)
    assert page.status_of("GET", "/api/v1/nowhere", f"Host: {page.host}", f"Cookie: {given}") == 404
    name, _, value = given.partition("=")
    ends, _, signature = value.partition(".")
    for changed in (f"{int(ends) + 1}.{signature}", f"{ends}.{signature[:-1]}", "x.y", page.token):
        assert page.status_of("GET", "/api/v1/nowhere", f"Host: {page.host}", f"Cookie: {name}={changed}") == 401


@pytest.mark.parametrize("foreign", ['{{"a":1}}', "flag;", 'a="b;', "x=\xe9", "{name}=x", "{name}"])
def test_cookies_of_other_servers_of_this_host_lock_nobody_out(page: Page, foreign: str) -> None:
    ours = cookie(page)
    theirs = foreign.format(name=ours.partition("=")[0])
    for lines, status in (
        ((f"Cookie: {theirs}; {ours}",), 404),
        ((f"Cookie: {ours}; {theirs}",), 404),
        ((f"Cookie: {theirs}", f"Cookie: {ours}"), 404),
        ((f"Cookie: {theirs}",), 401),
    ):
        assert page.status_of("GET", "/api/v1/nowhere", f"Host: {page.host}", *lines) == status, lines


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


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_what_is_no_request_is_answered_with_400_and_hung_up_on(page: Page, sent: bytes) -> None:
    assert page.raw(sent + b"\r\n\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "sent",
    [
        "GET /healthz HTTP/1.1\r\nHost: x",
        "POST /api/v1/tickets HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 999\r\n\r\n",
    ],
)
def test_a_request_that_never_ends_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr("agent.web.http.connections.HEADER_S", 0.5)
    with web.serving() as page, socket.create_connection(("127.0.0.1", page.port), timeout=0.2) as connection:
        connection.sendall(sent.format(host=page.host, token=page.token).encode())

        def is_hung_up_on() -> bool:
            """Send a byte in time; read what is answered for a moment."""
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"x")
                return connection.recv(65_536) == b""
            return False

        with contextlib.suppress(ConnectionError):
            wait_for(is_hung_up_on)


def test_a_handshake_that_never_ends_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_S", 0.5)
    certificate, key = web.signed(tmp_path)
    settings = WebSettings(port=0, lan=True, tls_certificate=certificate, tls_key=key)
    with web.serving(settings) as page, socket.create_connection(("127.0.0.1", page.port), timeout=60) as connection:
        assert connection.recv(1) == b""


# How much room each client has


def test_an_address_may_ask_so_much_at_once_and_then_so_much_in_a_second() -> None:
    rates = TokenBuckets(REQUESTS_AT_ONCE, REQUESTS_PER_S, 3)

    def answered(address: str, now_s: float) -> int:
        """Ask until it is one too many; return how many were not."""
        return next(count for count in itertools.count() if rates.take(address, now_s) > 0.0)

    assert answered("10.0.0.1", 1000.0) == REQUESTS_AT_ONCE
    assert rates.take("10.0.0.1", 1000.0) == pytest.approx(1 / REQUESTS_PER_S)
    assert answered("10.0.0.1", 1001.0) == REQUESTS_PER_S
    assert answered("10.0.0.2", 1001.0) == REQUESTS_AT_ONCE, "another one has its own"
    assert answered("10.0.0.1", 5000.0) == REQUESTS_AT_ONCE, "what is not used is not saved for long"
    for other in ("10.0.0.3", "10.0.0.4"):
        rates.take(other, 5000.0)
    assert rates.take("10.0.0.1", 5000.0) > 0.0
    assert answered("10.0.0.2", 5000.0) == REQUESTS_AT_ONCE, "who was silent the longest is forgotten first"


def test_who_has_shown_the_token_makes_room_for_nobody_and_others_for_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    descriptors = (160, 160)  # a quarter of them: ten of each kind, eight of each user
    monkeypatch.setattr("agent.web.http.limits.resource.getrlimit", lambda _which: descriptors)
    users = iter([0] * 11 + [1000] * 2 + [1001] * 20 + [1002])
    monkeypatch.setattr("agent.web.http.limits.owner_of_peer", lambda _connection: next(users))
    with contextlib.ExitStack() as held, contextlib.closing(LimitedListener(socket.AF_INET)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def come(count: int, *, shows_token: bool = False) -> list[socket.socket]:
            """Return the server's ends of new connections; as it does, close those that are let go."""
            ends = []
            for _ in range(count):
                held.enter_context(socket.create_connection(listener.getsockname()))
                taken, client = listener.accept()
                ends.append(held.enter_context(taken))
                if shows_token:
                    listener.mark_authenticated(client)
                for end in {*there, *ends}:
                    if not is_open(end):
                        end.close()
            there.update(ends)
            return ends

        there: set[socket.socket] = set()
        known = come(11, shows_token=True)
        first, others = come(2), come(20)
        assert [*map(is_open, known)] == [True] * 10 + [False], "one too many counts as those without it"
        assert [*map(is_open, first)] == [True] * 2
        assert [*map(is_open, others)] == [False] * 12 + [True] * 8
        come(1)
        assert [*map(is_open, first)] == [False, True], "of all, the oldest"


def is_open(end: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return end.fileno() >= 0 and end.recv(1, socket.MSG_DONTWAIT) != b""
    return True


def test_half_requests_of_this_pc_keep_nobody_from_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.web.server.KEEP_ALIVE_S", 600)
    other_user = ("setpriv", "--reuid=65534", "--clear-groups") if os.geteuid() == 0 else ()  # only root can be that
    half = "POST /api/v1/recording/stop HTTP/1.1\r\nHost: x\r\n"
    with web.serving() as page, contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port)) as known:

        def asks() -> int:
            known.request("GET", "/api/v1/state", headers={"Authorization": f"Bearer {page.token}"})
            answer = known.getresponse()
            answer.read()
            return answer.status

        assert asks() == 200
        with silent("127.0.0.1", page.port, 300, half, other_user):
            assert [page.post("/api/v1/recording/stop").status for _ in range(20)] == [200] * 20
            assert page.ask("GET", "/open", token=None).status == 200, "somebody may be let in"
            assert asks() == 200, "who has shown the token keeps the connection"


def test_requests_without_the_token_take_nothing_from_those_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUESTS_AT_ONCE", 50.0)  # as a busy machine asks hardly faster than one may
    monkeypatch.setattr(guard, "REQUESTS_PER_S", 0.1)
    with web.serving() as page:
        given = cookie(page)
        answers = [page.ask("GET", "/healthz", token=None) for _ in range(55)]
        assert {answer.status for answer in answers} == {200, 429}
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert page.post("/api/v1/recording/stop").status == 200
        assert page.ask("GET", "/api/v1/state", token=None, Cookie=given).status == 200
        assert page.ask("GET", "/open", token=None).status == 200, "somebody may be let in"


# The token, and what is made of it


def auth(tmp_path: Path, clock: SimulatedClock, token: str = "t" * 43) -> Auth:
    """Return one whose file holds `token`."""
    path = tmp_path / token
    path.touch(0o600)
    path.write_text(token)
    return Auth(clock, path)


def test_a_token_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "web-token"
    token = read_token(path)
    assert len(token) >= 43
    assert read_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o640)
    with pytest.raises(SecretError, match="is readable by other users"):
        read_token(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(SecretError, match="holds no token") as refused:
        read_token(path)
    assert "short" not in refused.value.message
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(StateError, match="cannot be read"):
        read_token(tmp_path / "link")


def test_tickets_are_good_for_a_minute(tmp_path: Path) -> None:
    clock = SimulatedClock()
    one = auth(tmp_path, clock)
    ticket = one.ticket()
    clock.wait(threading.Event(), TICKET_S + 1)
    assert not one.use_ticket(ticket)
    many = [one.ticket() for _ in range(MOST_TICKETS + 1)]
    assert not one.use_ticket(many[0]), "the oldest goes where there are too many"
    assert one.use_ticket(many[-1])


def test_a_cookie_holds_for_its_time_and_for_its_token_alone(tmp_path: Path) -> None:
    clock = SimulatedClock()
    cookie = auth(tmp_path, clock).cookie()
    assert auth(tmp_path, clock).is_cookie_valid(cookie), "also after the daemon has begun anew"
    assert not auth(tmp_path, clock, "u" * 43).is_cookie_valid(cookie)
    clock.wait(threading.Event(), COOKIE_S + 1)
    assert not auth(tmp_path, clock).is_cookie_valid(cookie)


def test_another_token_holds_at_once_and_one_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    clock, path = SimulatedClock(), tmp_path / "web-token"
    one = Auth(clock, path)
    token, cookie, ticket = read_token(path), one.cookie(), one.ticket()
    path.unlink()
    assert one.is_token(token)
    path.write_text("too short")
    assert one.is_token(token)
    path.unlink()
    other = read_token(path)
    assert not one.use_ticket(ticket)
    assert not one.is_cookie_valid(cookie)
    assert not one.is_token(token)
    assert one.is_token(other)
    assert one.is_cookie_valid(one.cookie())


def test_the_command_shows_it(tmp_path: Path) -> None:
    shown = command.liput(tmp_path, "token", "--json", more={"LIPUT_STATE": os.environ["LIPUT_STATE"]})
    assert json.loads(shown.stdout) == {"token": read_token()}


@pytest.mark.parametrize("text", [EXAMPLES, (command.ROOT / "docs/api.md").read_text()])
def test_the_example_gives_the_token_to_curl_where_no_process_list_shows_it(text: str) -> None:
    (example,) = (line.strip() for line in text.splitlines() if "liput token" in line and "curl" in line)
    first, _, rest = example.partition(" | ")
    assert first == """printf 'Authorization: Bearer %s' "$(liput token)\""""  # a builtin of the shell
    assert rest.startswith("curl -H @- ")
