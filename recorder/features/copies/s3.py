"""A bucket of an S3-compatible object store as a place for copies, by obstore.

Nothing can be renamed there: a package is written in place. It counts once its last file is there, the manifest of
manifests. A small object that can be created only once reserves a name.
"""

import hashlib
import hmac
import html
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from config.settings.secrets import CopyCredentials
from config.settings.serving import CopyTarget
from devices.uplink.redirects import SameServerRedirects
from recorder.features.copies.target import CopyReason, Target, blocks_of, copy_error, status_of
from recorder.package.fixity import TransferThrottle

if TYPE_CHECKING:
    from obstore.store import ClientConfig

PART_BYTES = 8 << 20  # the most that a kill costs; S3 accepts no part below 5 MB

MOST_PARTS = 9_000
SEND_BYTES = 1 << 16  # bytes sent between two checks whether to go on

MOST_ANSWER = 8 << 20
_ALGORITHM = "AWS4-HMAC-SHA256"


class MultipartUploader:
    """Sends large objects to a bucket. Raises OSError; of a failed answer it has status and code, no other words."""

    def __init__(self, settings: CopyTarget, login: CopyCredentials) -> None:
        parts = urllib.parse.urlsplit(settings.url)
        prefix = urllib.parse.unquote(parts.path).strip("/")
        self._endpoint = settings.endpoint.rstrip("/")
        self._bucket = parts.netloc
        self._prefix = f"{prefix}/" if prefix else ""
        self._region = settings.region
        self._login = login
        self._stalled_s = settings.stalled_s
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), SameServerRedirects)

    def send(self, path: str, source: Path, size: int, flow: TransferThrottle, *, from_start: bool) -> int:
        """Send a file; return the bytes that an earlier attempt had sent."""
        key = f"{self._prefix}{path}"
        upload = None if from_start else self._last_upload(key)
        there = dict(self._uploaded_parts(key, upload)) if upload else {}
        upload = upload or self._begin(key)
        length = max(PART_BYTES, -(-size // MOST_PARTS))
        done, resumed = [], 0
        for number, start in enumerate(range(0, size, length), start=1):
            span = min(length, size - start)
            etag = _matching_etag(there.get(number), source, start, span)
            if etag:
                resumed += span
                flow.tally.add(span)
            else:
                etag = self._put_part(key, upload, number, b"".join(blocks_of(source, start, span)), flow)
            done.append((number, etag))
        self._complete(key, upload, done)
        return resumed

    def _last_upload(self, key: str) -> str | None:
        """Return the id of the last upload of `key`, None without one, or if the store lists none."""
        if (answer := self._listing("", {"uploads": "", "prefix": key})) is None:
            return None
        found = re.findall(r"<Upload>(.*?)</Upload>", answer, re.DOTALL)
        ours = [(_field(each, "Initiated"), _field(each, "UploadId")) for each in found if _field(each, "Key") == key]
        return max(ours)[1] if ours else None

    def _uploaded_parts(self, key: str, upload: str) -> Iterator[tuple[int, tuple[str, int]]]:
        """Yield number, ETag and bytes of uploaded parts; none if the store lists none."""
        marker = "0"
        while marker:
            if (answer := self._listing(key, {"uploadId": upload, "part-number-marker": marker})) is None:
                return
            for each in re.findall(r"<Part>(.*?)</Part>", answer, re.DOTALL):
                yield int(_field(each, "PartNumber")), (_field(each, "ETag").strip('"'), int(_field(each, "Size")))
            more = _field(answer, "IsTruncated") == "true"
            following = _field(answer, "NextPartNumberMarker")
            marker = following if more and following != marker else ""

    def _listing(self, key: str, query: Mapping[str, str]) -> str | None:
        """Return a listing, None if it is forbidden or unknown. Raises TimeoutError: the store may still have parts."""
        try:
            return self._request("GET", key, query)[0]
        except TimeoutError:
            raise
        except OSError:
            return None

    def _begin(self, key: str) -> str:
        answer, _ = self._request("POST", key, {"uploads": ""})
        if upload := _field(answer, "UploadId"):
            return upload
        raise OSError("200 OK, no upload id")

    def _put_part(self, key: str, upload: str, number: int, content: bytes, flow: TransferThrottle) -> str:
        _, headers = self._request("PUT", key, {"partNumber": str(number), "uploadId": upload}, content, flow)
        if etag := headers.get("etag", "").strip('"'):
            return etag
        raise OSError("200 OK, no ETag")

    def _complete(self, key: str, upload: str, parts: list[tuple[int, str]]) -> None:
        lines = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{html.escape(etag)}"</ETag></Part>'
            for number, etag in parts
        )
        content = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
        answer, _ = self._request("POST", key, {"uploadId": upload}, content)
        if code := _field(answer, "Code"):  # it may fail after status 200
            raise OSError(f"500 Internal Server Error, {code}")

    def _request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        content: bytes = b"",
        flow: TransferThrottle | None = None,
    ) -> tuple[str, Message]:
        """Send a request; return text and headers of the answer."""
        path = urllib.parse.quote(f"/{self._bucket}/{key}" if key else f"/{self._bucket}", safe="/-_.~")
        asked = urllib.parse.urlencode(sorted(query.items()), safe="-_.~", quote_via=urllib.parse.quote)
        more = {"Content-Length": str(len(content)), "Content-Type": "application/octet-stream"}
        headers = self._signed(method, path, asked, content) | more
        body = None if method == "GET" else _pieces(content, flow) if flow else content
        request = urllib.request.Request(f"{self._endpoint}{path}?{asked}", body, headers, method=method)  # noqa: S310 - http(s) only, says config/copies.py
        try:
            with self._opener.open(request, timeout=self._stalled_s * (1 if flow else PATIENCE)) as answer:
                return answer.read(MOST_ANSWER).decode(errors="replace"), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                code = _field(error.read(MOST_ANSWER).decode(errors="replace"), "Code")
            raise OSError(f"{error.code} {error.reason}, <Code>{code}") from None
        except urllib.error.URLError as error:
            raise OSError(str(error.reason)) from None
        except HTTPException as error:
            raise OSError(f"connection closed: {type(error).__name__}") from None

    def _signed(self, method: str, path: str, query: str, content: bytes) -> dict[str, str]:
        """Return the headers of Signature Version 4; S3 quotes a path once."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            "host": urllib.parse.urlsplit(self._endpoint).netloc,
            "x-amz-content-sha256": hashlib.sha256(content).hexdigest(),
            "x-amz-date": now,
        }
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = "\n".join((method, path, query, lines, names, headers["x-amz-content-sha256"]))
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        text = "\n".join((_ALGORITHM, now, scope, hashlib.sha256(request.encode()).hexdigest()))
        access, secret = self._login.access_key, self._login.secret_key
        key = f"AWS4{secret.reveal() if secret else ''}".encode()
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"{access.reveal() if access else ''}/{scope}"
        return headers | {
            "authorization": f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        }


def _matching_etag(part: tuple[str, int] | None, source: Path, start: int, span: int) -> str:
    """Return the ETag of an uploaded part that equals the file's span, else ""."""
    if part is None or part[1] != span:
        return ""
    digest = hashlib.md5(b"".join(blocks_of(source, start, span)), usedforsecurity=False).hexdigest()
    return digest if part[0] == digest else ""


