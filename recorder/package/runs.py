"""The log of a session, told apart by recorders: one that is killed is followed by another, with times of its own.

Media times in a log count from where its recorder began to record. What a recorder told before, while it was armed, has
times that lie in no recording.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from config.files import number

RECOVERED_KIND = "session-recovered"
"""The event that recovery itself adds to a log."""


type Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One recorder: what it told before it recorded, and since; where in the session its recording begins.

    `began_at` is when it began to record, as far as its log tells. `killed_at` is None for the last one.
    """

    armed: Sequence[Line]
    recording: Sequence[Line]
    offset_s: float
    began_at: datetime | None
    killed_at: datetime | None


def runs(lines: Iterable[Line]) -> list[Run]:
    """Return the recorders of a session, from the lines of its log; what recovery added later is none of theirs."""
    found: list[Run] = []
    told: list[Line] = []
    offset_s = 0.0
    for line in lines:
        if not isinstance(line.get("detail"), Mapping) or line.get("kind") == RECOVERED_KIND:
            continue
        if line.get("kind") == "session-resumed":
            detail, at = line["detail"], moment(line.get("at"))
            killed_at = at - timedelta(seconds=max(0.0, number(detail.get("missing_s")) or 0.0)) if at else None
            later = _since(told, killed_at)
            found.append(_run(told[:later], offset_s, killed_at))
            told, offset_s = told[later:], number(detail.get("offset_s")) or 0.0
        told.append(line)
    return [*found, _run(told, offset_s, None)]


def _since(told: Sequence[Line], killed_at: datetime | None) -> int:
    """Return where the next recorder's lines begin: it tells how its sources are before it says that it goes on."""
    place = len(told)
    while killed_at and place and (at := moment(told[place - 1].get("at"))) and at > killed_at:
        place -= 1
    return place


def _run(told: Sequence[Line], offset_s: float, killed_at: datetime | None) -> Run:
    live = next((place for place, line in enumerate(told) if line.get("kind") == "session-live"), None)
    began_at = None if live is None else moment(told[live].get("at"))
    return Run(told[: live or 0], told[live or 0 :], offset_s, began_at, killed_at)


def moment(value: object) -> datetime | None:
    """Return the time that a line says; None for what is none."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
