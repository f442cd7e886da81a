"""What recovery says of itself: the line that it adds to a session's log, and the sentence for people."""

from collections.abc import Sequence

import msgspec

from config.events import Event
from config.quantities import clock_text
from devices.host.clock import Clock
from recorder.archive.model import INTERRUPTED, Gap, RecordingFacts
from recorder.archive.runs import RECOVERED_KIND
from recorder.recovery.rebuild import read_events


def whole_lines(log: bytes) -> bytes:
    """Return a log without the half line that a kill may leave at its end."""
    return log[: log.rfind(b"\n") + 1]


def joined_log(logs: Sequence[bytes]) -> bytes:
    """Return the logs of all parts as one: a recorder that goes on with another disk writes every event to both."""
    lines = (line for log in logs for line in whole_lines(log).splitlines(keepends=True))
    return b"".join(dict.fromkeys(lines))


RECOVERED = "Recovered after its recorder had ended without sealing it"
PUT_TOGETHER = "Put together of its parts, which were packages of their own"


def told(log: bytes, name: str, facts: RecordingFacts, parts: Sequence[int], clock: Clock, message: str) -> bytes:
    """Return the log of a session with the event that it was recovered at its end; as it is where that stands there."""
    log = whole_lines(log)
    events = read_events(log)
    if events and events[-1].kind == RECOVERED_KIND:
        return log
    lines: list[bytes] = []

    def emit(kind: str, subject: str, message: str, **detail: object) -> None:
        lines.append(msgspec.json.encode(Event(clock.now(), kind, subject, detail, message)) + b"\n")

    what = missing(facts.gaps, facts.degraded)
    emit(
        "session-recovered", name, f"{message}; {what}.",
        parts=list(parts), gaps=msgspec.to_builtins(facts.gaps),
    )  # fmt: skip
    return log + b"".join(lines)


def missing(gaps: Sequence[Gap], degraded: Sequence[str]) -> str:
    """Return in words what is missing of a recording: what a kill has cost, and what was lost while it was recorded."""
    said = "the last second may be missing" if INTERRUPTED in degraded else "nothing is missing"
    if elsewhere := [gap for gap in gaps if gap.part is not None]:
        said = "not in this package: " + "; ".join(map(_said, elsewhere))
    if gaps := [gap for gap in gaps if gap.part is None]:
        said = "missing: " + "; ".join(map(_said, gaps)) + ("" if not elsewhere else f"; {said}")
    lost = [reason for reason in degraded if reason != INTERRUPTED]
    if not lost:
        return said
    told = f"while it was recorded: {', '.join(lost)}"
    return f"{said}; {told}" if gaps or elsewhere or INTERRUPTED in degraded else told


def _said(gap: Gap) -> str:
    return f"{gap.duration_s:.1f} s from {clock_text(gap.start_s)} on ({gap.reason})"
