"""A bucket of an S3-compatible object store as a place for copies, by obstore.

Nothing can be renamed there: a package is written where it belongs, and counts once its last file, the manifest of its
manifests, is there. Who may write under a name is decided before by a small object that can be made only once.
"""

import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from config.copies import CopyTarget
from config.copy_keys import Login
from recorder.copies.reasons import CopyReason, copy_error
from recorder.copies.s3_parts import PartsClient
from recorder.copies.target import Flow, blocks_of, size_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CLAIMS = ".claims"
"""Which package a name belongs to: `.claims/NAME.json`. They stay."""

SMALL_BYTES = 5 << 20
"""The least that S3 takes as a part; what is smaller is sent in one piece."""

READ_BYTES = 4 << 20
PATIENCE = 4
"""How much longer than `stalled_s` a piece of READ_BYTES, or an object of SMALL_BYTES, may take."""
TRIES = 2

_WORDS: tuple[tuple[str, CopyReason], ...] = (
    ("nosuchbucket", CopyReason.NO_BUCKET),
    ("nosuchkey", CopyReason.NOT_THERE),
    ("insufficientstorage", CopyReason.FULL),
    ("insufficient storage", CopyReason.FULL),
    ("quotaexceeded", CopyReason.FULL),
    ("quota exceeded", CopyReason.FULL),
    ("no space left", CopyReason.FULL),
    ("xminiostoragefull", CopyReason.FULL),
    ("no writable volumes", CopyReason.FULL),
    ("signaturedoesnotmatch", CopyReason.WRONG_CREDENTIALS),
    ("invalidaccesskeyid", CopyReason.WRONG_CREDENTIALS),
    ("requesttimetooskewed", CopyReason.CLOCK),
    ("accessdenied", CopyReason.NOT_ALLOWED),
    ("connection refused", CopyReason.REFUSED),
    ("certificate", CopyReason.CERTIFICATE),
    ("dns error", CopyReason.UNREACHABLE),
    ("name or service not known", CopyReason.UNREACHABLE),
    ("name resolution", CopyReason.UNREACHABLE),
    ("unreachable", CopyReason.UNREACHABLE),
    ("timed out", CopyReason.TIMEOUT),
    ("timeout", CopyReason.TIMEOUT),
    ("connection closed", CopyReason.CONNECTION_LOST),
    ("remote end closed", CopyReason.CONNECTION_LOST),
    ("connection reset", CopyReason.CONNECTION_LOST),
    ("broken pipe", CopyReason.CONNECTION_LOST),
    ("error sending request", CopyReason.CONNECTION_LOST),
    ("incomplete", CopyReason.CONNECTION_LOST),
    ("403 forbidden", CopyReason.NOT_ALLOWED),
)
"""What stands in the words of the library or the server, in small letters, the surest first."""


class Claim(msgspec.Struct, frozen=True):
    """The content of a claim: the package that may be written under a name."""

    uuid: str