def _pieces(content: bytes, flow: TransferThrottle) -> Iterator[bytes]:
    for start in range(0, len(content), SEND_BYTES):
        piece = content[start : start + SEND_BYTES]
        yield piece
        flow.sent(len(piece))


def _field(text: str, name: str) -> str:
    match = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return html.unescape(match[1]) if match else ""


CLAIMS = ".claims"  # the folder of reserved names, `.claims/NAME.json`; they stay

SMALL_BYTES = 5 << 20  # the smallest part of S3; smaller objects are sent in one piece

READ_BYTES = 4 << 20
PATIENCE = 4  # the factor on `stalled_s` for READ_BYTES, for an object of SMALL_BYTES, and for a list
TRIES = 2

_WORDS = (
    (CopyReason.NO_BUCKET, ("nosuchbucket",)),
    (CopyReason.NOT_THERE, ("nosuchkey",)),
    (
        CopyReason.FULL,
        (
            "insufficientstorage", "insufficient storage", "quotaexceeded", "quota exceeded", "no space left",
            "xminiostoragefull", "no writable volumes",
        ),
    ),
    (CopyReason.WRONG_CREDENTIALS, ("signaturedoesnotmatch", "invalidaccesskeyid")),
    (CopyReason.CLOCK, ("requesttimetooskewed",)),
    (CopyReason.NOT_ALLOWED, ("accessdenied",)),
    (CopyReason.REFUSED, ("connection refused",)),
    (CopyReason.CERTIFICATE, ("certificate",)),
    (CopyReason.UNREACHABLE, ("dns error", "name or service not known", "name resolution", "unreachable")),
    (CopyReason.TIMEOUT, ("timed out", "timeout")),
    (
        CopyReason.CONNECTION_LOST,
        (
            "connection closed", "remote end closed", "connection reset", "broken pipe", "error sending request",
            "incomplete",
        ),
    ),
    (CopyReason.NOT_ALLOWED, ("403 forbidden",)),
)  # fmt: skip
"""Words of library or server, lower case, the surest first."""


