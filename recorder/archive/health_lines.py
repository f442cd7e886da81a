"""`metadata/health.jsonl`: what the PC's health log says of a session's time and devices, so that it can be read later.

The health log itself is kept for some weeks only. What comes once a minute (`debug`) is left out.
"""

import contextlib
import itertools
import platform
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from config.errors import StateError
from devices.health.line import PC, HealthLine, Level
from devices.health.log import LEFT_OUT, log_folder
from devices.health.query import Wanted, read
from recorder.archive.model import Begun, Recording

MOST_LINES = 2000
"""A device that flaps all day must not make a package of it: of more, the first and the last half are kept."""


def health_lines(begun: Begun, recording: Recording) -> bytes:
    """Return the lines about the devices of a session and its PC; nothing where this is not the PC it was on.

    Sealing never fails because of them: a log that cannot be read has none.
    """
    if begun.host != platform.node():
        return b""
    devices = {PC, *(device.id for device in begun.context.devices)}
    wanted = Wanted(since=recording.started_at, until=recording.ended_at, devices=devices, level=Level.INFO)
    kept: list[HealthLine] = []
    with contextlib.suppress(StateError, OSError):
        kept = list(_bounded(read(log_folder(), wanted), recording.ended_at))
    return b"".join(msgspec.json.encode(line) + b"\n" for line in kept)


def _bounded(lines: Iterable[HealthLine], ended_at: datetime) -> Iterator[HealthLine]:
    """Yield the first and the last lines, and between them, where some are missing, how many."""
    rest = iter(lines)
    yield from itertools.islice(rest, MOST_LINES // 2)
    last: deque[HealthLine] = deque(maxlen=MOST_LINES // 2)
    count = 0
    for line in rest:
        last.append(line)
        count += 1
    if missing := count - len(last):
        at = last[0].at if last else ended_at
        yield HealthLine(at=at, device=PC, kind=LEFT_OUT, reason=f"{missing} lines are left out here",
                         detail={"lines": missing})  # fmt: skip
    yield from last