class S3Target:
    """Implements Target on a bucket; raises CopyError from the start where there is none that lets us in."""

    def __init__(self, name: str, settings: CopyTarget, login: Login) -> None:
        self.name = name
        self.disk = None
        self._stalled_s = settings.stalled_s
        with self._translated():
            self._store = self._opened(settings, login, settings.stalled_s)
            self._bulk = self._opened(settings, login, settings.stalled_s * PATIENCE)
            self._parts = PartsClient(settings, login)
            obstore.list_with_delimiter(self._store, CLAIMS)

    def _opened(self, settings: CopyTarget, login: Login, timeout_s: float) -> S3Store:
        """Return a client whose requests end within `timeout_s`, and are sent again TRIES times at most."""
        parts = urllib.parse.urlsplit(settings.url)
        client: ClientConfig = {
            "timeout": timedelta(seconds=timeout_s),
            "connect_timeout": timedelta(seconds=settings.stalled_s),
            "allow_http": settings.endpoint.startswith("http://"),
        }
        if settings.ca_file is not None:
            client["root_certificate"] = self._authority(settings.ca_file)
        return S3Store(
            parts.netloc,
            prefix=urllib.parse.unquote(parts.path).strip("/") or None,
            endpoint=settings.endpoint.rstrip("/"),
            region=settings.region,
            access_key_id=login.access_key.reveal() if login.access_key else "",
            secret_access_key=login.secret_key.reveal() if login.secret_key else "",
            virtual_hosted_style_request=False,
            client_options=client,
            retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=timeout_s)},
        )

    def _authority(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise copy_error(CopyReason.CERTIFICATE, self.name, f"{path}: {error.strerror}") from None

    def folders(self, path: str) -> list[str]:
        """Return the common beginnings of names in `path`, up to the next slash."""
        with self._translated():
            found = obstore.list_with_delimiter(self._store, path or None)
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        """Return the objects below `path`; there is nothing else."""
        with self._translated():
            pages = obstore.list(self._store, path or None, chunk_size=1000)
            found = {meta["path"].removeprefix(f"{path}/"): meta["size"] for page in pages for meta in page}
        return dict(sorted(found.items())), []

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:
        """Yield the content of an object, each piece of it by a request of its own, which ends in time."""
        for start in range(0, bytes_, READ_BYTES):
            with self._translated():
                length = min(READ_BYTES, bytes_ - start)
                block = obstore.get_range(self._bulk, path, start=start, length=length)
            yield bytes(block)

    def write(self, path: str, source: Path, flow: Flow, *, from_start: bool = False) -> int:
        """Put an object there, a large one in parts; it is there when the last of them is."""
        size = size_of(source)
        with self._translated():
            if size <= SMALL_BYTES:
                obstore.put(self._bulk, path, b"".join(blocks_of(source)), use_multipart=False)
                flow.sent(size)
                return 0
            return self._parts.send(path, source, size, flow, from_start=from_start)

    def remove(self, path: str) -> None:
        """Remove one object."""
        with self._translated():
            obstore.delete(self._store, path)

    def begin(self, place: str, uuid: str) -> str:
        """Claim the name; what is written is where it belongs from the start."""
        path = f"{CLAIMS}/{place.rpartition('/')[2]}.json"
        with self._translated():
            with suppress(AlreadyExistsError):
                obstore.put(self._store, path, msgspec.json.encode(Claim(uuid)), mode="create")
            # Read in any case: not every server knows of objects that can be made only once.
            claimed = bytes(obstore.get(self._store, path).bytes())
        try:
            mine = msgspec.json.decode(claimed, type=Claim).uuid == uuid
        except (msgspec.MsgspecError, UnicodeDecodeError):
            mine = False
        if not mine:
            raise copy_error(CopyReason.NAME_TAKEN, self.name, place)
        return place

    def finish(self, folder: str, place: str) -> None:
        """Do nothing: it is where it belongs."""

    def close(self) -> None:
        """Do nothing: the library keeps no connection that has to be ended."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise copy_error(_reason(error), self.name, _detail(error)) from None


def _reason(error: Exception) -> CopyReason:
    # Without addresses, in which a package's name stands, and the library's own words about what it tried.
    text = re.sub(r"https?://\S+|retry_timeout", "", str(error).lower())
    if isinstance(error, NotFoundError):
        return CopyReason.NO_BUCKET if "nosuchbucket" in text else CopyReason.NOT_THERE
    for word, reason in _WORDS:
        if word in text:
            return reason
    if isinstance(error, UnauthenticatedError):
        return CopyReason.WRONG_CREDENTIALS
    if isinstance(error, PermissionDeniedError):
        return CopyReason.NOT_ALLOWED
    return CopyReason.FULL if "507" in text else CopyReason.FAILED


def _detail(error: Exception) -> str:
    """Return the status and the code of S3's answer; its other words may hold the login."""
    text = str(error)
    found = (re.search(pattern, text) for pattern in (r"\b[45]\d\d [A-Z][A-Za-z ]+", r"(?<=<Code>)[A-Za-z]+"))
    return ", ".join(match[0].strip() for match in found if match)
