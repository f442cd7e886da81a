"""What recovery says of itself: the line that it adds to a session's log, and the sentence for people."""

from collections.abc import Sequence

import msgspec

from config.events import Event
from config.quantities import clock_text
from devices.clock import Clock
from recorder.archive.model import INTERRUPTED, Gap, RecordingFacts
from recorder.recovery.kinds import RECOVERED_KIND
from recorder.recovery.rebuild import read_events


def whole_lines(log: bytes) -> bytes:
    """Return a log without the half line that a kill may leave at its end."""
    return log[: log.rfind(b"\n") + 1]


def joined_log(logs: Sequence[bytes]) -> bytes:
    """Return the logs of all parts as one: a recorder that goes on with another disk writes every event to both."""
    lines = (line for log in logs for line in whole_lines(log).splitlines(keepends=True))
    return b"".join(dict.fromkeys(lines))


def told(log: bytes, name: str, facts: RecordingFacts, parts: Sequence[int], clock: Clock) -> bytes:
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
        "session-recovered", name, f"Recovered after its recorder had ended without sealing it; {what}.",
        parts=list(parts), gaps=msgspec.to_builtins(facts.gaps),
    )  # fmt: skip
    return log + b"".join(lines)


def missing(gaps: Sequence[Gap], degraded: Sequence[str]) -> str:
    """Return in words what is missing of a recording: what a kill has cost, and what was lost while it was recorded."""
    said = "the last second may be missing" if INTERRUPTED in degraded else "nothing is missing"
    if gaps:
        said = "missing: " + "; ".join(
            f"{gap.duration_s:.1f} s from {clock_text(gap.start_s)} on ({gap.reason})" for gap in gaps
        )
    lost = [reason for reason in degraded if reason != INTERRUPTED]
    if not lost:
        return said
    told = f"while it was recorded: {', '.join(lost)}"
    return f"{said}; {told}" if gaps or INTERRUPTED in degraded else told
