"""`python -m agent.schedule.child`: reads one calendar, in a process that may be killed when it takes too long.

What is wanted comes on standard input (agent/schedule/event.py), for an address may be secret; the answer goes to
standard output. What a calendar may cost of processor and memory is limited here, time by whoever started this.
"""

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.schedule.event import LARGEST_BYTES, Answer, Wanted
from agent.schedule.fetch import fetched
from config.errors import LiputError, StateError, UsageError
from config.office import zone_of
from devices.host.child import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_S = 30
MEMORY_BYTES = 1 << 30
NOT_INSTALLED = "calendars are read with icalendar and recurring-ical-events, which are not installed"
HOW_TO_INSTALL = "install liput[calendar], or start Liput by ./run, which does"


def read(wanted: Wanted) -> Answer:
    """Return what a calendar says; raises LiputError."""
    text = fetched(wanted.address, wanted.timeout_s) if wanted.address else content(Path(wanted.path))
    return _reader()(text, zone_of(wanted.zone), wanted.since, wanted.until)


def content(path: Path) -> bytes:
    """Return what a file holds; raises UsageError."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(text) > LARGEST_BYTES:
        raise UsageError(f"{path} is larger than {LARGEST_BYTES // 1_000_000} MB", hint="export less of the calendar")
    return text


def _reader() -> "Callable[..., Answer]":
    try:
        from agent.schedule.ical import read_calendar
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"icalendar", "recurring_ical_events", "dateutil", "x_wr_timezone"}:
            raise StateError(NOT_INSTALLED, hint=HOW_TO_INSTALL) from None
        raise
    return read_calendar


def main() -> None:
    """Answer once; whoever has asked and is no more needs no answer."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an address may be secret
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        answer = read(msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted))
    except LiputError as error:
        answer = Answer(error=error.message, hint=error.hint)
    except MemoryError:
        answer = Answer(error="it takes too much memory")
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