class S3Target(Target):
    """A bucket. Raises CopyError from the constructor if it is not accessible."""

    def __init__(self, name: str, settings: CopyTarget, login: CopyCredentials) -> None:
        self.name = name
        self._stalled_s = settings.stalled_s
        with self._translated():
            self._store = self._opened(settings, login, settings.stalled_s)
            self._bulk = self._opened(settings, login, settings.stalled_s * PATIENCE)
            self._parts = MultipartUploader(settings, login)
            obstore.list_with_delimiter(self._store, CLAIMS)

    def _opened(self, settings: CopyTarget, login: CopyCredentials, timeout_s: float) -> S3Store:
        parts = urllib.parse.urlsplit(settings.url)
        client: ClientConfig = {
            "timeout": timedelta(seconds=timeout_s),
            "connect_timeout": timedelta(seconds=settings.stalled_s),
            "allow_http": settings.endpoint.startswith("http://"),
        }
        if settings.ca_file is not None:
            try:
                client["root_certificate"] = settings.ca_file.read_bytes()
            except OSError as error:
                detail = f"{settings.ca_file}: {error.strerror}"
                raise copy_error(CopyReason.CERTIFICATE, self.name, detail) from None
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

    def folders(self, path: str) -> list[str]:
        """Return the folders in `path`: common prefixes up to the next slash."""
        with self._translated():
            found = obstore.list_with_delimiter(self._store, path or None)
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        with self._translated():
            pages = obstore.list(self._store, path or None, chunk_size=1000)
            found = {meta["path"].removeprefix(f"{path}/"): meta["size"] for page in pages for meta in page}
        return dict(sorted(found.items())), []

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:
        """Yield an object's content, one bounded request for each piece."""
        for start in range(0, bytes_, READ_BYTES):
            with self._translated():
                block = obstore.get_range(self._bulk, path, start=start, length=min(READ_BYTES, bytes_ - start))
            yield bytes(block)

    def write(self, path: str, source: Path, flow: TransferThrottle, *, from_start: bool = False) -> int:
        """Put an object, a large one in parts; it appears with the last part."""
        size = status_of(source).st_size
        with self._translated():
            if size <= SMALL_BYTES:
                obstore.put(self._bulk, path, b"".join(blocks_of(source)), use_multipart=False)
                flow.sent(size)
                return 0
            return self._parts.send(path, source, size, flow, from_start=from_start)

    def remove(self, path: str) -> None:
        with self._translated():
            obstore.delete(self._store, path)

    def begin(self, place: str, uuid: str) -> str:
        """Reserve the name; objects are written in place."""
        path = f"{CLAIMS}/{place.rpartition('/')[2]}.json"
        with self._translated():
            with suppress(AlreadyExistsError):
                obstore.put(self._store, path, msgspec.json.encode({"uuid": uuid}), mode="create")
            # Read it back: some servers overwrite in spite of `create`.
            claimed = bytes(obstore.get(self._store, path).bytes())
        try:
            mine = msgspec.json.decode(claimed, type=dict[str, str]).get("uuid") == uuid
        except (msgspec.MsgspecError, UnicodeDecodeError):
            mine = False
        if not mine:
            raise copy_error(CopyReason.NAME_TAKEN, self.name, place)
        return place

    def finish(self, folder: str, place: str) -> None:
        """Do nothing: the package is in place."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise copy_error(_reason(error), self.name, _detail(error)) from None


def _reason(error: Exception) -> CopyReason:
    # Without addresses, which hold a package's name, and the library's words on its retries.
    text = re.sub(r"https?://\S+|retry_timeout", "", str(error).lower())
    if isinstance(error, NotFoundError):
        return CopyReason.NO_BUCKET if "nosuchbucket" in text else CopyReason.NOT_THERE
    for reason, words in _WORDS:
        if any(word in text for word in words):
            return reason
    if isinstance(error, UnauthenticatedError):
        return CopyReason.WRONG_CREDENTIALS
    if isinstance(error, PermissionDeniedError):
        return CopyReason.NOT_ALLOWED
    return CopyReason.FULL if "507" in text else CopyReason.FAILED


def _detail(error: Exception) -> str:
    """Return status and code of S3's answer; its other words may hold the login."""
    text = str(error)
    found = (re.search(pattern, text) for pattern in (r"\b[45]\d\d [A-Z][A-Za-z ]+", r"(?<=<Code>)[A-Za-z]+"))
    return ", ".join(match[0].strip() for match in found if match)
