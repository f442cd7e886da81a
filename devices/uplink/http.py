"""A minimal HTTP/1.1 client for measurements, and the detection of captive portals."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import h11

from devices.uplink.connecting import Deadline, NetworkError, NetworkFault, connect, resolve
from devices.uplink.connection import UplinkConnection

LONGEST_HEAD = 65_536
FIRST_ERROR = 400
AT_ONCE = 262_144
_BEGIN = b"HTTP/"
_LENGTHS = frozenset({"content-length", "transfer-encoding"})
_WANTS_A_LOGIN = (407, 511)
_REDIRECTS = range(300, 400)
_PAGE = (b"<!doctype", b"<html")
_BELOW_COUNTRIES = {
    "ac", "biz", "co", "com", "desa", "edu", "go", "gob", "gov", "mil", "my", "ne", "net", "or", "org", "ponpes",
    "sch", "web",
}  # fmt: skip
"""Second-level labels of whole countries: ui.ac.id and ugm.ac.id have different owners."""

type ReceiveBytes = Callable[[Callable[[int], bytes | None]], bytes | None]
"""Receives by the given function, as many bytes at once as it likes, and returns them."""


class HttpResponse:
    """One HTTP response, parsed incrementally."""

    def __init__(self) -> None:
        self.status = 0  # 0 until the head is complete
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_whole = False  # whether the body is complete; one that ends with the connection never is
        self._begin = b""
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        for event in (h11.Request(method="GET", target="/", headers=[("Host", "")]), h11.EndOfMessage()):
            self._parser.send(event)  # h11 expects a request before each response

    def feed(self, data: bytes) -> None:
        """Parse received bytes; raises NetworkError unless they are HTTP."""
        self._begin = (self._begin + data[: len(_BEGIN)])[: len(_BEGIN)]
        if not _BEGIN.startswith(self._begin):  # h11 waits for the end of the line
            raise NetworkError(NetworkFault.FOREIGN, "not HTTP")
        try:
            self._parser.receive_data(data)
            while (event := self._parser.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                self._hear(event)
        except h11.RemoteProtocolError:
            raise NetworkError(NetworkFault.FOREIGN, "not HTTP") from None

    def _hear(self, event: object) -> None:
        match event:
            case h11.Response():
                self.status = event.status_code
                self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            case h11.Data():
                self.body += event.data
            case h11.EndOfMessage():
                self.is_whole = True

    @property
    def has_begun(self) -> bool:
        """Whether any byte has come."""
        return bool(self._begin)

    @property
    def rest(self) -> bytes:
        """Received bytes of the next response."""
        return self._parser.trailing_data[0]

    def refuse_error(self) -> None:
        """Raise NetworkError for an error status."""
        if self.status >= FIRST_ERROR:
            raise NetworkError(NetworkFault.SERVER_ERROR, str(self.status))

    @property
    def keeps_open(self) -> bool:
        """Whether the connection can be used again after the body."""
        ends_by_itself = self.status == HTTPStatus.NO_CONTENT or not self.headers.keys().isdisjoint(_LENGTHS)
        return ends_by_itself and self.headers.get("connection", "").lower() != "close"


def request(method: str, path: str, host: str, *more: str) -> bytes:
    """Return a request's head; `more` are further header lines."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", "User-Agent: liput", "Accept: */*", *more)
    return "\r\n".join((*lines, "", "")).encode()


def _take_many(receive_most: Callable[[int], bytes | None]) -> bytes | None:
    return receive_most(AT_ONCE)


def read_head(channel: UplinkConnection, patience: Deadline, take: ReceiveBytes = _take_many) -> HttpResponse:
    """Return a response as soon as its head is complete. Raises NetworkError and Cancelled."""
    answer = HttpResponse()
    while not answer.status:
        more = receive(channel, patience, has_begun=answer.has_begun, take=take)
        if not more:
            raise NetworkError(NetworkFault.CLOSED)
        answer.feed(more)
    return answer


def read_whole(channel: UplinkConnection, patience: Deadline) -> HttpResponse:
    """Return a short response with its body. Raises NetworkError and Cancelled."""
    answer = read_head(channel, patience)
    while not answer.is_whole and len(answer.body) < LONGEST_HEAD:
        more = receive(channel, patience, has_begun=True)
        if not more:
            break
        answer.feed(more)
    return answer


class PipelinedResponses:
    """The responses to pipelined requests, parsed incrementally."""

    def __init__(self, channel: UplinkConnection) -> None:
        self._channel = channel
        self._next = HttpResponse()
        self._count = 0
        self.keeps_open = True  # whether the connection accepts further requests, by the responses so far

    def look(self) -> None:
        """Parse received bytes. Raises NetworkError where the server refuses a request."""
        if received := self._channel.receive(AT_ONCE):
            self._take(received)

    def wait_for(self, count: int, patience: Deadline) -> None:
        """Wait for `count` responses in all. Raises NetworkError and Cancelled."""
        while self._count < count:
            more = receive(self._channel, patience, has_begun=self._next.has_begun)
            if not more:
                raise NetworkError(NetworkFault.CLOSED)
            self._take(more)

    def _take(self, received: bytes) -> None:
        while received and self.keeps_open:
            answer = self._next
            answer.feed(received)
            answer.refuse_error()
            if not answer.status or (not answer.is_whole and answer.keeps_open and len(answer.body) < LONGEST_HEAD):
                return
            self._count += 1
            self.keeps_open = answer.keeps_open and answer.is_whole
            self._next, received = HttpResponse(), answer.rest


def receive(
    channel: UplinkConnection, patience: Deadline, *, has_begun: bool, take: ReceiveBytes = _take_many
) -> bytes:
    """Return the next bytes, b"" at the end. Raises Cancelled, and NetworkError by whether an answer `has_begun`."""
    while (received := take(channel.receive)) is None:
        if not channel.wait(patience):
            raise NetworkError(NetworkFault.STALLS if has_begun else NetworkFault.SILENT)
    return received


def portal_of(answer: HttpResponse, host: str) -> str | None:
    """Return the captive portal that answers in place of `host`; None where there is none."""
    if answer.status in _WANTS_A_LOGIN:
        return str(answer.status)
    if answer.status not in _REDIRECTS:
        return None
    try:
        there = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        return None
    return there if there and _owner(there) != _owner(host) else None


def is_html(answer: HttpResponse) -> bool:
    """Return whether the body is HTML."""
    return any(mark in answer.body[:1024].lower() for mark in _PAGE)


def _owner(host: str) -> str:
    """Return the owner's domain of a host, by its name: servers redirect to hosts of the same owner."""
    host = host.lower().rstrip(".")
    labels = host.split(".")
    if ":" in host or host.replace(".", "").isdigit():
        return host
    country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in _BELOW_COUNTRIES
    return ".".join(labels[-3 if country else -2 :])


_PORT = 80  # portals answer here in place of every host


def find_portal(host: str, patience: Deadline) -> str | None:
    """Request a host's page; return the portal that answers instead, None where there is none. Raises Cancelled."""
    try:
        with UplinkConnection(connect(resolve(host, _PORT, patience), patience)) as channel:
            channel.send_all(request("GET", "/", host, "Connection: close"), patience)
            return portal_of(read_head(channel, patience), host)
    except (NetworkError, OSError):
        return None
