"""As much of HTTP/1.1 as it takes to measure with: a request, the head of its answer, who gave it."""

import email.message
import http.client
import io
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from devices.uplink.channel import Channel
from devices.uplink.connecting import Patience
from devices.uplink.trouble import NetworkTrouble, Trouble

LONGEST_HEAD = 65_536
FIRST_ERROR = 400
AT_ONCE = 262_144
"""How many bytes are received at once at most."""
_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_WANTS_A_LOGIN = (407, 511)
"""Proxy and Network Authentication Required."""
_REDIRECTS = range(300, 400)
_PAGE = (b"<!doctype", b"<html")
_BELOW_COUNTRIES = frozenset(
    {
        "ac",
        "biz",
        "co",
        "com",
        "desa",
        "edu",
        "go",
        "gob",
        "gov",
        "mil",
        "my",
        "ne",
        "net",
        "or",
        "org",
        "ponpes",
        "sch",
        "web",
    }
)
"""Under which whole countries give names: ui.ac.id and ugm.ac.id are two owners."""

type Take = Callable[[Callable[[int], bytes | None]], bytes | None]
"""Receives as many bytes at once as it likes, with what it is given, and returns them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and what came of its body with it."""

    status: int
    headers: email.message.Message
    body: bytes = b""

    def refuse_error(self) -> None:
        """Raise NetworkTrouble where the server will not, or cannot."""
        if self.status >= FIRST_ERROR:
            raise NetworkTrouble(Trouble.SERVER_ERROR, str(self.status))

    @property
    def keeps_open(self) -> bool:
        """Whether the connection may be used again once the body has come."""
        return (self.headers.get("Connection") or "").lower() != "close" and self._ends_by_itself

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is there; one that ends with the connection never is."""
        return self.rest is not None

    @property
    def rest(self) -> bytes | None:
        """What came behind the body, which belongs to the next answer; None where the body is not all there."""
        if self.status == http.client.NO_CONTENT:
            return self.body
        if self._is_chunked:
            _, last, rest = self.body.partition(_LAST_CHUNK)
            return rest if last else None
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit() or len(self.body) < int(length):
            return None
        return self.body[int(length) :]

    @property
    def _is_chunked(self) -> bool:
        return "chunked" in (self.headers.get("Transfer-Encoding") or "").lower()

    @property
    def _ends_by_itself(self) -> bool:
        return self.status == http.client.NO_CONTENT or self._is_chunked or "Content-Length" in self.headers


def request(method: str, path: str, host: str, *more: str) -> bytes:
    """Return a request's head; `more` are further lines of it."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", "User-Agent: liput", "Accept: */*", *more)
    return "\r\n".join((*lines, "", "")).encode()


def _take_many(receive_most: Callable[[int], bytes | None]) -> bytes | None:
    return receive_most(AT_ONCE)


def read_head(channel: Channel, patience: Patience, take: Take = _take_many) -> Answer:
    """Return an answer as soon as its head is there. Raises NetworkTrouble and Stopped."""
    received = b""
    while (answer := _head_of(received)) is None:
        more = receive(channel, patience, has_begun=bool(received), take=take)
        if not more:
            raise NetworkTrouble(Trouble.CLOSED)
        received += more
    return answer


def _head_of(received: bytes) -> Answer | None:
    """Return the first answer of what was received, None while its head is not all there; raises NetworkTrouble."""
    is_too_long = len(received) > LONGEST_HEAD and _END not in received[:LONGEST_HEAD]
    if not b"HTTP/".startswith(received[:5]) or is_too_long:
        raise NetworkTrouble(Trouble.FOREIGN, "not HTTP")
    return parse_head(received) if _END in received else None


def read_whole(channel: Channel, patience: Patience) -> Answer:
    """Return a short answer with its body. Raises NetworkTrouble and Stopped."""
    answer = read_head(channel, patience)
    while not answer.is_whole and len(answer.body) < LONGEST_HEAD:
        more = receive(channel, patience, has_begun=True)
        if not more:
            break
        answer = Answer(answer.status, answer.headers, answer.body + more)
    return answer


class Answers:
    """The answers to requests that were sent one behind the other, taken apart as they come."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._received = b""
        self._count = 0
        self.keeps_open = True
        """Whether the connection takes further requests, as far as the answers say."""

    def look(self) -> None:
        """Take what has come. Raises OSError, and NetworkTrouble where the server does not want what it was sent."""
        if received := self._channel.receive(AT_ONCE):
            self._take(received)

    def wait_for(self, count: int, patience: Patience) -> None:
        """Wait until there are so many in all. Raises NetworkTrouble and Stopped."""
        while self._count < count:
            more = receive(self._channel, patience, has_begun=bool(self._received))
            if not more:
                raise NetworkTrouble(Trouble.CLOSED)
            self._take(more)

    def _take(self, received: bytes) -> None:
        self._received += received
        while (answer := _head_of(self._received)) is not None:
            answer.refuse_error()
            if answer.rest is None and answer.keeps_open and len(answer.body) < LONGEST_HEAD:
                return
            self._count += 1
            self.keeps_open = answer.keeps_open and answer.rest is not None
            self._received = answer.rest or b""


def receive(channel: Channel, patience: Patience, *, has_begun: bool, take: Take = _take_many) -> bytes:
    """Return what comes next, b"" at the end. Raises NetworkTrouble, by whether an answer `has_begun`, and Stopped."""
    while (received := take(lambda most: _received(channel, most))) is None:
        if not channel.wait(patience):
            raise NetworkTrouble(Trouble.STALLS if has_begun else Trouble.SILENT)
    return received


def parse_head(received: bytes) -> Answer:
    """Take what came apart, head and beginning of the body; raises NetworkTrouble where it is no HTTP."""
    head, _, body = received.partition(_END)
    status, _, headers = head.partition(b"\r\n")
    words = status.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise NetworkTrouble(Trouble.FOREIGN, "not HTTP")
    try:
        return Answer(int(words[1]), http.client.parse_headers(io.BytesIO(headers + _END)), body)
    except http.client.HTTPException:
        raise NetworkTrouble(Trouble.FOREIGN, "not HTTP") from None


def somebody_else(answer: Answer, host: str) -> str | None:
    """Return who answers in the place of `host` and wants people to log in first; None where nobody does."""
    if answer.status in _WANTS_A_LOGIN:
        return str(answer.status)
    if answer.status not in _REDIRECTS:
        return None
    try:
        there = urlsplit(answer.headers.get("Location") or "").hostname
    except ValueError:
        return None
    return there if there and _owner(there) != _owner(host) else None


def is_page(answer: Answer) -> bool:
    """Return whether it is a page for people."""
    return any(mark in answer.body[:1024].lower() for mark in _PAGE)


def _owner(host: str) -> str:
    """Return whose host it is, as far as its name tells: a server may well send people to its neighbour."""
    host = host.lower().rstrip(".")
    labels = host.split(".")
    if ":" in host or host.replace(".", "").isdigit():
        return host
    country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in _BELOW_COUNTRIES
    return ".".join(labels[-3 if country else -2 :])


def _received(channel: Channel, most: int) -> bytes | None:
    try:
        return channel.receive(most)
    except OSError:
        return b""
