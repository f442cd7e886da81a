"""`python -m agent.schedule.child`: reads one calendar with limited processor time and memory.

The request arrives on standard input, since an address may be secret; the answer leaves on standard output. The parent
limits the time.
"""

import resource
import socket
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO

import msgspec

from agent.schedule.calendar_messages import LARGEST_BYTES, CalendarAnswer, CalendarRequest
from config.errors import LiputError, StateError
from config.settings.office import zone_of
from devices.host.child import end_with_parent
from devices.uplink.redirects import SameServerRedirects

_ELSEWHERE = "its server redirects to another address"
_HTTP_REASONS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
    401: "its server wants a login",
    403: "its server does not let us have it",
    404: "there is no such calendar on its server",
    410: "the calendar is not there any more",
    429: "its server is asked too often",
}


def fetch(address: str, timeout_s: float) -> bytes:
    """Fetch the calendar at an https, http, webcal or file address; raises LiputError."""
    scheme, _, rest = address.partition(":")
    if scheme.lower() == "file":
        return _read_file(Path(urllib.request.url2pathname(urllib.parse.urlsplit(address).path)))
    url = f"https:{rest}" if scheme.lower() == "webcal" else address
    request = urllib.request.Request(url, headers={"User-Agent": "Liput", "Accept": "text/calendar, */*;q=0.1"})  # noqa: S310 - the settings allow these schemes
    try:
        with urllib.request.build_opener(SameServerRedirects).open(request, timeout=timeout_s) as answer:
            return _read_bounded(answer)
    except urllib.error.HTTPError as error:
        with error:
            why = _HTTP_REASONS.get(error.code, f"its server answers with {error.code}")
        raise LiputError(why, hint="check the address") from None
    except urllib.error.URLError as error:
        raise LiputError(_describe(error.reason), hint="check the network and the address") from None
    except (OSError, HTTPException, ValueError) as error:
        raise LiputError(_describe(error), hint="check the network and the address") from None


def _read_bounded(file: "IO[bytes] | urllib.request._UrlopenRet") -> bytes:
    text: bytes = file.read(LARGEST_BYTES + 1)
    if len(text) > LARGEST_BYTES:
        raise LiputError(f"it is larger than {LARGEST_BYTES // 1_000_000} MB", hint="name a smaller calendar")
    return text


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _read_bounded(file)
    except OSError as error:
        raise LiputError(f"its file cannot be read: {error.strerror}") from None


def _describe(reason: object) -> str:
    """Describe an error briefly; the system's own text may repeat the address."""
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


CPU_S = 30
MEMORY_BYTES = 1 << 30


def read(wanted: CalendarRequest) -> CalendarAnswer:
    """Return the events of a calendar; raises LiputError."""
    text = fetch(wanted.address, wanted.timeout_s)
    try:
        from agent.schedule.ical import read_calendar
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"icalendar", "recurring_ical_events", "dateutil", "x_wr_timezone"}:
            raise StateError(
                "calendars are read with icalendar and recurring-ical-events, which are not installed",
                hint="install liput[calendar], or start Liput by ./run, which does",
            ) from None
        raise
    return read_calendar(text, zone_of(wanted.zone), wanted.since, wanted.until)


def main() -> None:
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an address may be secret
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        answer = read(msgspec.json.decode(sys.stdin.buffer.read(), type=CalendarRequest))
    except LiputError as error:
        answer = CalendarAnswer(error=error.message, hint=error.hint)
    except MemoryError:
        answer = CalendarAnswer(error="it takes too much memory")
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
