"""Access to the API: a token in a file of mode 0600, cookies made from it, and tickets for one use.

`liput` opens the page with a ticket, so that a browser's history is worth nothing. A new token voids all cookies.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import threading
from pathlib import Path

from config.errors import LiputError, SecretError, StateError
from config.files import file_stamp, write_file
from config.state import state_folder
from devices.host.clock import NANOSECONDS, Clock

TOKEN_FILE = "web-token"  # noqa: S105 - the name of the file
TICKET_S = 60.0
MOST_TICKETS = 16
COOKIE_S = 30 * 86_400
_BYTES = 32
_SHORTEST = 32


def token_file() -> Path:
    return state_folder() / TOKEN_FILE


def read_token(path: Path | None = None) -> str:
    """Return the token; create it if absent. Raises SecretError if others could read it, StateError."""
    path = path or token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, encoding="ascii") as file:  # noqa: PTH123 - a descriptor
            found = os.fstat(descriptor)
            text = file.read(1024).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"the token of the page {path} cannot be read or made: {error}") from None
    if found.st_mode & 0o077 or found.st_uid not in {0, os.geteuid()}:
        raise SecretError(f"{path} is readable by other users", hint=f"remove it: liput serve makes another ({path})")
    if len(text) < _SHORTEST:
        raise SecretError(f"{path} holds no token", hint="remove it: liput serve makes another")
    return text


def _make(path: Path) -> None:
    """Create a token file at one stroke, unless it exists. Raises OSError."""
    if path.exists():
        return
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_file(aside, f"{secrets.token_urlsafe(_BYTES)}\n".encode(), durable=False)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


class Auth:
    """Checks tokens, tickets and cookies against the present token file. Not thread-safe, `ticket` apart."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        """Read or create the token. Raises SecretError, StateError."""
        self._clock = clock
        self._path = path or token_file()
        self._stamp = file_stamp(self._path)
        self._known = read_token(self._path)
        self._lock = threading.Lock()
        self._tickets: dict[str, int] = {}

    def is_token(self, token: str) -> bool:
        """Return whether it is the token, in constant time."""
        return _same(token, self._token())

    def _token(self) -> str:
        """Return the token in the file, or the last one if it cannot be read."""
        now = file_stamp(self._path)
        if now not in (None, self._stamp):
            with contextlib.suppress(LiputError):
                self._known, self._stamp = read_token(self._path), now
                with self._lock:
                    self._tickets.clear()
        return self._known

    def ticket(self) -> str:
        """Return a ticket. It lets a browser in once, within TICKET_S. Thread-safe."""
        made = secrets.token_urlsafe(_BYTES)
        now_ns = self._clock.now_ns()
        with self._lock:
            self._forget(now_ns)
            while len(self._tickets) >= MOST_TICKETS:
                del self._tickets[next(iter(self._tickets))]
            self._tickets[_digest(made)] = now_ns + int(TICKET_S * NANOSECONDS)
        return made

    def use_ticket(self, ticket: str) -> bool:
        """Return whether a ticket is valid, and void it."""
        self._token()  # a new token voids all tickets
        with self._lock:
            self._forget(self._clock.now_ns())
            return self._tickets.pop(_digest(ticket), None) is not None  # compares digests, not secrets

    def _forget(self, now_ns: int) -> None:
        self._tickets = {digest: end_ns for digest, end_ns in self._tickets.items() if end_ns > now_ns}

    def cookie(self) -> str:
        """Return a cookie's value, valid for COOKIE_S."""
        ends = str(int(self._clock.now().timestamp()) + COOKIE_S)
        return f"{ends}.{self._sign(ends)}"

    def is_cookie_valid(self, cookie: str) -> bool:
        """Return whether a cookie is ours and has not expired."""
        ends, _, signature = cookie.partition(".")
        if not _same(signature, self._sign(ends)):
            return False
        return int(ends) > self._clock.now().timestamp()  # signed, so a number

    def _sign(self, ends: str) -> str:
        return hmac.new(self._token().encode(), b"liput page until " + ends.encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _same(given: str, right: str) -> bool:
    """Compare in constant time, also for different lengths."""
    return hmac.compare_digest(_digest(given), _digest(right))
