"""Getting a calendar by its address. What is said when that fails repeats nothing of it: it may be a secret."""

import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path

from agent.schedule.event import LARGEST_BYTES
from config.errors import NetworkError
from devices.uplink.redirects import SameServer

_CHUNK = 64 * 1024
_ELSEWHERE = "its server sends us elsewhere, which is not followed"
_WORDS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
    401: "its server wants a login",
    403: "its server does not let us have it",
    404: "there is no such calendar on its server",
    410: "the calendar is not there any more",
    429: "its server is asked too often",
}


def fetched(address: str, timeout_s: float) -> bytes:
    """Return the calendar at `address`, of https, http, webcal or file; raises NetworkError.

    Its server may be silent for `timeout_s`; that it is slow is a matter of whoever waits.
    """
    scheme, _, rest = address.partition(":")
    if scheme.lower() == "file":
        return _file(Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)))
    url = f"https:{rest}" if scheme.lower() == "webcal" else address
    request = urllib.request.Request(url, headers={"User-Agent": "Liput", "Accept": "text/calendar, */*;q=0.1"})  # noqa: S310 - see _opener
    try:
        with _opener().open(request, timeout=timeout_s) as answer:
            return _limited(answer)
    except urllib.error.HTTPError as error:
        with error:
            why = _WORDS.get(error.code, f"its server answers with {error.code}")
        raise NetworkError(why, hint="see whether the address is right") from None
    except urllib.error.URLError as error:
        raise NetworkError(_why(error.reason), hint="see whether the network is up, and the address right") from None
    except (OSError, HTTPException, ValueError) as error:
        raise NetworkError(_why(error), hint="see whether the network is up, and the address right") from None


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses of the web and nothing else; no server sends it to another one."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()), urllib.request.HTTPDefaultErrorHandler(),
        SameServer(), urllib.request.HTTPErrorProcessor(), urllib.request.UnknownHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _limited(answer: "urllib.request._UrlopenRet") -> bytes:
    text = bytearray()
    while chunk := answer.read(_CHUNK):
        text += chunk
        if len(text) > LARGEST_BYTES:
            raise NetworkError(f"it is larger than {LARGEST_BYTES // 1_000_000} MB", hint="name a smaller calendar")
    return bytes(text)


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise NetworkError(f"its file cannot be read: {error.strerror}") from None
    if len(text) > LARGEST_BYTES:
        raise NetworkError(f"it is larger than {LARGEST_BYTES // 1_000_000} MB", hint="name a smaller calendar")
    return text


def _why(reason: object) -> str:
    """Say in a few words what kept us from it; the system's own may repeat the address."""
    if isinstance(reason, TimeoutError):
        return "its server does not answer"
    if isinstance(reason, socket.gaierror):
        return "the name of its server is not known"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "the certificate of its server is not trusted"
    if isinstance(reason, ssl.SSLError):
        return "its server does not speak TLS as we do"
    if isinstance(reason, ConnectionRefusedError):
        return "its server refuses the connection"
    if isinstance(reason, OSError) and reason.strerror:
        return f"its server cannot be reached: {reason.strerror}"
    return "its server does not answer as one of the web does"
